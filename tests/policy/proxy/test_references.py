"""Whom a reference means, and that "maybe" never counts as "yes".  FHIR R4 references."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.references import OPAQUE, Local, Opaque, Other, classify, find_local, parse_base, values_at
from tests.policy.proxy.building import ALIAS, PUBLIC, UPSTREAM, bases

ANA = Local("Patient", "ana")
REFERENCES: list[tuple[Json, Any]] = [
    ({"reference": "Patient/ana"}, ANA),
    ({"reference": "Patient/ana", "type": "Patient"}, ANA),
    ({"reference": "Patient/ana", "display": "Ana", "identifier": {"value": "1"}}, ANA),
    ({"reference": "Patient/ana/_history/3"}, Local("Patient", "ana", "3")),
    ({"reference": f"{PUBLIC}/Patient/ana"}, ANA),
    ({"reference": f"{UPSTREAM}/Patient/ana"}, ANA),
    ({"reference": f"{ALIAS}/Patient/ana"}, ANA),
    ({"reference": "HTTPS://EHR.example.org:8443/api/v4/Patient/ana"}, ANA),
    ({"reference": "http://ehr.internal:80/fhir/Patient/ana"}, ANA),
    ({"reference": "Group/g"}, Other("Group", Local("Group", "g"))),
    ({"type": "Group", "identifier": {"value": "1"}}, Other("Group")),
    ({"type": "Patient", "identifier": {"value": "1"}}, OPAQUE),
    ({"reference": "Patient/ana", "type": "Group"}, OPAQUE),
    ({"reference": "Group/ana", "type": "Patient"}, OPAQUE),
    ({"reference": "Patient/ana", "type": "http://hl7.org/fhir/StructureDefinition/Patient"}, OPAQUE),
    ({"type": "Nothing"}, OPAQUE),
    ({"type": 1}, OPAQUE),
    ({"reference": "patient/ana"}, OPAQUE),
    ({"reference": "Patient/ana/"}, OPAQUE),
    ({"reference": "/Patient/ana"}, OPAQUE),
    ({"reference": "Patient/ana?x=y"}, OPAQUE),
    ({"reference": "Patient/ana#p"}, OPAQUE),
    ({"reference": "Patient/"}, OPAQUE),
    ({"reference": "Patient/.."}, OPAQUE),
    ({"reference": "Patient/a b"}, OPAQUE),
    ({"reference": "Patient/%61na"}, OPAQUE),
    ({"reference": "Patient/ana\n"}, OPAQUE),
    ({"reference": "Patient?identifier=x"}, OPAQUE),
    ({"reference": "Nothing/ana"}, OPAQUE),
    ({"reference": "#ana"}, OPAQUE),
    ({"reference": "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"}, OPAQUE),
    ({"reference": "https://other.example.org/fhir/Patient/ana"}, OPAQUE),
    ({"reference": f"{UPSTREAM}.evil.example/Patient/ana"}, OPAQUE),
    ({"reference": f"{UPSTREAM}evil/Patient/ana"}, OPAQUE),
    ({"reference": "https://ehr.example.org/api/v4/Patient/ana"}, OPAQUE),
    ({"reference": "http://ehr.example.org:8443/api/v4/Patient/ana"}, OPAQUE),
    ({"reference": "https://ehr.example.org:8443@evil.example/api/v4/Patient/ana"}, OPAQUE),
    ({"reference": "https://evil@ehr.example.org:8443/api/v4/Patient/ana"}, OPAQUE),
    ({"reference": f"{UPSTREAM}/../v4/Patient/ana"}, OPAQUE),
    ({"reference": f"{UPSTREAM}//Patient/ana"}, OPAQUE),
    ({"reference": "https://smart.example.org/fhir/south/r4/Patient/ana"}, OPAQUE),
    ({"reference": ["Patient/ana"]}, OPAQUE),
    ({"reference": None}, OPAQUE),
    ({"display": "Ana"}, OPAQUE),
    ({}, OPAQUE),
    ("Patient/ana", OPAQUE),
    (None, OPAQUE),
    ([{"reference": "Patient/ana"}], OPAQUE),
]


@pytest.mark.parametrize(("value", "meaning"), REFERENCES, ids=str)
def test_whom_a_reference_means(value: Json, meaning: object) -> None:
    assert classify(value, bases()) == meaning


@given(st.text(max_size=60))
def test_only_the_id_itself_is_the_patient(text: str) -> None:
    who = classify({"reference": text}, bases())
    assert isinstance(who, Opaque | Other) or text.startswith("Patient/")


@given(st.text(max_size=30))
def test_a_host_that_only_begins_like_ours_is_foreign(text: str) -> None:
    found = find_local(f"https://ehr.example.org:8443{text}/Patient/ana", bases())
    assert found is None or text == "/api/v4"


@pytest.mark.parametrize(
    "url",
    [
        "ehr.example.org", "ftp://ehr.example.org", "https://", "https://a b", "https://a/?b", "https://a#b",
        "https://u@a", "https://u:p@a/", "https://a//b", "https://a/../b", "https://a/%2e", "//a", "https:/a",
    ],
)  # fmt: skip
def test_bases_are_plain_urls(url: str) -> None:
    assert parse_base("HTTPS://A.example/x/").segments == ("x",)
    with pytest.raises(ValueError, match="base URL"):
        parse_base(url)


def test_values_of_the_wrong_shape_do_not_vanish() -> None:
    path = ("participant", "actor")
    assert values_at({"participant": [{"actor": 1}, {}, {"actor": [2, 3]}]}, path) == (1, 2, 3)
    assert values_at({"participant": "x"}, path) == ("x",)
    assert values_at({"participant": [None]}, path) == (None,)
    assert values_at({"participant": [[{"actor": 1}]]}, path) == ([{"actor": 1}],)
    assert values_at({}, path) == ()
