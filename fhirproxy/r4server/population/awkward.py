"""Resources that tempt a careless filter: several patients in one, roles beside the subject, ids that look alike."""

from datetime import date
from typing import Any

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.documents import note
from fhirproxy.r4server.population.people import ROSTER
from fhirproxy.r4server.population.shapes import (
    EXAMPLE,
    HL7,
    LOINC,
    SNOMED,
    V3,
    category,
    concept,
    moment,
    quantity,
    refer,
    resource,
)

_ANA = refer("Patient", "ana")
_BEN = refer("Patient", "ben")
_DOCTOR = refer("Practitioner", "dr-grey")
_DAY = date(2023, 5, 15)


def resources() -> list[JsonObject]:
    """Return everything awkward; it stands on Patient/ana, Patient/ben and Practitioner/dr-grey."""
    return [*_look_alikes(), *_observations(), *_shared(), *_about_ben(), *_nested()]


def _look_alikes() -> list[JsonObject]:
    """Return a patient whose id differs from another's in case only."""
    shouting = resource(
        "Patient",
        "ANA",
        _DAY,
        identifier=[{"system": EXAMPLE + "mrn", "value": "MRN-10010"}],
        name=[{"family": "Lindqvist-Moreau", "given": ["Ana"]}],
        gender="female",
        birthDate="1984-05-13",
    )
    return [shouting, _observation("shouting-ana-weight", subject=refer("Patient", "ANA"))]


def _observations() -> list[JsonObject]:
    """Return observations whose subject is not the one patient they mention, or is hard to tell."""
    named_only = {"type": "Patient", "identifier": {"system": EXAMPLE + "mrn", "value": "MRN-1001"}, "display": "Ana"}
    contained_patient = {"resourceType": "Patient", "id": "p", "name": [{"family": "Lindqvist", "given": ["Ana"]}]}
    contained_condition = {"resourceType": "Condition", "id": "c", "subject": _BEN, "code": {"text": "Migraine"}}
    sister = {"url": EXAMPLE + "StructureDefinition/compared-with", "valueReference": _BEN}
    return [
        _observation("ben-pulse-taken-by-ana", subject=_BEN, performer=[_ANA]),
        _observation("ben-weight-focus-ana", subject=_BEN, focus=[_ANA]),
        _observation("family-household-water", subject=refer("Group", "ana-and-ben")),
        _observation("contained-subject", subject={"reference": "#p"}, contained=[contained_patient]),
        _observation("foreign-ana", subject={"reference": "https://other.example.org/fhir/Patient/ana"}),
        _observation("versioned-ana", subject={"reference": "Patient/ana/_history/1"}),
        _observation("subject-by-identifier", subject=named_only),
        _observation("without-subject"),
        _observation("subject-urn", subject={"reference": "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"}),
        _observation("ana-compared-with-ben", subject=_ANA, extension=[sister]),
        _observation("ana-member-of-ben", subject=_ANA, hasMember=[refer("Observation", "ben-pulse-taken-by-ana")]),
        _observation("ana-contains-ben", subject=_ANA, contained=[contained_condition]),
    ]


def _observation(observation_id: str, **elements: Any) -> JsonObject:
    return resource(
        "Observation",
        observation_id,
        _DAY,
        status="final",
        category=category(HL7 + "observation-category", "vital-signs", "Vital Signs"),
        code=concept(LOINC, "29463-7", "Body weight"),
        effectiveDateTime=moment(_DAY, 9),
        valueQuantity=quantity("70.10", "kg", "kg"),
        **elements,
    )


def _shared() -> list[JsonObject]:
    """Return resources that are about ana and ben at once."""
    return [
        resource(
            "Group",
            "ana-and-ben",
            _DAY,
            active=True,
            type="person",
            actual=True,
            name="Household on Orchard Lane",
            member=[{"entity": _ANA}, {"entity": _BEN}],
        ),
        resource("Account", "joint-account", _DAY, status="active", name="Household account", subject=[_ANA, _BEN]),
        resource(
            "Appointment",
            "joint-appointment",
            _DAY,
            status="booked",
            start="2025-11-03T14:00:00-05:00",
            end="2025-11-03T15:00:00-05:00",
            participant=[{"actor": each, "status": "accepted"} for each in (_ANA, _BEN, _DOCTOR)],
        ),
        resource(
            "Provenance",
            "joint-provenance",
            _DAY,
            target=[refer("Observation", "versioned-ana"), refer("Observation", "ben-pulse-taken-by-ana")],
            recorded="2023-05-15T17:00:00.000-05:00",
            agent=[{"who": _DOCTOR}],
        ),
    ]


def _about_ben() -> list[JsonObject]:
    """Return resources about ben in which ana has a part."""
    ben = next(person for person in ROSTER if person.id == "ben")
    letter, letter_bytes = note(ben, _DAY, with_context=True)
    return [
        resource(
            "Condition",
            "ben-migraine-said-by-ana",
            _DAY,
            clinicalStatus=concept(HL7 + "condition-clinical", "active", "Active"),
            category=category(HL7 + "condition-category", "problem-list-item", "Problem List Item"),
            code=concept(SNOMED, "37796009", "Migraine"),
            subject=_BEN,
            asserter=_ANA,
        ),
        {name: value for name, value in letter.items() if name != "context"} | {"author": [_ANA]},
        letter_bytes,
        resource(
            "Communication",
            "about-ben-to-ana",
            _DAY,
            status="completed",
            subject=_BEN,
            recipient=[_ANA],
            sender=_DOCTOR,
            payload=[{"contentString": "The results have arrived"}],
        ),
        resource(
            "Coverage",
            "ben-covered-by-ana",
            _DAY,
            status="active",
            subscriber=_ANA,
            beneficiary=_BEN,
            payor=[_ANA],
            relationship=concept(HL7 + "subscriber-relationship", "spouse", "Spouse"),
        ),
        resource(
            "RelatedPerson",
            "ana-as-wife-of-ben",
            _DAY,
            active=True,
            patient=_BEN,
            identifier=[{"system": EXAMPLE + "mrn", "value": "MRN-1001"}],
            relationship=[concept(V3 + "RoleCode", "WIFE", "wife")],
            name=[{"family": "Lindqvist", "given": ["Ana"]}],
        ),
        resource(
            "List",
            "ben-list-of-ana",
            _DAY,
            status="current",
            mode="working",
            subject=_BEN,
            entry=[{"item": refer("Observation", "versioned-ana")}, {"item": _ANA}],
        ),
        resource(
            "Basic", "ben-basic", _DAY, code=concept(HL7 + "basic-resource-type", "referral", "Referral"), subject=_BEN
        ),
    ]


def _nested() -> list[JsonObject]:
    """Return a document whose composition is ana's and whose entries are not all hers."""
    composition = {
        "resourceType": "Composition",
        "id": "summary",
        "status": "final",
        "type": concept(LOINC, "34133-9", "Summary of episode note"),
        "subject": _ANA,
        "date": "2023-05-15",
        "author": [_DOCTOR],
        "title": "Summary",
    }
    condition = {"resourceType": "Condition", "id": "inside", "subject": _BEN, "code": {"text": "Migraine"}}
    return [
        resource(
            "Bundle",
            "mixed-document",
            _DAY,
            identifier={"system": EXAMPLE + "documents", "value": "mixed"},
            type="document",
            timestamp="2023-05-15T17:00:00.000Z",
            entry=[
                {"fullUrl": "urn:uuid:0f0c5a0e-50f7-4d61-8a1c-0d6f6f4f2f01", "resource": composition},
                {"fullUrl": "urn:uuid:0f0c5a0e-50f7-4d61-8a1c-0d6f6f4f2f02", "resource": condition},
            ],
        )
    ]
