"""What is planned for a patient and around it: team, plan, goals, orders, coverage, appointments, provenance."""

from datetime import date, timedelta

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.people import Person, related_person
from fhirproxy.r4server.population.shapes import (
    EXAMPLE,
    HL7,
    LOINC,
    SNOMED,
    V3,
    category,
    concept,
    moment,
    narrative,
    quantity,
    refer,
    resource,
)
from fhirproxy.r4server.population.visits import encounter_at, month_of, visits

_CAREPLAN_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/careplan-category"
_DOCTOR = refer("Practitioner", "dr-grey")
_CLINIC = refer("Organization", "hillside-clinic")


def resources_for(person: Person) -> list[JsonObject]:
    """Return the care around a patient."""
    days = visits(person)
    return [
        related_person(person),
        *_plan(person, days[0]),
        _order(person, days[1]),
        *(_specimen(person, day) for day in days[:: person.visits_a_year]),
        _coverage(person),
        _appointment(person, days[-1] + timedelta(days=60)),
        _answers(person, days[-1]),
        _problem_list(person, days[-1]),
        *_provenance(person, days),
    ]


def _plan(person: Person, day: date) -> list[JsonObject]:
    team = resource(
        "CareTeam",
        f"{person.id}-team",
        day,
        profile="us-core-careteam",
        status="active",
        subject=person.reference,
        participant=[
            {"role": [concept(SNOMED, "446050000", "Primary care provider")], "member": _DOCTOR},
            {"role": [concept(SNOMED, "116154003", "Patient")], "member": person.reference},
        ],
        managingOrganization=[_CLINIC],
    )
    goal = resource(
        "Goal",
        f"{person.id}-goal",
        day,
        profile="us-core-goal",
        lifecycleStatus="active",
        achievementStatus=concept(HL7 + "goal-achievement", "in-progress", "In Progress"),
        description={"text": "Walk half an hour a day"},
        subject=person.reference,
        startDate=day.isoformat(),
        target=[
            {
                "measure": concept(LOINC, "8867-4", "Heart rate"),
                "detailQuantity": quantity("70", "beats/minute", "/min"),
                "dueDate": (day + timedelta(days=365)).isoformat(),
            }
        ],
    )
    plan = resource(
        "CarePlan",
        f"{person.id}-plan",
        day,
        profile="us-core-careplan",
        text=narrative("Regular exercise and a check every half year"),
        status="active",
        intent="plan",
        category=category(_CAREPLAN_CATEGORY, "assess-plan", "Assessment and Plan of Treatment"),
        subject=person.reference,
        period={"start": day.isoformat()},
        careTeam=[refer("CareTeam", f"{person.id}-team")],
        goal=[refer("Goal", f"{person.id}-goal")],
    )
    return [team, goal, plan]


def _order(person: Person, day: date) -> JsonObject:
    return resource(
        "ServiceRequest",
        f"{person.id}-order",
        day,
        profile="us-core-servicerequest",
        status="completed",
        intent="order",
        category=[concept(SNOMED, "108252007", "Laboratory procedure")],
        code=concept(LOINC, "24323-8", "Comprehensive metabolic 2000 panel - Serum or Plasma"),
        subject=person.reference,
        encounter=encounter_at(person, day),
        occurrenceDateTime=moment(day, 10),
        authoredOn=moment(day, 9),
        requester=_DOCTOR,
    )


def _specimen(person: Person, day: date) -> JsonObject:
    return resource(
        "Specimen",
        f"{person.id}-blood-{month_of(day)}",
        day,
        profile="us-core-specimen",
        type=concept(SNOMED, "119297000", "Blood specimen"),
        subject=person.reference,
        collection={"collectedDateTime": moment(day, 9, 50)},
    )


def _coverage(person: Person) -> JsonObject:
    return resource(
        "Coverage",
        f"{person.id}-coverage",
        date(2021, 1, 2),
        profile="us-core-coverage",
        identifier=[{"type": concept(HL7 + "v2-0203", "MB", "Member Number"), "system": EXAMPLE + "members",
                     "value": f"CM-{person.id}"}],
        status="active",
        type=concept(V3 + "ActCode", "HIP", "health insurance plan policy"),
        subscriberId=f"CM-{person.id}",
        beneficiary=person.reference,
        relationship=concept(HL7 + "subscriber-relationship", "self", "Self"),
        period={"start": "2021-01-01"},
        payor=[refer("Organization", "commonwealth-mutual")],
    )  # fmt: skip


def _appointment(person: Person, day: date) -> JsonObject:
    return resource(
        "Appointment",
        f"{person.id}-appointment",
        day - timedelta(days=60),
        status="booked",
        serviceType=[concept(HL7 + "service-type", "124", "General Practice")],
        start=f"{day.isoformat()}T09:00:00-05:00",
        end=f"{day.isoformat()}T09:30:00-05:00",
        participant=[
            {"actor": person.reference, "status": "accepted"},
            {"actor": _DOCTOR, "status": "accepted"},
            {"actor": refer("Location", "hillside-main"), "status": "accepted"},
        ],
    )


def _answers(person: Person, day: date) -> JsonObject:
    total = len(person.id) % 7
    answers = (("44250-9", min(total, 3)), ("44255-8", max(total - 3, 0)))
    return resource(
        "QuestionnaireResponse",
        f"{person.id}-phq-2",
        day,
        profile="us-core-questionnaireresponse",
        questionnaire=EXAMPLE + "Questionnaire/phq-2|1.0",
        status="completed",
        subject=person.reference,
        encounter=encounter_at(person, day),
        authored=moment(day, 9, 20),
        author=person.reference,
        item=[{"linkId": link_id, "answer": [{"valueInteger": score}]} for link_id, score in answers],
    )


def _problem_list(person: Person, day: date) -> JsonObject:
    return resource(
        "List",
        f"{person.id}-problems",
        day,
        status="current",
        mode="working",
        code=concept(LOINC, "11450-4", "Problem list - Reported"),
        subject=person.reference,
        date=moment(day, 10),
        source=_DOCTOR,
        entry=[{"item": refer("Condition", f"{person.id}-problem-{number}")} for number in (1, 2)],
    )


def _provenance(person: Person, days: list[date]) -> list[JsonObject]:
    targets = (
        ("prescription", days[0], [refer("MedicationRequest", f"{person.id}-prescription-1")]),
        ("note", days[-1], [refer("DocumentReference", f"{person.id}-note-{month_of(days[-1])}")]),
    )
    return [
        resource(
            "Provenance",
            f"{person.id}-provenance-{name}",
            day,
            profile="us-core-provenance",
            target=target,
            recorded=f"{day.isoformat()}T17:00:00.000-05:00",
            agent=[
                {
                    "type": concept(HL7 + "provenance-participant-type", "author", "Author"),
                    "who": _DOCTOR,
                    "onBehalfOf": _CLINIC,
                }
            ],
        )
        for name, day, target in targets
    ]
