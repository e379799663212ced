"""Observations: vital signs and laboratory values over the years, and one of each other US Core category."""

from datetime import date
from random import Random
from typing import Any

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.people import Person
from fhirproxy.r4server.population.shapes import (
    HL7,
    LOINC,
    SNOMED,
    US_CORE_CATEGORY,
    category,
    concept,
    moment,
    quantity,
    refer,
    resource,
    seeded,
)
from fhirproxy.r4server.population.visits import encounter_at, month_of, visits

_CATEGORY = HL7 + "observation-category"
_DOCTOR = refer("Practitioner", "dr-grey")
_LABORATORY = refer("Organization", "lakeview-hospital")

# name in the id, LOINC code, display, unit, UCUM code, lowest and highest in tenths, profile
_LAB_TESTS = (
    ("glucose", "2345-7", "Glucose [Mass/volume] in Serum or Plasma", "mg/dL", "mg/dL", 720, 1650),
    ("hba1c", "4548-4", "Hemoglobin A1c/Hemoglobin.total in Blood", "%", "%", 48, 92),
    ("potassium", "2823-3", "Potassium [Moles/volume] in Serum or Plasma", "mmol/L", "mmol/L", 34, 53),
)


def resources_for(person: Person) -> list[JsonObject]:
    """Return all observations of a patient."""
    chance = seeded(person.id, "observations")
    days = visits(person)
    height = chance.randint(1500, 1950) if person.born.year < 2005 else chance.randint(1000, 1400)
    weight = height * chance.randint(38, 55) // 100
    found: list[JsonObject] = []
    for day in days:
        weight += chance.randint(-12, 14)
        found.append(_vital(person, day, "weight", ("29463-7", "Body weight"), "us-core-body-weight", _kg(weight)))
        found.append(_blood_pressure(person, day, chance))
        rate = quantity(str(chance.randint(58, 96)), "beats/minute", "/min")
        found.append(_vital(person, day, "heart-rate", ("8867-4", "Heart rate"), "us-core-heart-rate", rate))
    for day in (days[0], days[-1]):
        tall = quantity(f"{height / 10:.1f}", "cm", "cm")
        found.append(_vital(person, day, "height", ("8302-2", "Body height"), "us-core-body-height", tall))
    for day in days[:: person.visits_a_year]:
        found += [_lab(person, day, test, chance) for test in _LAB_TESTS]
    return found + _others(person, days)


def _kg(tenths: int) -> JsonObject:
    return quantity(f"{tenths / 10:.1f}", "kg", "kg")


def _vital(
    person: Person, day: date, name: str, code: tuple[str, str], profile: str, value: JsonObject | None
) -> JsonObject:
    return resource(
        "Observation",
        f"{person.id}-{name}-{month_of(day)}",
        day,
        profile=profile,
        status="final",
        category=category(_CATEGORY, "vital-signs", "Vital Signs"),
        code=concept(LOINC, *code),
        subject=person.reference,
        encounter=encounter_at(person, day),
        effectiveDateTime=moment(day, 9, 30),
        performer=[_DOCTOR],
        valueQuantity=value,
    )


def _blood_pressure(person: Person, day: date, chance: Random) -> JsonObject:
    panel = ("85354-9", "Blood pressure panel with all children optional")
    observation = _vital(person, day, "blood-pressure", panel, "us-core-blood-pressure", None)
    observation["component"] = [
        {"code": concept(LOINC, code, display), "valueQuantity": quantity(str(value), "mmHg", "mm[Hg]")}
        for code, display, value in (
            ("8480-6", "Systolic blood pressure", chance.randint(102, 158)),
            ("8462-4", "Diastolic blood pressure", chance.randint(60, 98)),
        )
    ]
    return observation


def _lab(person: Person, day: date, test: tuple[str, str, str, str, str, int, int], chance: Random) -> JsonObject:
    name, code, display, unit, ucum, low, high = test
    tenths = chance.randint(low, high)
    return resource(
        "Observation",
        f"{person.id}-{name}-{month_of(day)}",
        day,
        profile="us-core-observation-lab",
        status="final",
        category=category(_CATEGORY, "laboratory", "Laboratory"),
        code=concept(LOINC, code, display),
        subject=person.reference,
        encounter=encounter_at(person, day),
        effectiveDateTime=moment(day, 10),
        issued=f"{day.isoformat()}T18:00:00.000-05:00",
        performer=[_LABORATORY],
        valueQuantity=quantity(f"{tenths / 10:.1f}", unit, ucum),
        specimen=refer("Specimen", f"{person.id}-blood-{month_of(day)}"),
        interpretation=[concept(HL7 + "v3-ObservationInterpretation", "N", "Normal")] if tenths < high // 2 else None,
    )


def _others(person: Person, days: list[date]) -> list[JsonObject]:
    """Return one observation of each of the categories that make no series."""
    first, last = days[0], days[-1]
    return [
        _single(
            person, first, "smoking", "us-core-smokingstatus", category(_CATEGORY, "social-history", "Social History"),
            concept(LOINC, "72166-2", "Tobacco smoking status"),
            valueCodeableConcept=concept(SNOMED, "266919005", "Never smoked tobacco"),
        ),
        _single(
            person, last, "occupation", "us-core-observation-occupation",
            category(_CATEGORY, "social-history", "Social History"), concept(LOINC, "11341-5", "History of Occupation"),
            valueCodeableConcept={"text": "Bookbinder"},
        ),
        _single(
            person, last, "phq-2", "us-core-observation-screening-assessment", category(_CATEGORY, "survey", "Survey"),
            concept(LOINC, "55758-7", "Patient Health Questionnaire 2 item total score"),
            valueInteger=len(person.id) % 7,
            derivedFrom=[refer("QuestionnaireResponse", f"{person.id}-phq-2")],
        ),
        _single(
            person, last, "housing", "us-core-observation-screening-assessment",
            category(US_CORE_CATEGORY, "sdoh", "SDOH") + category(_CATEGORY, "survey", "Survey"),
            concept(LOINC, "71802-3", "Housing status"),
            valueCodeableConcept=concept(LOINC, "LA31993-1", "I have a steady place to live"),
        ),
        _single(
            person, last, "foot-exam", "us-core-observation-clinical-result", category(_CATEGORY, "exam", "Exam"),
            concept(SNOMED, "401191002", "Diabetic foot examination"),
            valueString="No lesions; pulses palpable",
        ),
        _single(
            person, first, "ejection-fraction", "us-core-observation-clinical-result",
            category(_CATEGORY, "procedure", "Procedure"),
            concept(LOINC, "10230-1", "Left ventricular Ejection fraction"),
            valueQuantity=quantity("60", "%", "%"),
        ),
    ]  # fmt: skip


def _single(
    person: Person, day: date, name: str, profile: str, categories: list[JsonObject], code: JsonObject, **value: Any
) -> JsonObject:
    return resource(
        "Observation",
        f"{person.id}-{name}",
        day,
        profile=profile,
        status="final",
        category=categories,
        code=code,
        subject=person.reference,
        effectiveDateTime=moment(day, 11),
        performer=[_DOCTOR],
        **value,
    )
