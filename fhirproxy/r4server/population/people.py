"""The patients, the people around them and the groups they form."""

from dataclasses import dataclass
from datetime import date

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.population.shapes import (
    EXAMPLE,
    HL7,
    SNOMED,
    US_CORE,
    V3,
    coding,
    concept,
    refer,
    resource,
)

_OMB = "urn:oid:2.16.840.1.113883.6.238"


@dataclass(frozen=True, slots=True)
class Person:
    """One invented patient."""

    id: str
    given: str
    family: str
    gender: str  # "female", "male", "other" or "unknown"
    born: date
    race: str  # OMB code
    ethnicity: str  # OMB code
    city: str
    visits_a_year: int = 2
    died: date | None = None

    @property
    def name(self) -> str:
        """Return the name as it is read out."""
        return f"{self.given} {self.family}"

    @property
    def reference(self) -> dict[str, str]:
        """Return the Reference to the patient."""
        return refer("Patient", self.id)


_RACES = {
    "1002-5": "American Indian or Alaska Native",
    "2028-9": "Asian",
    "2054-5": "Black or African American",
    "2076-8": "Native Hawaiian or Other Pacific Islander",
    "2106-3": "White",
}
_ETHNICITIES = {"2135-2": "Hispanic or Latino", "2186-5": "Not Hispanic or Latino"}

# The ids of the first five differ from each other by a suffix or a separator only.
ROSTER = (
    Person("ana", "Ana", "Lindqvist", "female", date(1984, 5, 12), "2106-3", "2135-2", "Springfield", 4),
    Person("ben", "Ben", "Okafor", "male", date(1979, 11, 3), "2054-5", "2186-5", "Springfield", 4),
    Person("ana2", "Ana", "Lindholm", "female", date(1990, 2, 28), "2106-3", "2186-5", "Riverton"),
    Person("ana-maria", "Ana Maria", "Duarte", "female", date(1984, 5, 12), "2106-3", "2135-2", "Springfield"),
    Person("ben.1", "Ben", "Oakley", "male", date(1979, 11, 3), "2106-3", "2186-5", "Fairview"),
    Person("chiyo", "Chiyo", "Marumoto", "female", date(1951, 8, 19), "2028-9", "2186-5", "Fairview"),
    Person("dmitri", "Dmitri", "Halvorsen", "male", date(1966, 1, 30), "2106-3", "2186-5", "Georgetown"),
    Person("esther", "Esther", "Nakamba", "female", date(2001, 12, 24), "2054-5", "2186-5", "Riverton"),
    Person("farid", "Farid", "Zamani", "male", date(1973, 4, 5), "2106-3", "2186-5", "Georgetown"),
    Person("greta", "Greta", "Vossberg", "female", date(1944, 6, 6), "2106-3", "2186-5", "Springfield"),
    Person("hana", "Hana", "Tsosiebe", "female", date(1988, 9, 14), "1002-5", "2186-5", "Fairview"),
    Person("ivo", "Ivo", "Castellan", "male", date(2012, 3, 1), "2106-3", "2135-2", "Riverton"),
    Person("jolene", "Jolene", "Achterberg", "female", date(1995, 7, 22), "2106-3", "2186-5", "Springfield"),
    Person("keoni", "Keoni", "Mahealoa", "male", date(1982, 10, 10), "2076-8", "2186-5", "Georgetown"),
    Person("lucia", "Lucía", "Ferreiro", "female", date(1969, 2, 14), "2106-3", "2135-2", "Fairview"),
    Person("marek", "Marek", "Wysznik", "male", date(1957, 5, 27), "2106-3", "2186-5", "Riverton"),
    Person("noor", "Noor", "Haddadin", "other", date(1999, 11, 11), "2106-3", "2186-5", "Springfield"),
    Person("olamide", "Olamide", "Fagbure", "male", date(1991, 1, 17), "2054-5", "2186-5", "Georgetown"),
    Person("petra", "Petra", "Soellner", "female", date(1948, 12, 2), "2106-3", "2186-5", "Riverton"),
    Person("quentin", "Quentin", "Bramhall", "male", date(2018, 8, 8), "2106-3", "2186-5", "Fairview"),
    Person("rosa", "Rosa", "Iturbide", "female", date(1976, 3, 29), "2106-3", "2135-2", "Springfield"),
    Person("sanjay", "Sanjay", "Venkatraju", "male", date(1962, 7, 4), "2028-9", "2186-5", "Georgetown"),
    Person("tamsin", "Tamsin", "Pellowe", "unknown", date(1986, 4, 21), "2106-3", "2186-5", "Riverton"),
    Person("umberto", "Umberto", "Ghislanzo", "male", date(1939, 9, 9), "2106-3", "2186-5", "Fairview",
           died=date(2025, 1, 14)),
)  # fmt: skip


def patient(person: Person) -> JsonObject:
    """Return the Patient resource of a person."""
    number = ROSTER.index(person) + 1
    return resource(
        "Patient",
        person.id,
        date(2021, 1, 1 + number),
        profile="us-core-patient",
        extension=[
            _omb_extension("us-core-race", person.race, _RACES[person.race]),
            _omb_extension("us-core-ethnicity", person.ethnicity, _ETHNICITIES[person.ethnicity]),
        ],
        identifier=[
            {
                "use": "usual",
                "type": concept(HL7 + "v2-0203", "MR", "Medical record number"),
                "system": EXAMPLE + "mrn",
                "value": f"MRN-{1000 + number}",
            },
            {"system": "urn:oid:2.16.840.1.113883.19.5.99999.1", "value": f"{person.id}-19"},
        ],
        active=True,
        name=[{"use": "official", "text": person.name, "family": person.family, "given": person.given.split()}],
        telecom=[
            {"system": "phone", "value": f"555-01{number:02d}", "use": "home"},
            {"system": "email", "value": f"{person.id}@patients.example.org"},
        ],
        gender=person.gender,
        birthDate=person.born.isoformat(),
        deceasedDateTime=person.died.isoformat() if person.died else None,
        address=[
            {
                "use": "home",
                "line": [f"{number * 7} Orchard Lane"],
                "city": person.city,
                "state": "MA",
                "postalCode": f"01{100 + number}",
                "country": "US",
            }
        ],
        maritalStatus=concept(V3 + "MaritalStatus", "M", "Married") if number % 3 == 0 else None,
        communication=[{"language": concept("urn:ietf:bcp:47", "en-US", "English (United States)"), "preferred": True}],
        generalPractitioner=[refer("Practitioner", "dr-grey")],
        managingOrganization=refer("Organization", "hillside-clinic"),
    )


def related_person(person: Person) -> JsonObject:
    """Return somebody close to the patient."""
    return resource(
        "RelatedPerson",
        f"{person.id}-sister",
        date(2021, 3, 1),
        profile="us-core-relatedperson",
        active=True,
        patient=person.reference,
        relationship=[concept(V3 + "RoleCode", "SIS", "sister")],
        name=[{"family": person.family, "given": ["Mirela"]}],
        telecom=[{"system": "phone", "value": "555-0199"}],
    )


def groups() -> list[JsonObject]:
    """Return groups of several patients: a cohort, and the members of a study."""
    return [
        _group("diabetes-cohort", "Diabetes cohort", [person for person in ROSTER if person.born.year < 1970]),
        _group("springfield-panel", "Springfield panel", [each for each in ROSTER if each.city == "Springfield"]),
    ]


def _group(group_id: str, name: str, members: list[Person]) -> JsonObject:
    return resource(
        "Group",
        group_id,
        date(2022, 6, 1),
        active=True,
        type="person",
        actual=True,
        code=concept(SNOMED, "389109008", "Group"),
        name=name,
        quantity=len(members),
        managingEntity=refer("Organization", "hillside-clinic"),
        member=[{"entity": person.reference} for person in members],
    )


def _omb_extension(name: str, code: str, display: str) -> JsonObject:
    return {
        "url": US_CORE + name,
        "extension": [
            {"url": "ombCategory", "valueCoding": coding(_OMB, code, display)},
            {"url": "text", "valueString": display},
        ],
    }
