"""Transactions: one refusal refuses all, and what entries call each other is judged as what they will be.

FHIR R4 http, "transaction"; FHIR R4 bundle, "Resolving references in Bundles".
"""

import json
from typing import Any

import pytest

from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.test_batch import bundle, entry, patch, statuses
from tests.proxy.test_conditional import by, measured
from tests.proxy.test_writes import clinician, observation, switch

ANA = {"patient": "ana"}
ONE = "urn:uuid:7d1f7b1e-6c0f-4b59-9d0a-4f2a4c1f0a11"
TWO = "urn:uuid:0b0a9d1c-2f5e-4c68-8a86-2f2f0c9a1b22"
GONE = "Observation/versioned-ana"
AMENDED = {"op": "replace", "path": "/status", "value": "amended"}


def test_everything_is_sent_at_once_as_we_wrote_it(restored: Behind, minted: Mint, call: Caller) -> None:
    entries = (
        entry("GET", "Observation/versioned-ana"),
        entry("POST", "Observation", observation(hasMember=[{"reference": TWO}]), full_url=ONE),
        entry("POST", "Observation", observation(), full_url=TWO),
        entry("PATCH", "Observation/versioned-ana", patch(AMENDED)),
        entry("DELETE", "Observation/ana-compared-with-ben", ifMatch='W/"1"'),
    )
    response = call.write("POST", "", minted("patient/*.cruds", **ANA), bundle("transaction", *entries))
    assert statuses(response) == ["200", "201", "201", "200", "204"]
    answers = response.json()["entry"]
    assert response.json()["type"] == "transaction-response"
    assert answers[0]["resource"]["status"] == "amended"
    second = answers[2]["resource"]["id"]
    assert answers[1]["resource"]["hasMember"] == [{"reference": f"Observation/{second}"}]
    assert answers[2]["response"]["location"] == f"{PUBLIC}/Observation/{second}/_history/1"
    [(_, target)] = restored.sent()
    assert target == "/r4"
    sent = json.loads(next(one["body"] for one in restored.received() if one["method"] == "POST"))
    assert [one["request"] for one in sent["entry"]] == [
        {"method": "POST", "url": "Observation"},
        {"method": "POST", "url": "Observation"},
        {"method": "PUT", "url": "Observation/versioned-ana", "ifMatch": 'W/"1"'},
        {"method": "DELETE", "url": "Observation/ana-compared-with-ben", "ifMatch": 'W/"1"'},
    ]
    assert [one.get("fullUrl") for one in sent["entry"]] == [ONE, TWO, None, None]
    assert sent["entry"][0]["resource"]["hasMember"] == [{"reference": TWO}]
    recorded = AuditRecord.objects.filter(details__within="transaction").values_list("action", flat=True)
    assert sorted(recorded) == sorted(["create", "create", "patch", "delete", *["written"] * 4])


GOOD = entry("POST", "Observation", observation())
BAD = [
    # entry, status, rule
    (entry("POST", "Observation", observation("Patient/ben")), 403, "write.outside"),
    (entry("PUT", "Observation/ben-weight-focus-ana", observation(id="ben-weight-focus-ana")), 404,
     "read.absent_or_outside"),
    (entry("PUT", "Observation/absent", observation(id="absent")), 404, "read.absent_or_outside"),
    (entry("PUT", "Observation/versioned-ana", observation("Patient/ben", id="versioned-ana")), 403, "write.outside"),
    (entry("PUT", "Observation/versioned-ana", observation(id="versioned-ana"), ifMatch='W/"9"'), 412,
     "write.version"),
    (entry("DELETE", "Observation/ben-weight-focus-ana"), 404, "read.absent_or_outside"),
    (entry("DELETE", "Patient/ana"), 403, "write.patient"),
    (entry("GET", "Observation/ben-weight-focus-ana"), 404, "read.absent_or_outside"),
    (entry("GET", "Observation?patient=ana"), 403, "transaction.interaction"),
    (entry("GET", "Patient/ana/$everything"), 403, "entry.interaction"),
    (entry("POST", "Observation", observation("urn:uuid:00000000-0000-4000-8000-000000000000")), 422,
     "transaction.urn"),
    (entry("POST", "Observation", observation(focus=[{"reference": ONE}])), 422, "transaction.urn"),
    (entry("POST", "Observation", observation(focus=[{"reference": "Patient/ben"}])), 422, "write.reference"),
    (entry("POST", "Observation", observation(), full_url=f"{PUBLIC}/Patient/ana"), 400, "entry.full_url"),
    (entry("POST", "Patient", {"resourceType": "Patient"}, full_url=ONE), 403, "write.patient"),
    (entry("PATCH", "Observation/versioned-ana", patch({"op": "test", "path": "/status", "value": "x"})), 422,
     "patch.failed"),
    ({}, 400, "entry.content"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-15", "T-58")
@pytest.mark.parametrize(("bad", "status", "rule"), BAD)
def test_one_refusal_refuses_all(
    restored: Behind, minted: Mint, call: Caller, bad: Any, status: int, rule: str
) -> None:
    token = minted("patient/*.cruds", **ANA)
    response = call.write("POST", "", token, bundle("transaction", GOOD, bad))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule), response.content
    assert response.json()["issue"][0]["details"]["text"].startswith("Entry 1: ")
    assert restored.sent() == []
    assert not AuditRecord.objects.filter(action="create").exists()


HANGING = [
    # what would hang on, or point at, what the same transaction deletes                       status  rule
    ({"resourceType": "Provenance", "target": [{"reference": GONE}]}, 403, "write.outside"),
    ({"resourceType": "Binary", "contentType": "text/plain", "securityContext": {"reference": GONE}}, 403,
     "write.outside"),
    (observation(hasMember=[{"reference": GONE}]), 422, "write.reference"),
]  # fmt: skip


@pytest.mark.parametrize("is_deleted_first", [True, False])
@pytest.mark.parametrize(("hanging", "status", "rule"), HANGING)
def test_nothing_hangs_on_what_the_same_transaction_deletes(
    restored: Behind, minted: Mint, call: Caller, hanging: Any, status: int, rule: str, *, is_deleted_first: bool
) -> None:
    token, created = minted("patient/*.cruds", **ANA), entry("POST", hanging["resourceType"], hanging)
    assert statuses(call.write("POST", "", token, bundle("transaction", created))) == ["201"]
    entries = [entry("DELETE", GONE), created]
    response = call.write("POST", "", token, bundle("transaction", *entries[:: 1 if is_deleted_first else -1]))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule), response.content
    assert restored.sent() == [("POST", "/r4")]  # the first, in which nothing was deleted
    assert restored.stored(GONE)["id"] == "versioned-ana"


def test_a_urn_is_judged_as_what_the_entry_will_be(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    record = restored.stored("Patient/ana")
    mine = entry("PUT", "Patient/ana", record, full_url=ONE)
    response = call.write(
        "POST", "", token, bundle("transaction", entry("POST", "Observation", observation(ONE)), mine)
    )
    assert statuses(response) == ["201", "200"]
    assert response.json()["entry"][0]["resource"]["subject"] == {"reference": "Patient/ana"}
    other = entry("POST", "Observation", observation(), full_url=ONE)
    wrong = entry("POST", "Observation", observation(ONE))
    assert call.write("POST", "", token, bundle("transaction", wrong, other)).status_code == 403
    binary = {"resourceType": "Binary", "contentType": "text/plain", "data": "eA=="}
    owned = entry("POST", "Binary", {**binary, "securityContext": {"reference": ONE}}, full_url=TWO)
    assert statuses(call.write("POST", "", token, bundle("transaction", other, owned))) == ["201", "201"]
    loop = entry("POST", "Binary", {**binary, "securityContext": {"reference": TWO}}, full_url=TWO)
    assert call.write("POST", "", token, bundle("transaction", loop)).status_code == 403


def test_nobody_reaches_a_stored_resource_through_a_urn_that_spells_its_id(
    restored: Behind, minted: Mint, call: Caller
) -> None:
    stored = ONE.removeprefix("urn:uuid:")
    restored.load({**observation("Patient/ben"), "id": stored})
    named = entry("POST", "Observation", observation(), full_url=ONE)
    token = minted("patient/*.cruds", **ANA)
    for reference in (f"Observation/{stored}", f"Observation/{stored}/_history/1", f"{PUBLIC}/Observation/{stored}"):
        planted = entry("POST", "Observation", observation(hasMember=[{"reference": reference}]))
        assert call.write("POST", "", token, bundle("transaction", named, planted)).status_code == 422
    assert restored.sent() == []


def test_a_clinician_writes_a_new_patient_with_what_is_about_them(restored: Behind, minted: Mint, call: Caller) -> None:
    patient = entry("POST", "Patient", {"resourceType": "Patient"}, full_url=ONE)
    about = entry("POST", "Observation", observation(ONE))
    response = call.write("POST", "/", clinician(minted), bundle("transaction", about, patient))
    assert statuses(response) == ["201", "201"]
    answers = response.json()["entry"]
    assert answers[0]["resource"]["subject"] == {"reference": f"Patient/{answers[1]['resource']['id']}"}


def test_each_resource_is_written_once(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    update = entry("PUT", "Observation/versioned-ana", observation(id="versioned-ana"))
    for other in (update, entry("DELETE", "Observation/versioned-ana")):
        assert call.write("POST", "", token, bundle("transaction", update, other)).status_code == 400
    twice = entry("POST", "Observation", observation(), full_url=ONE)
    assert call.write("POST", "", token, bundle("transaction", twice, twice)).status_code == 400
    assert restored.sent() == []


def test_conditions_are_resolved_here(restored: Behind, minted: Mint, call: Caller) -> None:
    restored.load({**measured("one"), "id": "one"}, {**measured("theirs", "Patient/ben"), "id": "theirs"})
    entries = (
        entry("POST", "Observation", measured("one"), full_url=ONE, ifNoneExist=by("one")),
        entry("POST", "Observation", observation(hasMember=[{"reference": ONE}])),
        entry("POST", "Observation", measured("theirs"), full_url=TWO, ifNoneExist=by("theirs")),
    )
    response = call.write("POST", "", minted("patient/*.cruds", **ANA), bundle("transaction", *entries))
    assert statuses(response) == ["200", "201", "201"]
    answers = response.json()["entry"]
    assert answers[0]["response"]["location"] == f"{PUBLIC}/Observation/one/_history/1"
    assert answers[1]["resource"]["hasMember"] == [{"reference": "Observation/one"}]
    sent = next(one["body"] for one in restored.received() if one["method"] == "POST")
    assert "ifNoneExist" not in sent
    assert len(json.loads(sent)["entry"]) == 2


def test_a_transaction_that_only_reads_sends_no_transaction(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    response = call.write("POST", "", token, bundle("transaction", entry("GET", "Patient/ana")))
    assert statuses(response) == ["200"]
    assert restored.sent() == []
    assert call.write("POST", "", token, bundle("transaction", GOOD)).status_code == 403


def test_somebody_who_was_faster_makes_all_of_it_fail(restored: Behind, minted: Mint, call: Caller) -> None:
    restored.load({**observation(), "id": "mine"})
    stale = entry("PUT", "Observation/mine", observation(id="mine", status="amended"), ifMatch='W/"1"')
    token = minted("patient/*.cruds", **ANA)
    assert statuses(call.write("POST", "", token, bundle("transaction", stale))) == ["200"]
    assert call.write("POST", "", token, bundle("transaction", GOOD, stale)).status_code == 412
    assert len(restored.sent()) == 1


def test_what_the_server_makes_of_it_is_checked(restored: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    restored.leak()
    response = call.write("POST", "", token, bundle("transaction", GOOD))
    assert (response.status_code, Receipt.objects.get().rule) == (500, "write.escaped")
    for fault, status in (
        ({"kind": "html"}, 502),
        ({"kind": "status", "status": 422}, 422),
        ({"kind": "notfhir"}, 502),
    ):
        restored.fail(**fault)
        assert call.write("POST", "", token, bundle("transaction", GOOD)).status_code == status


def test_the_switch_is_for_entries_too(restored: Behind, minted: Mint, call: Caller) -> None:
    switch(writes="off")
    assert call.write("POST", "", minted("patient/*.cruds", **ANA), bundle("transaction", GOOD)).status_code == 405
    assert restored.received() == []
