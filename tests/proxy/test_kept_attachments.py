"""A document is saved again with the attachments it had; nobody attaches anew what does not say whose it is.

FHIR R4 binary, "Security Context"; SMART 2.2 scopes-and-launch-context.
"""

from typing import Any

import pytest

from fhirproxy import attachments
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import PUBLIC, Behind, Caller, Mint
from tests.proxy.test_batch import bundle, entry
from tests.proxy.test_binary import binary, note, report
from tests.proxy.test_writes import switch

ANA = {"patient": "ana"}
NOTE = "DocumentReference/note"
TWO = [{"attachment": {"url": "Binary/noted"}}, {"attachment": {"url": "Binary/own"}}]


@pytest.fixture
def filled(restored: Behind) -> Behind:
    base = restored.running.base_url
    restored.load(
        *(binary(name) for name in ("noted", "absolute", "reported", "bens", "orphan")),
        binary("own", "Patient/ana"),
        binary("bens-own", "Patient/ben"),
        binary("odd", securityContext=[]),
        note("note", "ana", "Binary/noted", content=TWO),
        note("absolute", "ana", f"{base}/Binary/absolute"),
        note("claims", "ana", "Binary/bens-own"),
        note("odd", "ana", "Binary/odd"),
        note("absent", "ana", "Binary/nowhere"),
        note("bens", "ben", "Binary/bens"),
        report("report", "ana", "Binary/reported"),
    )
    restored.ask("DELETE", "/_received")
    return restored


@pytest.mark.parametrize("name", ["DocumentReference/note", "DocumentReference/absolute", "DiagnosticReport/report"])
def test_what_was_attached_may_stay(filled: Behind, minted: Mint, call: Caller, name: str) -> None:
    token = minted("patient/*.cruds", **ANA)
    before = filled.stored(name)
    saved = {**call(f"/{name}", token).json(), "language": "en"}
    assert call.write("PUT", f"/{name}", token, saved).status_code == 200
    patch = [{"op": "replace", "path": "/language", "value": "sv"}]
    assert call.write("PATCH", f"/{name}", token, patch).status_code == 200
    after = filled.stored(name)
    assert after["language"] == "sv"
    place = "presentedForm" if "presentedForm" in before else "content"
    assert after[place] == before[place]


def test_what_was_taken_away_is_not_put_back(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    for entries, status in ((TWO[::-1], 200), (TWO[:1] * 2, 200), (TWO[1:], 200), (TWO, 422)):
        body = {**note("note", "ana", ""), "content": entries}
        assert call.write("PUT", f"/{NOTE}", token, body).status_code == status, entries


def attaching(*urls: str, **more: Any) -> dict[str, Any]:
    return note("note", "ana", "", content=[{"attachment": {"url": url}} for url in urls], **more)


NEW = [
    # what would be stored in the place of the note
    attaching("Binary/bens"),
    attaching("Binary/bens-own"),
    attaching("Binary/orphan"),
    attaching("Binary/absolute"),  # Hers through another document: attaching it anew would open it for good.
    attaching("Binary/nowhere"),
    attaching("Binary/noted", "Binary/bens"),
    attaching("Binary/noted", f"{PUBLIC}/Binary/orphan"),
    attaching("Binary/noted", "Binary/noted/_history/1"),
    attaching("Binary/noted", "Binary/noted#page=2"),
    attaching("Binary/noted/_history/1"),
    attaching("Binary/noted", context={"related": [{"reference": "Binary/noted"}]}),
    attaching("Binary/noted", extension=[{"url": "http://x.example/e", "valueUrl": f"{PUBLIC}/Binary/noted"}]),
    attaching("Binary/own", extension=[{"url": "http://x.example/e", "valueAttachment": {"url": "Binary/noted"}}]),
    {**attaching("Binary/own"), "contained": [attaching("Binary/noted")]},
]


@pytest.mark.parametrize("body", NEW, ids=lambda body: str(body)[-90:])
def test_nothing_is_attached_anew_or_mentioned_elsewhere(
    filled: Behind, minted: Mint, call: Caller, body: dict[str, Any]
) -> None:
    token = minted("patient/*.cruds", **ANA)
    assert call.write("PUT", f"/{NOTE}", token, attaching("Binary/noted", "Binary/own")).status_code == 200
    response = call.write("PUT", f"/{NOTE}", token, body)
    assert (response.status_code, Receipt.objects.get().rule) == (422, "write.reference"), response.content
    created = call.write("POST", "/DocumentReference", token, attaching("Binary/noted"))
    assert created.status_code == 422
    assert [method for method, _ in filled.sent()] == ["PUT"]
    attachments._indexes.clear()
    for name in ("bens", "bens-own", "orphan"):
        assert call(f"/Binary/{name}", token).status_code == 404


STILL = [
    # document, scope, switches of the tenant
    ("claims", "patient/*.cruds", {}),  # It says that it is ben's.
    ("odd", "patient/*.cruds", {}),
    ("absent", "patient/*.cruds", {}),
    ("note", "patient/DocumentReference.u", {}),  # What cannot be read is not to be guessed.
    ("note", "patient/DocumentReference.u patient/DocumentReference.r?status=superseded", {}),
    ("note", "patient/*.cruds", {"binary": "security-context"}),
    ("note", "patient/*.cruds", {"binary": "deny"}),
]


@pytest.mark.parametrize(("name", "scope", "switches"), STILL)
def test_who_could_not_open_it_cannot_keep_it(
    filled: Behind, minted: Mint, call: Caller, name: str, scope: str, switches: dict[str, Any]
) -> None:
    switch(**switches)
    body = filled.stored(f"DocumentReference/{name}")
    response = call.write("PUT", f"/DocumentReference/{name}", minted(scope, **ANA), {**body, "language": "en"})
    assert (response.status_code, Receipt.objects.get().rule) == (422, "write.reference"), response.content
    assert filled.sent() == []


def test_keeping_a_reference_opens_no_way_to_write_the_binary(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    kept = entry("PUT", NOTE, {**attaching("Binary/noted", "Binary/own"), "language": "en"})
    for other in (entry("PUT", "Binary/noted", binary("noted", "Patient/ana")), entry("DELETE", "Binary/noted")):
        response = call.write("POST", "", token, bundle("transaction", kept, other))
        assert response.status_code == 404, response.content
    twice = entry("POST", "DocumentReference", attaching("Binary/noted"))
    assert call.write("POST", "", token, bundle("transaction", kept, twice)).status_code == 422
    assert filled.sent() == []
    assert call.write("POST", "", token, bundle("transaction", kept)).status_code == 200
    assert filled.stored(NOTE)["language"] == "en"


def test_a_document_takes_what_it_attaches_to_nobody_else(filled: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.cruds", **ANA)
    moved = note("note", "ben", "Binary/noted")
    assert call.write("PUT", f"/{NOTE}", token, moved).status_code == 403
    assert call.write("PUT", "/DocumentReference/bens", token, note("bens", "ana", "Binary/bens")).status_code == 404
    switch(writes="all")
    both = minted("system/*.cruds", restrictions={"patients": ["ana", "ben"]})
    assert call.write("PUT", f"/{NOTE}", both, moved).status_code == 422
    shared = {**moved, "subject": {"reference": "Patient/ana"}, "author": [{"reference": "Patient/ben"}]}
    assert call.write("PUT", f"/{NOTE}", both, shared).status_code == 422
    assert filled.sent() == []
    assert call.write("PUT", f"/{NOTE}", both, {**moved, "subject": {"reference": "Patient/ana"}}).status_code == 200
