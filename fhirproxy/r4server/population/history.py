"""What happened to a patient: encounters, conditions, allergies, medications, immunizations, procedures."""

from datetime import date, timedelta

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.people import Person
from fhirproxy.r4server.population.places import MEDICATIONS
from fhirproxy.r4server.population.shapes import (
    CVX,
    HL7,
    ICD10,
    LOINC,
    RXNORM,
    SNOMED,
    US_CORE_CONDITION_CATEGORY,
    V3,
    category,
    concept,
    moment,
    quantity,
    refer,
    resource,
    seeded,
)
from fhirproxy.r4server.population.visits import encounter_at, month_of, visits

_DOCTOR = refer("Practitioner", "dr-grey")
_CONDITION_CATEGORY = HL7 + "condition-category"

# SNOMED code, ICD-10-CM code, display
_PROBLEMS = (
    ("38341003", "I10", "Hypertension"),
    ("44054006", "E11.9", "Type 2 diabetes mellitus"),
    ("195967001", "J45.909", "Asthma"),
    ("35489007", "F32.9", "Depressive disorder"),
)


def resources_for(person: Person) -> list[JsonObject]:
    """Return the clinical history of a patient, without observations."""
    days = visits(person)
    found = [_encounter(person, day) for day in days]
    found += _conditions(person, days)
    found += _allergies(person, days)
    found += _medications(person, days)
    found += _immunizations(person, days)
    found.append(_procedure(person, days[1]))
    found.append(_device(person, days[1]))
    found.append(_family_history(person, days[0]))
    return found


def _encounter(person: Person, day: date) -> JsonObject:
    return resource(
        "Encounter",
        f"{person.id}-encounter-{month_of(day)}",
        day,
        profile="us-core-encounter",
        status="finished",
        **{"class": {"system": V3 + "ActCode", "code": "AMB", "display": "ambulatory"}},
        type=[concept(SNOMED, "185349003", "Encounter for check up")],
        subject=person.reference,
        participant=[{"individual": _DOCTOR}],
        period={"start": moment(day, 9), "end": moment(day, 10)},
        location=[{"location": refer("Location", "hillside-main", "Hillside Clinic, main building")}],
        serviceProvider=refer("Organization", "hillside-clinic"),
    )


def _conditions(person: Person, days: list[date]) -> list[JsonObject]:
    chance = seeded(person.id, "conditions")
    problems = chance.sample(_PROBLEMS, 2)
    concern = concept(SNOMED, "73438004", "Unemployed")
    found = [
        _condition(
            person, days[number], f"problem-{number + 1}",
            (_CONDITION_CATEGORY, "problem-list-item", "Problem List Item"),
            {"coding": [*concept(SNOMED, snomed, display)["coding"], *concept(ICD10, icd10, display)["coding"]],
             "text": display},
        )
        for number, (snomed, icd10, display) in enumerate(problems)
    ]  # fmt: skip
    diagnosis = _condition(
        person,
        days[-1],
        "diagnosis",
        (_CONDITION_CATEGORY, "encounter-diagnosis", "Encounter Diagnosis"),
        concept(SNOMED, "444814009", "Viral sinusitis"),
    )
    diagnosis["meta"]["profile"] = [
        "http://hl7.org/fhir/us/core/StructureDefinition/us-core-condition-encounter-diagnosis"
    ]
    diagnosis["encounter"] = encounter_at(person, days[-1])
    health_concern = (US_CORE_CONDITION_CATEGORY, "health-concern", "Health Concern")
    found += [diagnosis, _condition(person, days[2], "concern", health_concern, concern)]
    for condition in found:
        if any(coded["code"] == "35489007" for coded in condition["code"]["coding"]):
            condition["meta"]["security"] = [{"system": V3 + "Confidentiality", "code": "R", "display": "restricted"}]
    return found


def _condition(person: Person, day: date, name: str, categorised: tuple[str, str, str], code: JsonObject) -> JsonObject:
    return resource(
        "Condition",
        f"{person.id}-{name}",
        day,
        profile="us-core-condition-problems-health-concerns",
        clinicalStatus=concept(HL7 + "condition-clinical", "active", "Active"),
        verificationStatus=concept(HL7 + "condition-ver-status", "confirmed", "Confirmed"),
        category=category(*categorised),
        code=code,
        subject=person.reference,
        onsetDateTime=day.isoformat(),
        recordedDate=day.isoformat(),
        recorder=_DOCTOR,
        asserter=_DOCTOR,
    )


def _allergies(person: Person, days: list[date]) -> list[JsonObject]:
    return [
        resource(
            "AllergyIntolerance",
            f"{person.id}-allergy-{name}",
            days[0],
            profile="us-core-allergyintolerance",
            clinicalStatus=concept(HL7 + "allergyintolerance-clinical", "active", "Active"),
            verificationStatus=concept(HL7 + "allergyintolerance-verification", "confirmed", "Confirmed"),
            type="allergy",
            category=[kind],
            criticality=criticality,
            code=concept(SNOMED, code, display),
            patient=person.reference,
            recordedDate=days[0].isoformat(),
            recorder=_DOCTOR,
            reaction=[{"manifestation": [concept(SNOMED, "271807003", "Eruption of skin")], "severity": "mild"}],
        )
        for name, kind, criticality, code, display in (
            ("penicillin", "medication", "high", "764146007", "Penicillin"),
            ("peanut", "food", "low", "762952008", "Peanut"),
        )
    ]


def _medications(person: Person, days: list[date]) -> list[JsonObject]:
    """Return a course by reference to a Medication, a course by code, and what was dispensed for the first."""
    chance = seeded(person.id, "medications")
    by_reference, by_code = chance.sample(MEDICATIONS, 2)
    ordered = (
        ("1", {"medicationReference": refer("Medication", by_reference[0], by_reference[2])}, days[0], "active"),
        ("2", {"medicationCodeableConcept": concept(RXNORM, *by_code[1:])}, days[-1], "completed"),
    )
    found = [
        resource(
            "MedicationRequest",
            f"{person.id}-prescription-{number}",
            day,
            profile="us-core-medicationrequest",
            status=status,
            intent="order",
            category=category(HL7 + "medicationrequest-category", "community", "Community"),
            **medication,
            subject=person.reference,
            encounter=encounter_at(person, day),
            authoredOn=moment(day, 10),
            requester=_DOCTOR,
            dosageInstruction=[{"text": "One tablet daily", "timing": {"repeat": {"boundsPeriod": _quarter(day)}}}],
        )
        for number, medication, day, status in ordered
    ]
    collected = days[0] + timedelta(days=2)
    found.append(
        resource(
            "MedicationDispense",
            f"{person.id}-dispense-1",
            collected,
            profile="us-core-medicationdispense",
            status="completed",
            medicationReference=refer("Medication", by_reference[0]),
            subject=person.reference,
            authorizingPrescription=[refer("MedicationRequest", f"{person.id}-prescription-1")],
            type=concept(V3 + "ActCode", "FF", "First Fill"),
            quantity=quantity("30", "tablet", "{tbl}"),
            whenHandedOver=moment(collected, 15),
        )
    )
    return found


def _quarter(day: date) -> JsonObject:
    return {"start": day.isoformat(), "end": (day + timedelta(days=90)).isoformat()}


def _immunizations(person: Person, days: list[date]) -> list[JsonObject]:
    return [
        resource(
            "Immunization",
            f"{person.id}-influenza-{day.year}",
            day,
            profile="us-core-immunization",
            status="completed",
            vaccineCode=concept(CVX, "140", "Influenza, seasonal, injectable, preservative free"),
            patient=person.reference,
            encounter=encounter_at(person, day),
            occurrenceDateTime=moment(day, 9, 45),
            primarySource=True,
            location=refer("Location", "hillside-main"),
            performer=[{"actor": refer("Practitioner", "nurse-pike")}],
        )
        for day in days[1 :: person.visits_a_year]
    ]


def _procedure(person: Person, day: date) -> JsonObject:
    return resource(
        "Procedure",
        f"{person.id}-procedure",
        day,
        profile="us-core-procedure",
        status="completed",
        code=concept(SNOMED, "80146002", "Excision of appendix"),
        subject=person.reference,
        encounter=encounter_at(person, day),
        performedPeriod={"start": moment(day, 13), "end": moment(day, 15)},
        performer=[{"actor": refer("Practitioner", "dr-lamarre")}],
    )


def _device(person: Person, day: date) -> JsonObject:
    return resource(
        "Device",
        f"{person.id}-pacemaker",
        day,
        profile="us-core-implantable-device",
        udiCarrier=[{"deviceIdentifier": "00844588003288", "carrierHRF": f"(01)00844588003288(21){person.id}"}],
        status="active",
        deviceName=[{"name": "Cadence 3 pacemaker", "type": "user-friendly-name"}],
        type=concept(SNOMED, "14106009", "Cardiac pacemaker"),
        patient=person.reference,
    )


def _family_history(person: Person, day: date) -> JsonObject:
    return resource(
        "FamilyMemberHistory",
        f"{person.id}-mother",
        day,
        status="completed",
        patient=person.reference,
        date=day.isoformat(),
        relationship=concept(V3 + "RoleCode", "MTH", "mother"),
        condition=[
            {
                "code": concept(SNOMED, "44054006", "Type 2 diabetes mellitus"),
                "onsetAge": quantity("52", "years", "a"),
            }
        ],
        note=[{"text": f"Told at the visit of {day.isoformat()}"}],
        reasonCode=[concept(LOINC, "10157-6", "History of family member diseases")],
    )
