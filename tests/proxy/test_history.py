"""Versions and histories through the proxy: each version judged by itself, and none after the resource moved away.

FHIR R4 http, "vread" and "history"; SMART 2.2 scopes-and-launch-context.
"""

from collections.abc import Iterator
from typing import Any

import pytest

from fhirproxy.r4server.process import Running
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint, holding, link

ANA = {"patient": "ana"}
VITAL = "http://terminology.hl7.org/CodeSystem/observation-category|vital-signs"


def observation(name: str, patient: str, status: str = "final", category: str = "vital-signs") -> dict[str, Any]:
    system = "http://terminology.hl7.org/CodeSystem/observation-category"
    return {
        "resourceType": "Observation",
        "id": name,
        "status": status,
        "category": [{"coding": [{"system": system, "code": category}]}],
        "code": {"text": "x"},
        "subject": {"reference": f"Patient/{patient}"},
    }


@pytest.fixture(scope="module")
def _loaded(_small: Running) -> Iterator[None]:
    resources = (
        observation("stayed", "ana", "preliminary", "laboratory"),
        observation("stayed", "ana"),
        observation("stayed", "ana", "amended"),
        observation("came", "ben"),
        observation("came", "ana"),
        observation("went", "ana"),
        observation("went", "ben"),
        observation("gone", "ana"),
    )
    with holding(_small, *resources) as behind:
        behind.ask("DELETE", "/r4/Observation/gone")
        yield


@pytest.fixture
def past(_loaded: None, small: Behind) -> Behind:
    """Resources with a past: one stayed ana's, one came to her from ben, one went from her to ben, one is gone."""
    return small


VREADS = [
    # scope                      claims              path                               status
    ("patient/Observation.r",    ANA,                "Observation/stayed/_history/1",   200),
    ("patient/Observation.r",    ANA,                "Observation/stayed/_history/3",   200),
    ("patient/Observation.s",    ANA,                "Observation/stayed/_history/1",   403),
    ("patient/Condition.r",      ANA,                "Observation/stayed/_history/1",   403),
    ("patient/Observation.r",    {"patient": "ben"}, "Observation/stayed/_history/1",   404),
    ("patient/Observation.r",    ANA,                "Observation/stayed/_history/9",   404),
    ("patient/Observation.r",    ANA,                "Observation/came/_history/2",     200),
    ("patient/Observation.r",    ANA,                "Observation/came/_history/1",     404),
    ("patient/Observation.r",    {"patient": "ben"}, "Observation/came/_history/1",     404),
    ("patient/Observation.r",    ANA,                "Observation/went/_history/1",     404),
    ("patient/Observation.r",    ANA,                "Observation/gone/_history/1",     404),
    ("patient/Observation.r",    ANA,                "Observation/gone/_history/2",     404),
    ("patient/Observation.r",    ANA,                "Observation/nowhere/_history/1",  404),
    ("patient/*.r",              ANA,                "Patient/ben/_history/1",          404),
    ("patient/*.r",              ANA,                "Patient/ana/_history/1",          200),
    ("system/Observation.r",     {},                 "Observation/came/_history/1",     200),
    ("system/Observation.r",     {},                 "Observation/gone/_history/1",     200),
    ("system/Observation.r",     {},                 "Observation/gone/_history/2",     410),
    ("system/Observation.r",     {},                 "Observation/gone/_history/3",     404),
    (f"patient/Observation.r?category={VITAL}", ANA, "Observation/stayed/_history/2",   200),
    (f"patient/Observation.r?category={VITAL}", ANA, "Observation/stayed/_history/1",   404),
]  # fmt: skip


@pytest.mark.requirement("PROXY-11", "PROXY-26", "T-58")
@pytest.mark.parametrize(("scope", "claims", "path", "status"), VREADS)
def test_versions(
    past: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], path: str, status: int
) -> None:
    response = call(f"/{path}", minted(scope, **claims))
    assert response.status_code == status, response.content
    if status == 200:
        assert response["ETag"] == f'W/"{path[-1]}"'
        assert response.json()["meta"]["versionId"] == path[-1]
        assert AuditRecord.objects.get().details["interaction"] == "vread"


def test_absent_outside_and_deleted_versions_look_the_same(past: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.r", **ANA)
    paths = ("nowhere/_history/1", "went/_history/1", "gone/_history/1", "stayed/_history/9", "came/_history/1")
    for suffix in ("", "/_history"):
        paths += tuple(f"{name}{suffix}" for name in ("nowhere", "went", "gone"))
    answers = [call(f"/Observation/{path}", token) for path in paths]
    assert {answer.status_code for answer in answers} == {404}
    assert len({answer.content.replace(answer["X-Trace-Id"].encode(), b"") for answer in answers}) == 1


def versions(response: Any) -> list[str]:
    assert response.status_code == 200, response.content
    bundle = response.json()
    assert bundle["type"] == "history"
    return [
        f"{one['resource']['id']}/{one['resource']['meta']['versionId']}"
        if "resource" in one
        else f"-{one['request']['url'].partition('/')[2]}"
        for one in bundle.get("entry", [])
    ]


@pytest.mark.requirement("PROXY-26", "T-58")
@pytest.mark.parametrize("leak", [False, True])
def test_a_history_tells_what_was_inside(past: Behind, minted: Mint, call: Caller, leak: bool) -> None:
    if leak:
        past.leak()
    token = minted("patient/Observation.r", **ANA)
    whole = call("/Observation/stayed/_history", token)
    assert versions(whole) == ["stayed/3", "stayed/2", "stayed/1"]
    assert whole.json()["total"] == 3
    first = whole.json()["entry"][0]
    assert first["fullUrl"] == f"{PUBLIC}/Observation/stayed"
    assert (first["request"], first["response"]["etag"]) == ({"method": "PUT", "url": "Observation/stayed"}, 'W/"3"')
    assert past.running.base_url not in whole.content.decode()
    assert versions(call("/Observation/came/_history", token)) == ["came/2"]
    assert versions(call("/Observation/stayed/_history", minted(f"patient/Observation.r?category={VITAL}", **ANA))) == [
        "stayed/3",
        "stayed/2",
    ]


@pytest.mark.parametrize("leak", [False, True])
def test_a_history_is_paged_without_gaps(past: Behind, minted: Mint, call: Caller, leak: bool) -> None:
    if leak:
        past.leak()
    token = minted("patient/Observation.r", **ANA)
    found, path = [], "/Observation/stayed/_history?_count=2"
    while path:
        response = call(path, token)
        found.append(versions(response))
        path = link(response, "next") or ""
        assert len(found) < 100
    # Behind a server that tells of everything a page may stay empty: twenty of its pages are looked at for one of ours.
    assert [one for page in found for one in page] == ["stayed/3", "stayed/2", "stayed/1"]
    assert leak or found == [["stayed/3", "stayed/2"], ["stayed/1"]]
    following = link(call("/Observation/stayed/_history?_count=2", token), "next") or ""
    assert call(following, minted("patient/Observation.r", patient="ben")).status_code == 404
    assert call(following, minted("patient/Observation.s", **ANA)).status_code == 403


@pytest.mark.requirement("PROXY-11", "PROXY-49")
def test_the_history_of_a_type_needs_full_authority(past: Behind, minted: Mint, call: Caller) -> None:
    told = versions(call("/Observation/_history?_count=500", minted("system/Observation.s")))
    assert {"stayed/1", "came/1", "went/2", "-gone", "gone/1"} <= set(told)
    everything = call("/_history?_count=3", minted("system/*.rs"))
    assert len(versions(everything)) == 3
    assert len(versions(call(link(everything, "next") or "", minted("system/*.rs")))) == 3


REFUSED = [
    # scope                                claims  path                                         status  rule
    ("patient/*.rs", ANA, "Observation/_history", 403, "history.full_only"),
    ("patient/*.rs", ANA, "_history", 403, "history.full_only"),
    ("system/Observation.rs", {}, "_history", 403, "history.full_only"),
    (f"system/*.rs?_tag={VITAL}", {}, "_history", 403, "history.full_only"),
    (f"system/Observation.rs?category={VITAL}", {}, "Observation/_history", 403, "history.full_only"),
    ("system/Observation.r",               {},     "Observation/_history",                      403, "scope"),
    ("patient/Observation.s",              ANA,    "Observation/stayed/_history",               403, "scope"),
    ("patient/*.rs", ANA, "AuditEvent/x/_history", 403, "scope.operator_type"),
    ("patient/*.rs", ANA, "Observation/stayed/_history?_sort=status", 400, "history.parameter"),
    ("patient/*.rs",                       ANA,    "Observation/stayed/_history?_since=soon",   400, "history.date"),
    ("patient/*.rs",                       ANA,    "Observation/stayed/_history?_count=-1",     400, "search.count"),
    ("patient/*.rs",                       ANA,    "Observation/stayed/_history/1?patient=ana", 400, "read.parameter"),
    ("patient/*.rs", ANA, "Patient/ben/_history", 404, "read.absent_or_outside"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-11", "PROXY-49")
@pytest.mark.parametrize(("scope", "claims", "path", "status", "rule"), REFUSED)
def test_refused_histories_are_not_forwarded(
    past: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], path: str, status: int, rule: str
) -> None:
    past.ask("DELETE", "/_received")
    response = call(f"/{path}", minted(scope, **claims))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert past.received() == []


def test_since_and_count_are_sent_and_head_has_no_body(past: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    call("/Observation/stayed/_history?_since=2020-01-01T00:00:00Z&_count=9999", token)
    assert past.targets()[-1] == "Observation/stayed/_history?_since=2020-01-01T00%3A00%3A00Z&_count=500"
    head = call("/Observation/stayed/_history", token, method="HEAD")
    assert (head.status_code, head.content, int(head["Content-Length"]) > 100) == (200, b"", True)


def test_operator_types_stay_out_of_the_history_of_everything(past: Behind, minted: Mint, call: Caller) -> None:
    past.load({"resourceType": "Endpoint", "id": "hidden", "status": "active"})
    plain = call("/_history?_count=500", minted("system/*.rs")).content
    assert b"Endpoint/hidden" not in plain
    named = minted("system/*.rs", restrictions={"operator_types": ["Endpoint"]})
    assert b"Endpoint/hidden" in call("/_history?_count=500", named).content
    past.ask("DELETE", "/r4/Endpoint/hidden")
    gone = call("/_history?_count=500", minted("system/*.rs", restrictions={})).content
    assert b"Endpoint/hidden" not in gone
