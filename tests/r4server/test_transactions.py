"""Transactions of the small server.  FHIR R4 http.html#transaction."""

from typing import Any

from tests.r4server.caller import Caller

URN = "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"


def entry(method: str, url: str, resource: Any = None, *, full_url: str = "", **request: str) -> dict[str, Any]:
    found: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        found["resource"] = resource
    return {"fullUrl": full_url, **found} if full_url else found


def transaction(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": "transaction", "entry": list(entries)}


def test_entries_refer_to_each_other(scratch: Caller) -> None:
    answer = scratch.send(
        "POST",
        "",
        transaction(
            entry("POST", "Observation", {"resourceType": "Observation", "subject": {"reference": URN}}),
            entry("POST", "Patient", {"resourceType": "Patient"}, full_url=URN),
        ),
    )
    assert (answer.status, answer.json["type"]) == (200, "transaction-response")
    observation, patient = (one["resource"] for one in answer.json["entry"])
    assert observation["subject"] == {"reference": f"Patient/{patient['id']}"}
    assert [one["response"]["status"] for one in answer.json["entry"]] == ["201", "201"]


def test_all_or_nothing(scratch: Caller) -> None:
    scratch.load({"resourceType": "Patient", "id": "p"})
    for last in (
        entry("PUT", "Patient/p", {"resourceType": "Patient", "id": "p"}, ifMatch='W/"7"'),
        entry("DELETE", "Patient/p", ifMatch='W/"7"'),
        entry("PATCH", "Patient/p"),
        entry("GET", "Patient/q"),
        entry("PUT", "Patient/p", {"resourceType": "Basic"}),
        {},
    ):
        created = entry("POST", "Basic", {"resourceType": "Basic"})
        assert scratch.send("POST", "", transaction(created, last)).status in (400, 404, 412)
    assert scratch.search("Basic").matches == []
    assert scratch.send("GET", "Patient/p").headers["etag"] == 'W/"1"'


def test_batches_are_not_supported(scratch: Caller) -> None:
    assert scratch.send("POST", "", {"resourceType": "Bundle", "type": "batch"}).status == 400
    assert scratch.send("POST", "", {"resourceType": "Basic"}).status == 400
