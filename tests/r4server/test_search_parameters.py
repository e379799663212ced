"""Each kind of search parameter, its prefixes and modifiers, alternatives and conjunctions."""

from typing import Any

import pytest

from tests.r4server.caller import Caller

LOINC = "http://loinc.org"
ANA = {"reference": "Patient/ana"}
BEN = {"reference": "Patient/ben"}


def _observation(observation_id: str, day: str, value: float | None, **elements: Any) -> dict[str, Any]:
    measured = {"valueQuantity": {"value": value, "system": "http://unitsofmeasure.org", "code": "kg"}}
    return {
        "resourceType": "Observation",
        "id": observation_id,
        "status": "final",
        "code": {"coding": [{"system": LOINC, "code": "29463-7", "display": "Body weight"}]},
        "effectiveDateTime": day,
        **(measured if value else {}),
        **elements,
    }


RESOURCES: list[dict[str, Any]] = [
    {"resourceType": "Patient", "id": "ana", "gender": "female", "birthDate": "1984-05-12",
     "identifier": [{"system": "urn:mrn", "value": "A,1"}], "name": [{"family": "Lindqvist", "given": ["Ána"]}],
     "address": [{"city": "Springfield"}], "telecom": [{"system": "phone", "value": "555"}],
     "meta": {"tag": [{"system": "urn:tags", "code": "demo"}], "lastUpdated": "2021-06-01T10:00:00Z",
              "profile": ["http://example.org/p|1"], "security": [{"system": "urn:labels", "code": "R"}]}},
    {"resourceType": "Patient", "id": "ben", "gender": "male", "birthDate": "1979-11-03", "deceasedBoolean": True,
     "identifier": [{"system": "urn:other", "value": "A,1"}], "name": [{"family": "Okafor"}],
     "meta": {"lastUpdated": "2022-06-01T10:00:00Z"}},
    _observation("o1", "2021-03-04", 70.1, subject=ANA, performer=[BEN]),
    _observation("o2", "2021-03-31T23:30:00-05:00", 71.5, subject=BEN),
    _observation("o3", "2022", None, subject={"reference": "https://other.example.org/fhir/Patient/ana"}),
    _observation("o4", "2023-01-01", None, subject={"reference": "Group/ana"}, valueString="Ample rest",
                 component=[{"code": {"coding": [{"system": LOINC, "code": "8480-6"}]},
                             "valueQuantity": {"value": 120, "code": "mm[Hg]"}}]),
    _observation("o5", "2024-01-01", None, subject={"reference": "#p"},
                 contained=[{"resourceType": "Patient", "id": "p"}]),
    _observation("o6", "2024-02-01", None, subject={"reference": "Patient/ana/_history/1"}),
    _observation("o7", "2024-03-01", None,
                 subject={"type": "Patient", "identifier": {"system": "urn:mrn", "value": "7"}}),
    {"resourceType": "Encounter", "id": "e1", "status": "finished", "subject": ANA,
     "period": {"start": "2021-01-01", "end": "2021-02-01"}},
    {"resourceType": "Encounter", "id": "e2", "status": "in-progress", "subject": BEN,
     "period": {"start": "2021-01-15"}},
    {"resourceType": "RiskAssessment", "id": "r1", "status": "final", "subject": ANA,
     "prediction": [{"probabilityDecimal": 0.25}]},
    {"resourceType": "ValueSet", "id": "v1", "url": "http://example.org/vs/1", "status": "active"},
]  # fmt: skip

CASES = [
    # token
    ("Patient?gender=female", "ana"),
    ("Patient?gender=female,male", "ana ben"),
    ("Patient?gender:not=female", "ben"),
    ("Patient?identifier=A\\,1", "ana ben"),
    ("Patient?identifier=urn:mrn|A\\,1", "ana"),
    ("Patient?identifier=urn:mrn|", "ana"),
    ("Patient?phone=555", "ana"),
    ("Patient?deceased=true", "ben"),
    ("Patient?_id=ana", "ana"),
    ("Patient?_id=an", ""),
    ("Patient?_tag=urn:tags|demo", "ana"),
    ("Patient?_security=R", "ana"),
    ("Observation?code=29463-7&value-string=ample", "o4"),
    ("Observation?code=|29463-7", ""),
    ("Observation?code:text=body", "o1 o2 o3 o4 o5 o6 o7"),
    ("Observation?code=http://loinc.org|8480-6", ""),
    ("Observation?combo-code=http://loinc.org|8480-6", "o4"),
    # string
    ("Patient?name=ana", "ana"),
    ("Patient?name=LIND", "ana"),
    ("Patient?name=qvist", ""),
    ("Patient?name:contains=qvist", "ana"),
    ("Patient?family:exact=Lindqvist", "ana"),
    ("Patient?family:exact=lindqvist", ""),
    ("Patient?address=spring", "ana"),
    ("Patient?address:missing=true", "ben"),
    ("Patient?address:missing=false", "ana"),
    # date
    ("Patient?birthdate=1984-05-12", "ana"),
    ("Patient?birthdate=1984", "ana"),
    ("Patient?birthdate=ne1984", "ben"),
    ("Patient?birthdate=lt1980", "ben"),
    ("Observation?date=2021-03", "o1"),
    ("Observation?date=2021-04-01", "o2"),
    ("Observation?date=ge2021-03-04&date=le2021-04-01", "o1 o2"),
    ("Observation?date=gt2023", "o5 o6 o7"),
    ("Observation?date=sa2022", "o4 o5 o6 o7"),
    ("Observation?date=eb2022", "o1 o2"),
    ("Observation?date=ap2022-06", "o3"),
    ("Encounter?date=gt2023", "e2"),
    ("Encounter?date=2021", "e1"),
    ("Encounter?date=lt2021-01-15", "e1"),
    ("Patient?_lastUpdated=lt2022", "ana"),
    # reference: local and foreign ones never meet
    ("Observation?patient=ana", "o1 o6"),
    ("Observation?patient=Patient/ana", "o1 o6"),
    ("Observation?subject=ana", "o1 o4 o6"),
    ("Observation?subject:Patient=ana", "o1 o6"),
    ("Observation?subject=Group/ana", "o4"),
    ("Observation?subject=https://other.example.org/fhir/Patient/ana", "o3"),
    ("Observation?patient:missing=true", "o4"),
    ("Observation?patient:identifier=urn:mrn|7", "o7"),
    ("Observation?patient=ana,ben", "o1 o2 o6"),
    ("Observation?patient=ana&patient=ben", ""),
    ("Observation?patient=ana&performer=Patient/ben", "o1"),
    # quantity, number
    ("Observation?value-quantity=70.1", "o1"),
    ("Observation?value-quantity=70", "o1"),
    ("Observation?value-quantity=70.2", ""),
    ("Observation?value-quantity=gt70.1", "o2"),
    ("Observation?value-quantity=ge70.1|http://unitsofmeasure.org|kg", "o1 o2"),
    ("Observation?value-quantity=ge70.1|http://unitsofmeasure.org|g", ""),
    ("Observation?value-quantity=ap70||kg", "o1 o2"),
    ("RiskAssessment?probability=0.25", "r1"),
    ("RiskAssessment?probability=lt0.25", ""),
    # uri
    ("ValueSet?url=http://example.org/vs/1", "v1"),
    ("ValueSet?url=http://example.org/vs", ""),
    ("ValueSet?url:below=http://example.org/vs", "v1"),
    ("Patient?_profile=http://example.org/p", "ana"),
    # composite
    ("Observation?component-code-value-quantity=http://loinc.org|8480-6$120", "o4"),
    ("Observation?component-code-value-quantity=http://loinc.org|8480-6$gt120", ""),
    ("Observation?code-value-quantity=29463-7$lt71", "o1"),
    ("Observation?code-value-string=29463-7$ample", "o4"),
    # what the server does not know, it ignores
    ("Patient?shoe-size=44", "ana ben"),
]


@pytest.fixture(scope="module")
def loaded(scratch_server: Any) -> Any:
    with Caller(scratch_server) as caller:
        caller.send("DELETE", "/_store")
        caller.load(*RESOURCES)
        yield caller


@pytest.mark.parametrize(("target", "expected"), CASES)
def test_a_search_finds_exactly_what_fulfils_it(loaded: Caller, target: str, expected: str) -> None:
    found = loaded.search(target.replace("|", "%7C"))
    assert sorted(key.partition("/")[2] for key in found.matches) == expected.split()
    assert found.bundle["total"] == len(found.matches)


def test_references_under_the_servers_own_base_are_local(loaded: Caller) -> None:
    assert loaded.search(f"Observation?subject={loaded.server.base_url}/Patient/ana").matches == [
        "Observation/o1",
        "Observation/o6",
    ]


def test_a_search_by_post_combines_the_form_with_the_url(loaded: Caller) -> None:
    assert loaded.search_by_post("Observation", patient="ana").matches == ["Observation/o1", "Observation/o6"]
    assert loaded.search_by_post("Observation", patient="ana", date="2021").matches == ["Observation/o1"]


@pytest.mark.parametrize(
    "query",
    [
        "birthdate=yesterday",
        "birthdate=2021-13",
        "gender:fuzzy=female",
        "name:not=ana",
        "gender:missing=perhaps",
        "gender=",
        "_count=many",
        "_sort=shoe-size",
        "_include=Patient:gender",
        "_revinclude=Nonsense:subject",
        "name=%ff",
    ],
)
def test_a_value_or_modifier_that_cannot_be_honoured_is_refused(loaded: Caller, query: str) -> None:
    assert loaded.send("GET", f"Patient?{query}").status == 400


def test_an_unknown_parameter_is_left_out_of_the_self_link_or_refused_when_handling_is_strict(loaded: Caller) -> None:
    found = loaded.search("Patient?shoe-size=44&gender=male")
    assert found.link("self") == f"{loaded.server.base_url}/Patient?gender=male"
    assert loaded.send("GET", "Patient?shoe-size=44", Prefer="handling=strict").status == 400
    assert loaded.send("GET", "Patient?gender=male", Prefer="handling=strict").status == 200
