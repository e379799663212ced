"""Scopes in plain words, for the people whose records they open. Pure: in English, and translated where they are shown.

Source: SMART 2.2 best-practices; US Core SMART scopes.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from smartauth.policy.advertising import CATEGORIES
from smartauth.policy.other_kinds import OTHER_KINDS
from smartauth.policy.other_kinds import gettext_noop as _
from smartauth.policy.scopes import ResourceScope


@dataclass(frozen=True, slots=True)
class Words:
    """A permission for a person: a short name, one plain sentence, and what may be done."""

    title: str
    detail: str
    verbs: str  # "see", "see, add and change", …


TYPES = {
    "AllergyIntolerance": (_("Allergies"), _("What causes a reaction, and how severe it was.")),
    "CarePlan": (_("Care plans"), _("What has been planned for care and treatment.")),
    "CareTeam": (_("Care team"), _("Who takes part in the care.")),
    "Condition": (_("Health problems"), _("Diagnoses and other concerns.")),
    "Coverage": (_("Insurance"), _("Health insurance and who pays.")),
    "Device": (_("Implants and devices"), _("Implanted devices and equipment in use.")),
    "DiagnosticReport": (
        _("Test reports"),
        _("Written reports of laboratory tests, scans and other examinations."),
    ),
    "DocumentReference": (
        _("Documents and notes"),
        _("Clinical notes, letters and other documents."),
    ),
    "Encounter": (_("Visits"), _("Appointments and hospital stays: when, where and why.")),
    "FamilyMemberHistory": (_("Family history"), _("Health problems of relatives.")),
    "Goal": (_("Goals"), _("Health goals that were agreed on.")),
    "Immunization": (_("Vaccinations"), _("Vaccines given, and when.")),
    "Location": (_("Places of care"), _("Hospitals, wards and rooms.")),
    "Medication": (_("Medicine details"), _("What a medicine is made of.")),
    "MedicationDispense": (_("Medicines handed out"), _("What a pharmacy handed out, and when.")),
    "MedicationRequest": (
        _("Prescriptions"),
        _("Medicines prescribed, with dose and instructions."),
    ),
    "Observation": (
        _("Measurements and findings"),
        _("Test results, vital signs and other findings."),
    ),
    "Organization": (
        _("Organizations"),
        _("Hospitals, practices and insurers that are named in the record."),
    ),
    "Patient": (_("Personal details"), _("Name, birth date, sex, address and contact details.")),
    "Practitioner": (
        _("Doctors and nurses"),
        _("The professionals who are named in the record."),
    ),
    "PractitionerRole": (
        _("Roles of professionals"),
        _("Where the professionals work, and their specialty."),
    ),
    "Procedure": (_("Procedures"), _("Operations and other treatments that were carried out.")),
    "Provenance": (_("Where data comes from"), _("Who entered a part of the record, and when.")),
    "QuestionnaireResponse": (_("Answers to questionnaires"), _("Forms that were filled in.")),
    "RelatedPerson": (
        _("Relatives and helpers"),
        _("Family members and other people close to the patient."),
    ),
    "ServiceRequest": (
        _("Orders and referrals"),
        _("Tests, treatments and referrals that were ordered."),
    ),
    "Specimen": (_("Samples"), _("Blood and other samples that were taken.")),
}
CATEGORY_WORDS = {
    "encounter-diagnosis": (
        _("Diagnoses from visits"),
        _("What was found at a particular visit."),
    ),
    "problem-list-item": (_("Problem list"), _("Health problems that are being followed.")),
    "health-concern": (_("Health concerns"), _("Worries and risks that were written down.")),
    "clinical-note": (_("Clinical notes"), _("Notes that professionals wrote.")),
    "laboratory": (
        _("Laboratory results"),
        _("Blood tests and other results from the laboratory."),
    ),
    "procedure": (
        _("Results of examinations"),
        _("Findings of tests that are not done in a laboratory."),
    ),
    "social-history": (
        _("Lifestyle and social history"),
        _("Smoking, work and similar circumstances."),
    ),
    "survey": (_("Screening answers"), _("Results of standard questionnaires.")),
    "vital-signs": (
        _("Vital signs"),
        _("Blood pressure, weight, height, temperature and the like."),
    ),
    "sdoh": (_("Living situation"), _("Housing, food, transport and other needs.")),
}
PART = _("Only a part of these, which the app has chosen.")
EVERYTHING = (
    _("The whole record"),
    _("Every kind of information, also kinds that are added later."),
)
OTHER = _("Entries that the record keeps under this name.")
# Said in whole: languages put such lists together differently.
VERBS = {
    "r": _("see"),
    "c": _("add"),
    "u": _("change"),
    "d": _("delete"),
    "rc": _("see and add"),
    "ru": _("see and change"),
    "rd": _("see and delete"),
    "cu": _("add and change"),
    "cd": _("add and delete"),
    "ud": _("change and delete"),
    "rcu": _("see, add and change"),
    "rcd": _("see, add and delete"),
    "rud": _("see, change and delete"),
    "cud": _("add, change and delete"),
    "rcud": _("see, add, change and delete"),
}


def words_for(scope: ResourceScope) -> Words:
    """Return the words of one resource scope. What has no words of ours is named by the standard's, spelled out."""
    title, detail = _subject(scope)
    return Words(title, detail, _verbs(scope.permissions))


def title_of_reading(resource_type: str, categories: Collection[str], *, whole: bool = False) -> str:
    """Return what people call that which a request opened, in English.

    categories: the values of its search parameter of that name, "system|code" or "code".    whole: it opened all.
    """
    if whole or not resource_type:
        return EVERYTHING[0]
    codes = {value.rpartition("|")[2] for value in CATEGORIES.get(resource_type, ())}
    named = {value.rpartition("|")[2] for value in categories} & codes
    if len(named) == 1:
        return CATEGORY_WORDS[named.pop()][0]
    return (TYPES.get(resource_type) or _spelled_out(resource_type))[0]


def _subject(scope: ResourceScope) -> tuple[str, str]:
    if len(scope.filters) == 1:
        name, value = scope.filters[0]
        if name == "category" and value in CATEGORIES.get(scope.resource, ()):
            return CATEGORY_WORDS[value.rpartition("|")[2]]
    title, detail = EVERYTHING if scope.resource == "*" else TYPES.get(scope.resource) or _spelled_out(scope.resource)
    return title, PART if scope.filters else detail


def _spelled_out(resource_type: str) -> tuple[str, str]:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()
    return OTHER_KINDS.get(resource_type, words.capitalize()), OTHER


def _verbs(permissions: str) -> str:
    reads = "r" if {"r", "s"} & set(permissions) else ""
    return VERBS[reads + "".join(letter for letter in "cud" if letter in permissions)]
