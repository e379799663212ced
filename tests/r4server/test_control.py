"""The record of what arrived, the faults, and the store seen from beside the base URL."""

import http.client
import json
import time
from urllib.parse import urlsplit

import pytest

from tests.r4server.caller import FHIR_JSON, Caller


def test_what_arrived_is_told_as_it_stood_on_the_wire(sandbox: Caller) -> None:
    sandbox.send("DELETE", "/_received")
    sandbox.send("GET", "Observation?patient=ana&code=http%3A%2F%2Floinc.org%7C1", X_Request_ID="r-1")
    sandbox.search_by_post("Goal", patient="ana")
    sandbox.send("GET", "Patient/ana", bearer="wrong")
    read, posted, refused = sandbox.send("GET", "/_received").json
    assert (read["method"], read["target"]) == ("GET", "/r4/Observation?patient=ana&code=http%3A%2F%2Floinc.org%7C1")
    assert ["X-Request-ID", "r-1"] in read["headers"]
    assert (posted["target"], posted["body"]) == ("/r4/Goal/_search", "patient=ana")
    assert refused["target"] == "/r4/Patient/ana"


def test_control_requests_are_not_counted_and_the_record_can_be_cleared(sandbox: Caller) -> None:
    sandbox.send("GET", "Patient/ana")
    assert sandbox.send("DELETE", "/_received").status == 204
    assert sandbox.send("GET", "/_mode").status == 200
    assert sandbox.send("GET", "/_received").json == []


def test_loading_puts_resources_and_keeps_when_they_were_updated(scratch: Caller) -> None:
    old = {"resourceType": "Basic", "id": "b", "meta": {"lastUpdated": "2020-01-02T03:04:05Z", "source": "urn:x"}}
    scratch.load(old)
    scratch.load(old | {"language": "en"})
    stored = scratch.send("GET", "Basic/b").json
    assert stored["meta"] == {"versionId": "2", "lastUpdated": "2020-01-02T03:04:05.000Z", "source": "urn:x"}
    assert stored["language"] == "en"
    scratch.send("DELETE", "/_store")
    assert scratch.send("GET", "Basic/b").status == 404


@pytest.mark.parametrize("body", [{"resourceType": "Basic", "id": "b"}, ["b"], [{"resourceType": "Basic"}]])
def test_loading_anything_but_resources_is_refused(scratch: Caller, body: object) -> None:
    assert scratch.send("POST", "/_load", body).status == 400


@pytest.mark.parametrize(
    ("fault", "status", "content_type", "part"),
    [
        ({"kind": "status", "status": 503}, 503, FHIR_JSON, b"OperationOutcome"),
        ({"kind": "html"}, 200, "text/html", b"<h1>"),
        ({"kind": "notfhir"}, 200, "application/json", b'{"hello":"world"}'),
        ({"kind": "redirect", "location": "http://127.0.0.1:1/"}, 302, "", b""),
    ],
)
def test_a_fault_replaces_every_answer_until_it_is_lifted(
    sandbox: Caller, fault: dict[str, object], status: int, content_type: str, part: bytes
) -> None:
    assert sandbox.send("PUT", "/_fault", fault).json == fault
    for target in ("Patient/ana", "Observation?patient=ana"):
        answer = sandbox.send("GET", target)
        assert answer.status == status
        assert answer.headers.get("content-type", "").startswith(content_type)
        assert answer.headers.get("location", "") == fault.get("location", "")
        assert part in answer.body
    sandbox.send("PUT", "/_fault", {"kind": "none"})
    assert sandbox.send("GET", "Patient/ana").json["id"] == "ana"


def test_a_delay_holds_the_answer_back(sandbox: Caller) -> None:
    sandbox.send("PUT", "/_fault", {"kind": "delay", "seconds": 0.3})
    before = time.monotonic()
    assert sandbox.send("GET", "Patient/ana").json["id"] == "ana"
    assert time.monotonic() - before >= 0.3


def test_a_truncated_answer_promises_more_than_it_sends(sandbox: Caller) -> None:
    sandbox.send("PUT", "/_fault", {"kind": "truncate"})
    with pytest.raises(http.client.IncompleteRead) as caught:
        sandbox.send("GET", "Patient/ana")
    assert caught.value.partial.startswith(b'{"resourceType":"Patient"')


def test_a_silent_server_says_where_and_not_what(scratch: Caller) -> None:
    scratch.send("PUT", "/_fault", {"kind": "silent"})
    answer = scratch.send("POST", "Basic", {"resourceType": "Basic"})
    scratch.send("PUT", "/_fault", {"kind": "none"})
    assert (answer.status, answer.body) == (201, b"")
    assert scratch.send("GET", answer.headers["location"].removeprefix(scratch.server.base_url + "/")).status == 200


def test_a_closed_connection_answers_nothing(sandbox: Caller) -> None:
    sandbox.send("PUT", "/_fault", {"kind": "close"})
    with pytest.raises(http.client.RemoteDisconnected):
        sandbox.send("GET", "Patient/ana")


@pytest.mark.parametrize("target", ["Patient/ana", "Observation?patient=ana&_count=3"])
def test_duplicate_keys_give_every_resource_a_second_type(sandbox: Caller, target: str) -> None:
    sandbox.send("PUT", "/_fault", {"kind": "duplicate-keys"})
    seen: list[list[str]] = []
    json.loads(sandbox.send("GET", target).body, object_pairs_hook=lambda pairs: seen.append([k for k, _ in pairs]))
    doubled = [names for names in seen if names.count("resourceType") == 2]
    assert len(doubled) == (3 if "?" in target else 1)


@pytest.mark.parametrize("declared", [True, False])
def test_a_large_answer_has_the_size_asked_for_said_or_unsaid(sandbox: Caller, declared: bool) -> None:
    sandbox.send("PUT", "/_fault", {"kind": "large", "bytes": 300_000, "length": declared})
    answer = sandbox.send("GET", "Patient/ana")
    assert len(answer.body) == 300_000
    assert answer.json["resourceType"] == "Basic"
    assert ("content-length" in answer.headers) is declared


@pytest.mark.parametrize("fault", [{"kind": "flood"}, {}, ["none"], {"kind": "delay", "seconds": "long"}])
def test_a_fault_that_cannot_be_read_is_refused(sandbox: Caller, fault: object) -> None:
    assert sandbox.send("PUT", "/_fault", fault).status == 400
    assert sandbox.send("GET", "/_fault").json == {"kind": "none"}


def test_one_connection_serves_many_requests_of_all_kinds(sandbox: Caller) -> None:
    connection = http.client.HTTPConnection(urlsplit(sandbox.server.base_url).netloc, timeout=20)
    credential = {"Authorization": f"Bearer {sandbox.server.bearer}"}
    sockets = set()
    for method, target in (("GET", "/r4/Patient/ana"), ("DELETE", "/r4/Basic/none"), ("GET", "/r4/Patient/none")):
        connection.request(method, target, headers=credential)
        connection.getresponse().read()
        sockets.add(id(connection.sock))
    connection.close()
    assert len(sockets) == 1
    assert None not in sockets


@pytest.mark.parametrize(("name", "value", "status"), [
    ("Content-Length", "999999999", 413),
    ("Content-Length", "-1", 411),
    ("Transfer-Encoding", "chunked", 411),
])  # fmt: skip
def test_a_body_whose_size_is_unknown_or_too_large_is_refused(
    sandbox: Caller, name: str, value: str, status: int
) -> None:
    connection = http.client.HTTPConnection(urlsplit(sandbox.server.base_url).netloc, timeout=20)
    connection.putrequest("POST", "/r4/Patient")
    connection.putheader(name, value)
    connection.endheaders()
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("Connection")) == (status, "close")
    connection.close()
