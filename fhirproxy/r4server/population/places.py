"""What belongs to no patient: organizations, locations, staff, schedules, medications, the questionnaire."""

from datetime import date

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.shapes import EXAMPLE, HL7, LOINC, RXNORM, SNOMED, V3, concept, refer, resource

_OPENED = date(2020, 12, 15)

# id, given, family, specialty (SNOMED code, display)
_STAFF = (
    ("dr-grey", "Alma", "Grey", ("419772000", "Family practice")),
    ("dr-oduya", "Tobias", "Oduya", ("394579002", "Cardiology")),
    ("dr-lamarre", "Noelle", "Lamarre", ("394584008", "Gastroenterology")),
    ("dr-szabo", "Ilka", "Szabo", ("394587001", "Psychiatry")),
    ("nurse-pike", "Rowan", "Pike", ("408443003", "General medical practice")),
)

# id, RxNorm code, display
MEDICATIONS = (
    ("lisinopril-10", "314076", "lisinopril 10 MG Oral Tablet"),
    ("metformin-500", "861007", "metformin hydrochloride 500 MG Oral Tablet"),
    ("atorvastatin-20", "617318", "atorvastatin 20 MG Oral Tablet"),
    ("sertraline-50", "312941", "sertraline 50 MG Oral Tablet"),
)


def all_places() -> list[JsonObject]:
    """Return everything that belongs to no patient."""
    rest = [resource_ for staff in _STAFF[1:] for resource_ in _practitioner(*staff)]
    return essentials() + rest + [_hospital(), _payer(), *_locations(), *_medications(), _questionnaire()]


def essentials() -> list[JsonObject]:
    """Return Dr Grey, her role, her schedule and the clinic."""
    clinic = _organization("hillside-clinic", "Hillside Family Clinic", "prov", "Healthcare Provider")
    return [clinic, *_practitioner(*_STAFF[0])]


def _practitioner(staff_id: str, given: str, family: str, specialty: tuple[str, str]) -> list[JsonObject]:
    title = "Dr." if staff_id.startswith("dr-") else "Nurse"
    person = resource(
        "Practitioner",
        staff_id,
        _OPENED,
        profile="us-core-practitioner",
        identifier=[{"system": EXAMPLE + "staff", "value": staff_id.upper()}],
        active=True,
        name=[{"family": family, "given": [given], "prefix": [title]}],
        telecom=[{"system": "email", "value": f"{staff_id}@hillside.example.org"}],
    )
    role = resource(
        "PractitionerRole",
        f"{staff_id}-role",
        _OPENED,
        profile="us-core-practitionerrole",
        active=True,
        practitioner=refer("Practitioner", staff_id, f"{given} {family}"),
        organization=refer("Organization", "hillside-clinic"),
        specialty=[concept(SNOMED, *specialty)],
        location=[refer("Location", "hillside-main")],
        telecom=[{"system": "phone", "value": "555-0100"}],
    )
    schedule = resource(
        "Schedule",
        f"{staff_id}-schedule",
        _OPENED,
        active=True,
        actor=[refer("Practitioner", staff_id), refer("Location", "hillside-main")],
        planningHorizon={"start": "2021-01-01", "end": "2025-12-31"},
    )
    return [person, role, schedule]


def _organization(organization_id: str, name: str, kind: str, kind_display: str) -> JsonObject:
    return resource(
        "Organization",
        organization_id,
        _OPENED,
        profile="us-core-organization",
        identifier=[{"system": EXAMPLE + "organizations", "value": organization_id}],
        active=True,
        type=[concept(HL7 + "organization-type", kind, kind_display)],
        name=name,
        telecom=[{"system": "phone", "value": "555-0100"}],
        address=[{"line": ["1 Hillside Road"], "city": "Springfield", "state": "MA", "postalCode": "01101"}],
    )


def _hospital() -> JsonObject:
    return _organization("lakeview-hospital", "Lakeview Hospital", "prov", "Healthcare Provider")


def _payer() -> JsonObject:
    return _organization("commonwealth-mutual", "Commonwealth Mutual", "pay", "Payer")


def _locations() -> list[JsonObject]:
    return [
        resource(
            "Location",
            location_id,
            _OPENED,
            profile="us-core-location",
            status="active",
            name=name,
            type=[concept(V3 + "RoleCode", code, display)],
            address={"line": ["1 Hillside Road"], "city": "Springfield", "state": "MA"},
            managingOrganization=refer("Organization", organization),
        )
        for location_id, name, code, display, organization in (
            ("hillside-main", "Hillside Main Building", "OF", "Outpatient facility", "hillside-clinic"),
            ("hillside-lab", "Hillside Laboratory", "HLAB", "hospital laboratory", "hillside-clinic"),
            ("lakeview-ward-3", "Lakeview Ward 3", "HU", "Hospital unit", "lakeview-hospital"),
        )
    ]


def _medications() -> list[JsonObject]:
    return [
        resource(
            "Medication",
            medication_id,
            _OPENED,
            profile="us-core-medication",
            code=concept(RXNORM, code, display),
            status="active",
        )
        for medication_id, code, display in MEDICATIONS
    ]


def _questionnaire() -> JsonObject:
    questions = (("44250-9", "Little interest or pleasure in doing things"), ("44255-8", "Feeling down or hopeless"))
    return resource(
        "Questionnaire",
        "phq-2",
        _OPENED,
        url=EXAMPLE + "Questionnaire/phq-2",
        version="1.0",
        status="active",
        title="PHQ-2",
        subjectType=["Patient"],
        code=[{"system": LOINC, "code": "55757-9", "display": "PHQ-2"}],
        item=[
            {"linkId": code, "text": text, "type": "integer", "code": [{"system": LOINC, "code": code}]}
            for code, text in questions
        ],
    )
