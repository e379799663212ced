"""Batches: each entry as if it were sent alone. FHIR R4 http, "batch"; SMART 2.2 scopes, "Batches and Transactions"."""

import base64
import json
from typing import Any

import pytest
from django.http import HttpResponse

from clients import tenants
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.test_writes import observation, switch

ANA = {"patient": "ana"}
URN = "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"


def entry(method: str, url: str, resource: Any = None, *, full_url: str = "", **request: str) -> dict[str, Any]:
    found: dict[str, Any] = {"request": {"method": method, "url": url, **request}}
    if resource is not None:
        found["resource"] = resource
    return {"fullUrl": full_url, **found} if full_url else found


def patch(*changes: dict[str, Any]) -> dict[str, Any]:
    data = base64.b64encode(json.dumps(changes).encode()).decode()
    return {"resourceType": "Binary", "contentType": "application/json-patch+json", "data": data}


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def statuses(response: HttpResponse) -> list[str]:
    assert response.status_code == 200, response.content
    return [one["response"]["status"] for one in response.json()["entry"]]


@pytest.mark.requirement("PROXY-15", "T-58")
def test_each_entry_goes_its_own_way(restored: Behind, minted: Mint, call: Caller) -> None:
    amended = {"op": "replace", "path": "/status", "value": "amended"}
    entries = (
        entry("GET", "Observation/versioned-ana"),
        entry("GET", "Observation/ben-weight-focus-ana"),
        entry("GET", "Observation?patient=ana&_count=2"),
        entry("GET", "Observation?patient=ben"),
        entry("POST", "Observation", observation(), full_url=URN),
        entry("POST", "Observation", observation("Patient/ben")),
        entry("PUT", "Observation/ana-member-of-ben", observation(id="ana-member-of-ben"), ifMatch='W/"1"'),
        entry("PUT", "Observation/ana-contains-ben", observation(id="ana-contains-ben"), ifMatch='W/"9"'),
        entry("PATCH", "Observation/versioned-ana", patch(amended)),
        entry("DELETE", "Observation/ana-compared-with-ben"),
        entry("DELETE", "Patient/ana"),
        entry("GET", "Observation/ana-compared-with-ben"),
        entry("POST", "Observation", observation(), ifNoneExist="code=29463-7&status=amended"),
    )
    response = call.write("POST", "", minted("patient/*.cruds", **ANA), bundle("batch", *entries))
    assert statuses(response) == [
        "200", "404", "200", "403", "201", "403", "200", "412", "200", "204", "403", "404", "201",
    ]  # fmt: skip
    document = response.json()
    assert document["type"] == "batch-response"
    answers = document["entry"]
    assert answers[0]["resource"]["status"] == "amended"  # what reads comes last
    outcome = answers[1]["response"]["outcome"]
    assert outcome["resourceType"] == "OperationOutcome"
    assert Receipt.objects.get(pk=outcome["issue"][0]["diagnostics"]).rule == "read.absent_or_outside"
    assert (answers[2]["resource"]["type"], len(answers[2]["resource"]["entry"])) == ("searchset", 2)
    assert answers[4]["response"]["location"].startswith(f"{PUBLIC}/Observation/")
    assert (answers[6]["response"]["etag"], answers[6]["resource"]["id"]) == ('W/"2"', "ana-member-of-ben")
    assert answers[6]["response"]["lastModified"].endswith("+00:00")
    assert answers[9] == {"response": {"status": "204"}}
    methods = [method for method, _ in restored.sent()]
    assert methods == ["DELETE", "POST", "POST", "PUT", "PUT"]
    assert sorted(Receipt.objects.values_list("rule", flat=True)) == sorted(
        ["compartment", "write.outside", "write.version", "write.patient", *["read.absent_or_outside"] * 2]
    )
    assert AuditRecord.objects.filter(action="create").count() == 2


ALONE = [
    # entry, status, rule
    ({}, "400", "entry.content"),
    ("odd", "400", "entry.content"),
    ({"request": {}}, "400", "entry.method"),
    ({**entry("GET", "Patient/ana"), "search": {}}, "400", "entry.content"),
    ({**entry("GET", "Patient/ana"), "resource": {}}, "400", "entry.resource"),
    (entry("GET", "Patient/ana", onBehalf="x"), "400", "entry.request"),
    (entry("get", "Patient/ana"), "400", "entry.method"),
    (entry("HEAD", "Patient/ana"), "400", "entry.method"),
    (entry("GET", "/Patient/ana"), "400", "entry.url"),
    (entry("GET", ""), "400", "entry.url"),
    (entry("GET", f"{PUBLIC}/Patient/ana"), "400", "entry.url"),
    (entry("GET", "https://evil.example/Patient/ana"), "400", "entry.url"),
    (entry("GET", "../r4/Patient/ana"), "400", "target.segment"),
    (entry("GET", "Patient/%2e%2e"), "400", "target.segment"),
    (entry("GET", "Patient//ana"), "400", "target.double_slash"),
    (entry("GET", "Patient/ana#x"), "400", "target.form"),
    (entry("GET", "metadata"), "403", "entry.interaction"),
    (entry("GET", "_page?c=x"), "403", "entry.interaction"),
    (entry("GET", "Patient/ana/$everything"), "403", "entry.interaction"),
    (entry("GET", "Patient/$export"), "403", "entry.interaction"),
    (entry("POST", "Bundle", {"resourceType": "Observation"}), "400", "body.type"),
    (entry("PUT", "Observation/versioned-ana/_history/1", observation()), "405", "http.method"),
    (entry("DELETE", "Observation/versioned-ana/_history"), "405", "http.method"),
    (entry("POST", "Observation"), "400", "entry.resource"),
    (entry("DELETE", "Observation/versioned-ana", observation()), "400", "entry.resource"),
    (entry("DELETE", "Observation?code=29463-7"), "412", "write.several"),
    (entry("PATCH", "Observation/versioned-ana", [{"op": "remove", "path": "/note"}]), "400", "entry.resource"),
    (entry("PATCH", "Observation/versioned-ana", observation()), "400", "entry.patch"),
    (entry("PATCH", "Observation/versioned-ana", {**patch(), "data": "%%"}), "400", "entry.patch"),
    (entry("PATCH", "Observation/versioned-ana", patch()), "400", "patch.malformed"),
    (entry("POST", "Patient", {"resourceType": "Patient"}, full_url=f"{PUBLIC}/Patient/ana"), "400", "entry.full_url"),
    (entry("POST", "Observation", observation(), full_url=URN.upper()), "400", "entry.full_url"),
    (entry("PUT", "Patient/ana", {"resourceType": "Patient"}, full_url=f"{PUBLIC}/Patient/ben"), "400",
     "entry.full_url"),
    (entry("GET", "Patient/ana", full_url=URN), "400", "entry.full_url"),
    (entry("POST", "Observation", {**observation(), "a-b": 1}), "400", "body.name"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-15")
@pytest.mark.parametrize(("bad", "status", "rule"), ALONE)
def test_a_bad_entry_fails_alone(
    restored: Behind, minted: Mint, call: Caller, bad: Any, status: str, rule: str
) -> None:
    token = minted("patient/*.cruds", **ANA)
    response = call.write("POST", "", token, bundle("batch", bad, entry("GET", "Patient/ana")))
    assert statuses(response) == [status, "200"]
    assert Receipt.objects.get().rule == rule
    assert restored.sent() == []


WHOLE = [
    # body, status, rule
    ({"resourceType": "Bundle", "type": "collection"}, 400, "bundle.type"),
    ({"resourceType": "Bundle", "type": "history", "entry": []}, 400, "bundle.type"),
    ({"resourceType": "Patient"}, 400, "bundle.type"),
    ({**bundle("batch"), "meta": {"tag": [{"code": "tenant-b"}]}}, 400, "bundle.content"),
    ({**bundle("batch"), "entry": {}}, 400, "bundle.content"),
    (bundle("batch", *[entry("GET", "Patient/ana")] * 101), 413, "bundle.entries"),
    ("[]", 400, "body.json"),
    ('{"resourceType":"Bundle","type":"batch","type":"transaction"}', 400, "body.json"),
]


@pytest.mark.parametrize(("body", "status", "rule"), WHOLE)
def test_what_is_no_batch_fails_as_a_whole(
    restored: Behind, minted: Mint, call: Caller, body: Any, status: int, rule: str
) -> None:
    response = call.write("POST", "/", minted("patient/*.cruds", **ANA), body)
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert restored.received() == []


@pytest.mark.parametrize(("most", "entries", "status"), [(2, 2, 200), (2, 3, 413), (101, 101, 200)])
@pytest.mark.parametrize("kind", ["batch", "transaction"])
def test_how_many_entries_is_the_tenants_to_say(
    small: Behind, minted: Mint, call: Caller, kind: str, most: int, entries: int, status: int
) -> None:
    switch(max_entries=most)
    tenants._tenants.clear()
    body = bundle(kind, *[entry("GET", "Patient/ana")] * entries)
    assert call.write("POST", "", minted("patient/*.rs", **ANA), body).status_code == status
    assert bool(small.received()) is (status == 200)


def test_a_batch_needs_nothing_of_its_own_and_gives_nothing(restored: Behind, minted: Mint, call: Caller) -> None:
    assert call.write("POST", "", minted("patient/Patient.r", **ANA), bundle("batch")).json() == {
        "resourceType": "Bundle",
        "type": "batch-response",
    }
    switch(writes="off")
    response = call.write(
        "POST",
        "",
        minted("patient/*.cruds", **ANA),
        bundle("batch", entry("GET", "Patient/ana"), entry("POST", "Observation", observation())),
    )
    assert statuses(response) == ["200", "405"]
    assert call.write("POST", "", "", bundle("batch")).status_code == 401
    assert restored.sent() == []


def test_an_upstream_that_fails_is_told_entry_by_entry(restored: Behind, minted: Mint, call: Caller) -> None:
    restored.fail(kind="html")
    entries = (entry("GET", "Patient/ana"), entry("POST", "Observation", observation()))
    response = call.write("POST", "", minted("patient/*.cruds", **ANA), bundle("batch", *entries))
    assert statuses(response) == ["502", "502"]
