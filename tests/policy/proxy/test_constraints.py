"""Filters of granular scopes, judged on whole resources.  SMART 2.2 scopes; FHIR R4 search."""

from typing import Any

import pytest

from fhirproxy.policy.constraints import is_supported, matches
from fhirproxy.policy.expressions import parse_expression
from smartauth.policy import r4
from smartauth.policy.scopes import parse_resource_scope
from tests.policy.proxy.building import PUBLIC, UPSTREAM, bases

LOINC = "http://loinc.org"
LAB = "http://terminology.hl7.org/CodeSystem/observation-category"
OBSERVATION: dict[str, Any] = {
    "resourceType": "Observation",
    "id": "o1",
    "meta": {
        "lastUpdated": "2023-05-15T10:00:00Z",
        "tag": [{"system": "http://t", "code": "a"}],
        "security": [{"code": "R"}],
        "profile": ["http://p/1"],
    },
    "identifier": [{"system": "urn:i", "value": "17"}],
    "status": "final",
    "category": [{"coding": [{"system": LAB, "code": "laboratory"}, {"code": "own"}]}],
    "code": {"coding": [{"system": LOINC, "code": "718-7"}], "text": "Hb"},
    "subject": {"reference": "Patient/ana"},
    "performer": [{"reference": "Practitioner/p"}, {"reference": "https://x.example/Practitioner/q"}],
    "effectiveDateTime": "2023-05-15",
    "valueCodeableConcept": {"coding": [{"system": "http://v", "code": "x"}]},
}
CASES = [
    ("code=718-7", True),
    (f"code={LOINC}|718-7", True),
    (f"code={LOINC}|", True),
    ("code=|718-7", False),
    ("code=718-8", False),
    ("code=718-7,1-1", True),
    ("code=1-1,2-2", False),
    ("code=Hb", False),
    ("category=laboratory", True),
    ("category=LABORATORY", False),
    ("category=own", True),
    ("category=|own", True),
    (f"category={LAB}|own", False),
    (f"category={LAB}|laboratory&code=718-7", True),
    (f"category={LAB}|laboratory&code=1-1", False),
    ("category=laboratory&category=own", True),
    ("status=final", True),
    ("status=preliminary", False),
    ("identifier=urn:i|17", True),
    ("identifier=urn:j|17", False),
    ("value-concept=http://v|x", True),
    ("combo-code=718-7", True),
    ("_id=o1", True),
    ("_id=o1,o2", True),
    ("_id=O1", False),
    ("_tag=http://t|a", True),
    ("_tag=b", False),
    ("_security=R", True),
    ("_profile=http://p/1", True),
    ("_profile=http://p", False),
    ("subject=Patient/ana", True),
    (f"subject={UPSTREAM}/Patient/ana", True),
    (f"subject={PUBLIC}/Patient/ana", True),
    ("subject=Patient/ben", False),
    ("patient=ana", True),
    ("patient=Patient/ana", True),
    ("patient=ben", False),
    ("performer=Practitioner/p", True),
    ("performer=Practitioner/q", False),
    ("date=2023", True),
    ("date=2023-05-15", True),
    ("date=2022", False),
    ("date=ge2023-05-15", True),
    ("date=gt2023-05-15", False),
    ("date=gt2023-05-14", True),
    ("date=lt2023-05-15", False),
    ("date=le2023-05-15", True),
    ("date=sa2023-05-14", True),
    ("date=eb2023-05-16", True),
    ("date=eb2023-05-15", False),
    ("date=ne2023-05-15", False),
    ("date=ge2023-05-15T00:00:00Z&date=lt2023-05-16", True),
]


def filters_of(query: str, kind: str = "Observation") -> tuple[tuple[str, str], ...]:
    scope = parse_resource_scope(f"patient/{kind}.rs?{query}")
    return scope.filters


@pytest.mark.requirement("SCOPE-12", "SCOPE-17")
@pytest.mark.parametrize(("query", "matching"), CASES)
def test_filters(query: str, matching: bool) -> None:
    filters = filters_of(query)
    assert is_supported("Observation", filters, bases())
    assert matches(OBSERVATION, filters, bases()) is matching


@pytest.mark.parametrize("query", [case for case, _ in CASES if not case.startswith("_")])
def test_a_resource_without_the_element_never_matches(query: str) -> None:
    assert not matches({"resourceType": "Observation", "id": "x"}, filters_of(query), bases())


UNSUPPORTED = [
    ("Observation", (("date", "ap2023"),)),
    ("Observation", (("date", "soon"),)),
    ("Observation", (("date", "2023-02-30"),)),
    ("Observation", (("subject", "ana"),)),
    ("Observation", (("subject", "https://x.example/Patient/ana"),)),
    ("Observation", (("subject", "Patient/ana/_history/1"),)),
    ("Observation", (("code", "a|b|c"),)),
    ("Observation", (("code", "a,"),)),
    ("Observation", (("code", "a\\b"),)),
    ("Observation", (("code", "|"),)),
    ("Observation", (("nothing", "a"),)),
    ("Observation", (("value-quantity", "5"),)),
    ("Patient", (("deceased", "true"),)),
    ("*", (("code", "a"),)),
]


@pytest.mark.requirement("SCOPE-16")
@pytest.mark.parametrize(("kind", "filters"), UNSUPPORTED)
def test_filters_that_cannot_be_judged(kind: str, filters: tuple[tuple[str, str], ...]) -> None:
    assert not is_supported(kind, filters, bases())


def test_filters_of_every_type_take_what_every_type_has() -> None:
    assert is_supported("*", (("_tag", "a"), ("_id", "x"), ("_security", "R"), ("_profile", "http://p/1")), bases())


def test_every_clinical_token_reference_and_date_parameter_can_be_judged() -> None:
    unread = {
        (kind, name)
        for kind in r4.memberships()
        for name, one in r4.search_parameters(kind).items()
        if one.type in ("token", "reference", "date") and one.expr and parse_expression(one.expr) is None
    }
    # What is left are links between definitions, which are shared, and two that are not paths at all.
    odd = {kind for kind, _ in unread if r4.memberships()[kind].cls != "shared"}
    assert odd == {"Bundle", "Patient"}


def test_a_neighbour_of_an_element_is_not_a_kind_of_it() -> None:
    kind = "MedicinalProductAuthorization"
    resource = {"resourceType": kind, "id": "m", "statusDate": "active"}
    assert not matches(resource, (("status", "active"),), bases())


PERIODS = [
    ({"start": "2023-01-01", "end": "2023-01-31"}, "date=2023-01", True),
    ({"start": "2023-01-01"}, "date=2023-01", False),
    ({"start": "2023-01-01"}, "date=ge2023-06", True),
    ({"end": "2023-01-31"}, "date=lt2023", True),
    ({"start": "2023-01-01", "end": "nonsense"}, "date=ge2022", False),
    ({}, "date=ge2022", False),
    ("2023-01-01", "date=2023-01", True),
]


@pytest.mark.parametrize(("period", "query", "matching"), PERIODS)
def test_periods(period: Any, query: str, matching: bool) -> None:
    encounter = {"resourceType": "Encounter", "id": "e", "period": period}
    assert matches(encounter, filters_of(query, "Encounter"), bases()) is matching
