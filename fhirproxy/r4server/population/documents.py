"""Reports and documents of a patient, and the bytes they point to."""

import base64
import hashlib
from datetime import date

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.people import Person
from fhirproxy.r4server.population.shapes import (
    HL7,
    LOINC,
    US_CORE_CATEGORY,
    category,
    concept,
    moment,
    narrative,
    refer,
    resource,
)
from fhirproxy.r4server.population.visits import encounter_at, month_of, visits

_DOCTOR = refer("Practitioner", "dr-grey")
_LABORATORY = refer("Organization", "lakeview-hospital")
_LAB_NAMES = ("glucose", "hba1c", "potassium")


def resources_for(person: Person) -> list[JsonObject]:
    """Return the reports of a patient's laboratory days, and notes with their bytes."""
    days = visits(person)
    found = [_lab_report(person, day) for day in days[:: person.visits_a_year]]
    found.append(_imaging_report(person, days[2]))
    for number, day in enumerate((days[0], days[-1])):
        # A server need not say whose bytes they are: every other Binary has no securityContext.
        found += note(person, day, with_context=number == 0)
    return found


def note(person: Person, day: date, *, with_context: bool) -> list[JsonObject]:
    """Return a DocumentReference and the Binary with its text."""
    text = f"Visit of {person.name} on {day.isoformat()}. All figures are invented.\n".encode()
    note_id = f"{person.id}-note-{month_of(day)}"
    reference = resource(
        "DocumentReference",
        note_id,
        day,
        profile="us-core-documentreference",
        status="current",
        type=concept(LOINC, "34117-2", "History and physical note"),
        category=category(US_CORE_CATEGORY.replace("us-core-category", "us-core-documentreference-category"),
                          "clinical-note", "Clinical Note"),
        subject=person.reference,
        date=f"{day.isoformat()}T16:00:00.000-05:00",
        author=[_DOCTOR],
        custodian=refer("Organization", "hillside-clinic"),
        content=[
            {
                "attachment": {
                    "contentType": "text/plain; charset=utf-8",
                    "url": f"Binary/{note_id}",
                    "size": len(text),
                    "hash": base64.b64encode(hashlib.sha1(text, usedforsecurity=False).digest()).decode(),
                    "title": "Visit note",
                },
            }
        ],
        context={"encounter": [encounter_at(person, day)], "period": {"start": moment(day, 9), "end": moment(day, 10)}},
    )  # fmt: skip
    binary = resource(
        "Binary",
        note_id,
        day,
        contentType="text/plain; charset=utf-8",
        securityContext=refer("DocumentReference", note_id) if with_context else None,
        data=base64.b64encode(text).decode(),
    )
    return [reference, binary]


def _lab_report(person: Person, day: date) -> JsonObject:
    return resource(
        "DiagnosticReport",
        f"{person.id}-lab-report-{month_of(day)}",
        day,
        profile="us-core-diagnosticreport-lab",
        status="final",
        category=category(HL7 + "v2-0074", "LAB", "Laboratory"),
        code=concept(LOINC, "24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"),
        subject=person.reference,
        encounter=encounter_at(person, day),
        effectiveDateTime=moment(day, 10),
        issued=f"{day.isoformat()}T18:30:00.000-05:00",
        performer=[_LABORATORY],
        specimen=[refer("Specimen", f"{person.id}-blood-{month_of(day)}")],
        result=[refer("Observation", f"{person.id}-{name}-{month_of(day)}") for name in _LAB_NAMES],
    )


def _imaging_report(person: Person, day: date) -> JsonObject:
    return resource(
        "DiagnosticReport",
        f"{person.id}-chest-film",
        day,
        profile="us-core-diagnosticreport-note",
        text=narrative("Heart and lungs without finding"),
        status="final",
        category=category(LOINC, "LP29684-5", "Radiology"),
        code=concept(LOINC, "36643-5", "XR Chest 2 Views"),
        subject=person.reference,
        encounter=encounter_at(person, day),
        effectiveDateTime=moment(day, 14),
        issued=f"{day.isoformat()}T19:00:00.000-05:00",
        performer=[refer("Practitioner", "dr-oduya")],
        conclusion="Heart and lungs without finding",
    )
