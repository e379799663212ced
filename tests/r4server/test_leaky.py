"""The leaky mode must really leak: a proxy proven against a server that does not would be proven of nothing."""

import pytest

from fhirproxy.r4server.process import running
from tests.r4server.caller import Caller


@pytest.fixture
def leaky(sandbox: Caller) -> Caller:
    assert sandbox.send("PUT", "/_mode", {"mode": "leaky"}).json == {"mode": "leaky"}
    return sandbox


def test_a_leaky_search_ignores_its_filters(leaky: Caller) -> None:
    found = leaky.search("Condition?patient=ana&_count=1000")
    whole = leaky.search("Condition?_count=1000")
    assert found.bundle["total"] == whole.bundle["total"] > 20
    assert "Condition/ben-problem-1" in found.matches


def test_a_leaky_search_adds_other_types_and_patients_as_matches_and_as_includes(leaky: Caller) -> None:
    found = leaky.search("Goal?patient=ana&_count=5")
    assert "Patient/ana" in found.matches
    assert "Observation/ana-weight-2021-03" in found.matches
    assert "Patient/ANA" in found.includes
    assert {key.partition("/")[0] for key in found.includes} >= {"Patient", "Observation", "DocumentReference"}


def test_a_leaky_search_leaks_on_every_page_and_by_post_too(leaky: Caller) -> None:
    following = leaky.search("Goal?patient=ana&_count=5").link("next")
    assert following is not None
    assert "Patient/ANA" in leaky.search(following).includes
    assert "Goal/ben-goal" in leaky.search_by_post("Goal", patient="ana").matches


def test_a_leaky_read_is_honest(leaky: Caller) -> None:
    assert leaky.send("GET", "Patient/ben").json["id"] == "ben"
    assert leaky.send("GET", "Patient/nobody").status == 404


def test_the_faithful_mode_adds_nothing(sandbox: Caller) -> None:
    found = sandbox.search("Goal?patient=ana&_count=5")
    assert (found.matches, found.includes) == (["Goal/ana-goal"], [])


def test_an_unknown_mode_is_refused_and_changes_nothing(sandbox: Caller) -> None:
    assert sandbox.send("PUT", "/_mode", {"mode": "helpful"}).status == 400
    assert sandbox.send("GET", "/_mode").json == {"mode": "faithful"}


def test_a_server_can_start_leaky_under_another_base_and_stops_when_told() -> None:
    with running(population="small", mode="leaky", base_path="/fhir/") as server, Caller(server) as caller:
        assert server.base_url.endswith("/fhir")
        assert caller.send("GET", "Condition?patient=nobody").json["total"] == 1
    assert not server.is_alive()
