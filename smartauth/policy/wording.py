"""Scopes in plain words, for the people whose records they open. Pure.

Source: SMART 2.2 best-practices; US Core SMART scopes.
"""

import re
from dataclasses import dataclass

from smartauth.policy.advertising import CATEGORIES
from smartauth.policy.scopes import ResourceScope


@dataclass(frozen=True, slots=True)
class Words:
    """A permission for a person: a short name, one plain sentence, and what may be done."""

    title: str
    detail: str
    verbs: str  # "see", "see, add and change", …


TYPES = {
    "AllergyIntolerance": ("Allergies", "What causes a reaction, and how severe it was."),
    "CarePlan": ("Care plans", "What has been planned for care and treatment."),
    "CareTeam": ("Care team", "Who takes part in the care."),
    "Condition": ("Health problems", "Diagnoses and other concerns."),
    "Coverage": ("Insurance", "Health insurance and who pays."),
    "Device": ("Implants and devices", "Implanted devices and equipment in use."),
    "DiagnosticReport": ("Test reports", "Written reports of laboratory tests, scans and other examinations."),
    "DocumentReference": ("Documents and notes", "Clinical notes, letters and other documents."),
    "Encounter": ("Visits", "Appointments and hospital stays: when, where and why."),
    "FamilyMemberHistory": ("Family history", "Health problems of relatives."),
    "Goal": ("Goals", "Health goals that were agreed on."),
    "Immunization": ("Vaccinations", "Vaccines given, and when."),
    "Location": ("Places of care", "Hospitals, wards and rooms."),
    "Medication": ("Medicine details", "What a medicine is made of."),
    "MedicationDispense": ("Medicines handed out", "What a pharmacy handed out, and when."),
    "MedicationRequest": ("Prescriptions", "Medicines prescribed, with dose and instructions."),
    "Observation": ("Measurements and findings", "Test results, vital signs and other findings."),
    "Organization": ("Organizations", "Hospitals, practices and insurers that are named in the record."),
    "Patient": ("Personal details", "Name, birth date, sex, address and contact details."),
    "Practitioner": ("Doctors and nurses", "The professionals who are named in the record."),
    "PractitionerRole": ("Roles of professionals", "Where the professionals work, and their specialty."),
    "Procedure": ("Procedures", "Operations and other treatments that were carried out."),
    "Provenance": ("Where data comes from", "Who entered a part of the record, and when."),
    "QuestionnaireResponse": ("Answers to questionnaires", "Forms that were filled in."),
    "RelatedPerson": ("Relatives and helpers", "Family members and other people close to the patient."),
    "ServiceRequest": ("Orders and referrals", "Tests, treatments and referrals that were ordered."),
    "Specimen": ("Samples", "Blood and other samples that were taken."),
}
CATEGORY_WORDS = {
    "encounter-diagnosis": ("Diagnoses from visits", "What was found at a particular visit."),
    "problem-list-item": ("Problem list", "Health problems that are being followed."),
    "health-concern": ("Health concerns", "Worries and risks that were written down."),
    "clinical-note": ("Clinical notes", "Notes that professionals wrote."),
    "laboratory": ("Laboratory results", "Blood tests and other results from the laboratory."),
    "procedure": ("Results of examinations", "Findings of tests that are not done in a laboratory."),
    "social-history": ("Lifestyle and social history", "Smoking, work and similar circumstances."),
    "survey": ("Screening answers", "Results of standard questionnaires."),
    "vital-signs": ("Vital signs", "Blood pressure, weight, height, temperature and the like."),
    "sdoh": ("Living situation", "Housing, food, transport and other needs."),
}
PART = "Only a part of these, which the app has chosen."
EVERYTHING = ("The whole record", "Every kind of information, also kinds that are added later.")


def words_for(scope: ResourceScope) -> Words:
    """Return the words of one resource scope. What has no words of ours is named by the standard's, spelled out."""
    title, detail = _subject(scope)
    return Words(title, detail, _verbs(scope.permissions))


def _subject(scope: ResourceScope) -> tuple[str, str]:
    if len(scope.filters) == 1:
        name, value = scope.filters[0]
        if name == "category" and value in CATEGORIES.get(scope.resource, ()):
            return CATEGORY_WORDS[value.rpartition("|")[2]]
    title, detail = EVERYTHING if scope.resource == "*" else TYPES.get(scope.resource) or _spelled_out(scope.resource)
    return title, PART if scope.filters else detail


def _spelled_out(resource_type: str) -> tuple[str, str]:
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", resource_type).lower()
    return words.capitalize(), f"Entries that the record calls {words}."


def _verbs(permissions: str) -> str:
    reads = bool({"r", "s"} & set(permissions))
    writes = [verb for letter, verb in (("c", "add"), ("u", "change"), ("d", "delete")) if letter in permissions]
    verbs = (["see"] if reads else []) + writes
    return verbs[0] if len(verbs) == 1 else f"{', '.join(verbs[:-1])} and {verbs[-1]}"
