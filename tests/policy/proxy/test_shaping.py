"""What leaves: subsets, our URLs, searchsets, outcomes.  FHIR R4 search, bundle, operationoutcome."""

from typing import Any

import pytest

from fhirproxy.policy.authority import EVERYONE, Grant
from fhirproxy.policy.bodies import parse_json
from fhirproxy.policy.capabilities import reduce_capabilities
from fhirproxy.policy.compartments import Checked, check
from fhirproxy.policy.results import Shape
from fhirproxy.policy.rewriting import localise, localise_url
from fhirproxy.policy.shaping import Shaped, entry, searchset, shape
from fhirproxy.policy.switches import WRITE_LEVELS, WriteSwitches
from tests.policy.proxy.building import ALIAS, PUBLIC, UPSTREAM, bases, unchecked

ALL = (Grant("system", "*", "rs", EVERYONE),)


def checked(**elements: Any) -> Checked:
    found = check(unchecked({"resourceType": "Observation", "id": "o", **elements}), ALL, "r", bases())
    assert found is not None
    return found


URLS = [
    (UPSTREAM, PUBLIC),
    (f"{UPSTREAM}/", PUBLIC),
    (f"{UPSTREAM}/Patient/ana", f"{PUBLIC}/Patient/ana"),
    (f"{UPSTREAM}/Binary/b?x=y#z", f"{PUBLIC}/Binary/b?x=y#z"),
    (f"{UPSTREAM}?page=2", f"{PUBLIC}?page=2"),
    (f"{ALIAS}/Patient/ana", f"{PUBLIC}/Patient/ana"),
    ("HTTPS://EHR.EXAMPLE.ORG:8443/api/v4/Patient/ana", f"{PUBLIC}/Patient/ana"),
    (f"{UPSTREAM}/../v4/Patient/ana", f"{PUBLIC}/../v4/Patient/ana"),
    (f"{UPSTREAM}evil/Patient/ana", f"{UPSTREAM}evil/Patient/ana"),
    ("https://ehr.example.org:8443.evil.example/api/v4/x", "https://ehr.example.org:8443.evil.example/api/v4/x"),
    ("https://other.example/Patient/ana", "https://other.example/Patient/ana"),
    (f"{UPSTREAM}/Patient/ana has a story", f"{UPSTREAM}/Patient/ana has a story"),
    ("Patient/ana", "Patient/ana"),
]


@pytest.mark.parametrize(("theirs", "ours"), URLS)
def test_urls_become_ours(theirs: str, ours: str) -> None:
    assert localise_url(theirs, bases()) == ours


def test_every_url_value_is_rewritten_and_narrative_is_not() -> None:
    tree: Any = {
        "subject": {"reference": f"{UPSTREAM}/Patient/ana"},
        "content": [{"attachment": {"url": f"{UPSTREAM}/Binary/b"}}],
        "extension": [{"valueUri": f"{UPSTREAM}/x", "valueCanonical": [f"{UPSTREAM}/y"]}],
        "text": {"div": f"{UPSTREAM}/z"},
        "note": [{"text": f"see {UPSTREAM}/z"}],
    }
    localise(tree, bases())
    assert tree == {
        "subject": {"reference": f"{PUBLIC}/Patient/ana"},
        "content": [{"attachment": {"url": f"{PUBLIC}/Binary/b"}}],
        "extension": [{"valueUri": f"{PUBLIC}/x", "valueCanonical": [f"{PUBLIC}/y"]}],
        "text": {"div": f"{UPSTREAM}/z"},
        "note": [{"text": f"see {UPSTREAM}/z"}],
    }


ELEMENTS = {
    "meta": {"versionId": "1", "tag": [{"code": "own"}]},
    "text": {"div": "<div/>"},
    "status": "final",
    "_status": {"id": "s"},
    "code": {"text": "Hb"},
    "subject": {"reference": "Patient/ana"},
    "valueString": "x",
    "note": [{"text": "n"}],
}
ALWAYS = {"resourceType", "id", "meta", "status", "_status", "code"}
SHAPES = [
    (Shape(), {*ALWAYS, "text", "subject", "valueString", "note"}),
    (Shape(elements=frozenset({"note"})), {*ALWAYS, "note"}),
    (Shape(summary="text"), {*ALWAYS, "text"}),
    (Shape(summary="data"), {*ALWAYS, "subject", "valueString", "note"}),
    (Shape(summary="true"), {*ALWAYS, "subject", "valueString"}),
]


@pytest.mark.parametrize(("wanted", "names"), SHAPES)
def test_subsets(wanted: Shape, names: set[str]) -> None:
    tree = shape(checked(**ELEMENTS), wanted, bases()).tree
    assert set(tree) == names
    meta: Any = tree["meta"]
    assert [tag["code"] for tag in meta["tag"]] == (["own"] if wanted == Shape() else ["own", "SUBSETTED"])
    assert ELEMENTS["meta"]["tag"] == [{"code": "own"}]  # type: ignore[index]


def test_links_of_a_stored_bundle_are_dropped() -> None:
    found = check(unchecked({"resourceType": "Bundle", "link": [{"url": "x"}], "entry": []}), ALL, "r", bases())
    assert found is not None
    assert "link" not in shape(found, Shape(), bases()).tree


def test_a_searchset() -> None:
    one = entry(checked(**ELEMENTS), Shape(), bases(), "match")
    two = entry(checked(id="p"), Shape(elements=frozenset({"note"})), bases(), "include")
    bundle: Any = parse_json(searchset([one, two], total=7, links={"self": "s", "next": "n"}).encode())
    assert (bundle["type"], bundle["total"]) == ("searchset", 7)
    assert bundle["link"] == [{"relation": "self", "url": "s"}, {"relation": "next", "url": "n"}]
    assert [one["fullUrl"] for one in bundle["entry"]] == [f"{PUBLIC}/Observation/o", f"{PUBLIC}/Observation/p"]
    assert [one["search"] for one in bundle["entry"]] == [{"mode": "match"}, {"mode": "include"}]
    assert set(bundle["entry"][1]["resource"]) == {"resourceType", "id"}
    empty: Any = parse_json(searchset([], total=None, links={"self": "s"}).encode())
    assert set(empty) == {"resourceType", "type", "link"}


def test_nobody_else_makes_a_shaped_value() -> None:
    with pytest.raises(TypeError, match="only shaping"):
        Shaped({}, object())


def test_capabilities_of_an_odd_upstream_are_reduced_to_what_is_known() -> None:
    odd: Any = {
        "resourceType": "CapabilityStatement",
        "date": 5,
        "messaging": [{}],
        "rest": [
            {"mode": "client", "resource": [{"type": "Patient", "interaction": [{"code": "read"}]}]},
            {
                "mode": "server",
                "operation": [{"name": "export"}],
                "resource": [
                    {"type": "Nothing", "interaction": [{"code": "read"}]},
                    {"type": "Patient", "interaction": [{"code": "read"}, {"code": "delete"}], "searchParam": [{}]},
                    {"type": "Group", "interaction": "read"},
                    {"type": "List", "interaction": [{"code": "vread"}]},
                    "Patient",
                ],
            },
        ],
    }
    off = WriteSwitches(levels=WRITE_LEVELS["off"])
    reduced: Any = reduce_capabilities(odd, public_url=PUBLIC, oauth_uris={"token_endpoint": "https://t"}, writes=off)
    (rest,) = reduced["rest"]
    assert [(one["type"], one["interaction"]) for one in rest["resource"]] == [
        ("Patient", [{"code": "read"}]),
        ("List", [{"code": "vread"}]),
    ]
    assert rest["security"]["extension"][0]["extension"] == [{"url": "token", "valueUri": "https://t"}]
    assert "messaging" not in reduced
    assert isinstance(reduced["date"], str)
    for nothing in (None, {}, {"rest": "x"}, {"rest": [{"mode": "server", "resource": {}}]}):
        assert "resource" not in reduce_capabilities(nothing, public_url=PUBLIC, oauth_uris={}, writes=off)["rest"][0]
    written: Any = reduce_capabilities(odd, public_url=PUBLIC, oauth_uris={}, writes=WriteSwitches())
    assert [one["code"] for one in written["rest"][0]["resource"][0]["interaction"]] == ["read", "delete"]
    assert written["rest"][0]["interaction"] == [{"code": "batch"}]
