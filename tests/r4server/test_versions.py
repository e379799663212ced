"""Histories of a resource, a type and everything, and searches across types."""

import pytest

from tests.r4server.caller import Caller

WEIGHT = {"resourceType": "Observation", "id": "w1", "status": "final", "code": {"text": "Weight"}}


@pytest.fixture
def written(scratch: Caller) -> Caller:
    scratch.send("PUT", "Observation/w1", WEIGHT)
    scratch.send("PUT", "Observation/w1", WEIGHT | {"status": "amended"})
    scratch.send("PUT", "Patient/p1", {"resourceType": "Patient", "id": "p1", "gender": "female"})
    scratch.send("DELETE", "Observation/w1")
    return scratch


def told(caller: Caller, target: str) -> list[tuple[str, str, str]]:
    answer = caller.send("GET", target)
    assert (answer.status, answer.json["type"]) == (200, "history")
    return [(one["request"]["method"], one["request"]["url"], one["response"]["etag"]) for one in answer.json["entry"]]


@pytest.mark.parametrize(
    ("target", "count"),
    [("Observation/w1/_history", 3), ("Observation/_history", 3), ("_history", 4), ("Patient/p1/_history", 1)],
)
def test_a_history_has_every_version_and_the_deletion(written: Caller, target: str, count: int) -> None:
    found = told(written, target)
    assert len(found) == count
    if "w1" in target:
        assert found[0] == ("DELETE", "Observation/w1", 'W/"3"')


def test_a_history_comes_in_pages(written: Caller) -> None:
    first = written.send("GET", "_history?_count=3").json
    assert first["total"] == 4
    url = next(link["url"] for link in first["link"] if link["relation"] == "next")
    assert len(written.send("GET", url.removeprefix(written.server.control_url)).json["entry"]) == 1
    assert written.send("GET", "_history?_since=soon").status == 400
    assert written.send("GET", "Observation/nowhere/_history").status == 404


def test_a_leaky_server_tells_everything(written: Caller) -> None:
    written.send("PUT", "/_mode", {"mode": "leaky"})
    assert len(told(written, "Patient/p1/_history")) == 4
    written.send("PUT", "/_mode", {"mode": "faithful"})


def test_a_search_across_types_finds_each(written: Caller) -> None:
    written.send("PUT", "Observation/w2", WEIGHT | {"id": "w2"})
    assert written.search("?_type=Patient,Observation").matches == ["Patient/p1", "Observation/w2"]
    assert written.search("_search?_type=Patient,Observation&_id=w2").matches == ["Observation/w2"]
    assert written.send("GET", "?_type=Nothing").status == 400
