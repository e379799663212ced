"""Conditional writes: resolved here, within the authority, and never sent along.

FHIR R4 http, "Conditional create", "Conditional update", "Conditional patch", "Conditional delete".
"""

from typing import Any

import pytest

from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.test_writes import clinician, observation, switch

ANA = {"patient": "ana"}
SYSTEM = "https://device.example"


def measured(value: str, subject: str = "Patient/ana", **elements: Any) -> dict[str, Any]:
    return observation(subject, identifier=[{"system": SYSTEM, "value": value}], **elements)


def by(value: str) -> str:
    return f"identifier={SYSTEM}%7C{value}"


@pytest.fixture
def stocked(restored: Behind) -> Behind:
    """One measurement of ana's, two alike of hers, and one of ben's."""
    restored.load({**measured("one"), "id": "one"})
    restored.load({**measured("two"), "id": "two-a"}, {**measured("two"), "id": "two-b"})
    restored.load({**measured("foreign", "Patient/ben"), "id": "of-ben"})
    restored.load({**measured("both"), "id": "both-a"}, {**measured("both", "Patient/ben"), "id": "both-b"})
    restored.ask("DELETE", "/_received")
    return restored


@pytest.mark.requirement("PROXY-14", "PROXY-47")
def test_a_conditional_create_finds_or_creates(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.crs", **ANA)
    found = call.write("POST", "/Observation", token, measured("one"), HTTP_IF_NONE_EXIST=by("one"))
    assert (found.status_code, found.json()["id"]) == (200, "one")
    assert found["Location"] == f"{PUBLIC}/Observation/one/_history/1"
    assert stocked.sent() == []
    new = call.write("POST", "/Observation", token, measured("new"), HTTP_IF_NONE_EXIST=by("new"))
    assert new.status_code == 201
    assert stocked.sent() == [("POST", "/r4/Observation")]
    assert all(name.lower() != "if-none-exist" for one in stocked.received() for name, _ in one["headers"])
    several = call.write("POST", "/Observation", token, measured("two"), HTTP_IF_NONE_EXIST=by("two"))
    assert (several.status_code, Receipt.objects.get().rule) == (412, "write.several")


def test_what_is_found_is_shown_to_readers_only(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cs", **ANA)
    found = call.write("POST", "/Observation", token, measured("one"), HTTP_IF_NONE_EXIST=by("one"))
    assert (found.status_code, found.content) == (200, b"")
    assert found["Location"].endswith("/Observation/one/_history/1")


@pytest.mark.requirement("PROXY-14")
def test_what_lies_outside_does_not_exist_for_this(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cruds", **ANA)
    for value, status in (("foreign", 201), ("both", 200), ("nothing", 201)):
        response = call.write("POST", "/Observation", token, measured(value), HTTP_IF_NONE_EXIST=by(value))
        assert response.status_code == status, value
    patch = [{"op": "replace", "path": "/status", "value": "amended"}]
    stocked.load({**measured("theirs", "Patient/ben"), "id": "theirs"})
    for method, body in (("PUT", measured("theirs")), ("PATCH", patch), ("DELETE", "")):
        answers = [call.write(method, f"/Observation?{by(value)}", token, body) for value in ("theirs", "absent")]
        bodies = {one.content.replace(one["X-Trace-Id"].encode(), b"") for one in answers}
        assert ([one.status_code for one in answers], len(bodies)) == ([404, 404], 1)
    assert stocked.stored("Observation/theirs")["status"] == "final"


def test_one_match_becomes_the_write_of_one_resource(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cruds", **ANA)
    response = call.write("PUT", f"/Observation?{by('one')}", token, measured("one", status="amended"))
    assert (response.status_code, response["ETag"]) == (200, 'W/"2"')
    patch = [{"op": "replace", "path": "/status", "value": "cancelled"}]
    assert call.write("PATCH", f"/Observation?{by('one')}", token, patch).status_code == 200
    assert call.write("DELETE", f"/Observation?{by('one')}", token).status_code == 204
    assert stocked.sent() == [(method, "/r4/Observation/one") for method in ("PUT", "PUT", "DELETE")]
    tied = [dict(one["headers"]) for one in stocked.received() if one["method"] != "GET"]
    assert [one["If-Match"] for one in tied] == ['W/"1"', 'W/"2"', 'W/"3"']


@pytest.mark.requirement("PROXY-14")
def test_several_matches_are_never_written(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cruds", **ANA)
    patch = [{"op": "replace", "path": "/status", "value": "cancelled"}]
    for method, body in (("PUT", measured("two")), ("PATCH", patch), ("DELETE", "")):
        assert call.write(method, f"/Observation?{by('two')}", token, body).status_code == 412
        assert call.write(method, "/Observation?status=final", token, body).status_code == 412
    assert stocked.sent() == []


REFUSED = [
    # scope, method, query, status, rule
    ("patient/Observation.cru", "POST", "code=a", 403, "scope"),
    ("patient/Observation.cru", "PUT", "code=a", 403, "scope"),
    ("patient/Observation.ru", "PATCH", "code=a", 403, "scope"),
    ("patient/Observation.rd", "DELETE", "code=a", 403, "scope"),
    ("patient/*.cruds", "PUT", "", 400, "write.criteria"),
    ("patient/*.cruds", "DELETE", "", 400, "write.criteria"),
    ("patient/*.cruds", "DELETE", "_count=1", 400, "write.criteria"),
    ("patient/*.cruds", "DELETE", "code=a&_sort=date", 400, "write.criteria"),
    ("patient/*.cruds", "DELETE", "code=a&_include=Observation:subject", 400, "write.criteria"),
    ("patient/*.cruds", "POST", "nonsense=a", 400, "search.parameter"),
    ("patient/*.cruds", "POST", "code", 400, "query.empty"),
    ("patient/*.cruds", "POST", "patient=ben", 403, "compartment"),
    ("patient/*.cruds", "PUT", "subject=Patient/ben", 403, "compartment"),
    ("patient/*.cruds", "DELETE", "subject.name=a", 400, "search.chain_type"),
    ("patient/*.cruds", "DELETE", "encounter.status=planned", 403, "search.chain"),
    ("patient/*.cruds", "DELETE", "_filter=code", 403, "search.parameter_refused"),
]


@pytest.mark.requirement("PROXY-14")
@pytest.mark.parametrize(("scope", "method", "query", "status", "rule"), REFUSED)
def test_criteria_obey_the_rules_of_searches(
    stocked: Behind, minted: Mint, call: Caller, scope: str, method: str, query: str, status: int, rule: str
) -> None:
    body: Any = {"PATCH": [{"op": "remove", "path": "/note"}], "DELETE": ""}.get(method, observation())
    path, extra = (f"/Observation?{query}", {}) if method != "POST" else ("/Observation", {"HTTP_IF_NONE_EXIST": query})
    response = call.write(method, path, minted(scope, **ANA), body, **extra)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule), response.content
    assert stocked.received() == []


def test_a_conditional_update_has_no_id_and_no_version(stocked: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/Observation.cruds", **ANA)
    path = f"/Observation?{by('one')}"
    assert call.write("PUT", path, token, measured("one", id="one")).status_code == 400
    assert call.write("PUT", path, token, measured("one"), HTTP_IF_MATCH='W/"1"').status_code == 400
    assert stocked.received() == []


@pytest.mark.requirement("PROXY-13")
def test_an_update_creates_what_it_does_not_find_only_where_the_tenant_says_so(
    stocked: Behind, minted: Mint, call: Caller
) -> None:
    path = f"/Observation?{by('new')}"
    assert call.write("PUT", path, clinician(minted), measured("new")).status_code == 404
    switch(update_as_create=True)
    assert call.write("PUT", path, minted("patient/Observation.us", **ANA), measured("new")).status_code == 404
    assert call.write("PUT", path, minted("patient/Observation.cus", **ANA), measured("new")).status_code == 201
    assert stocked.sent() == [("POST", "/r4/Observation")]
