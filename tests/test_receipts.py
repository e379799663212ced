"""Receipts: what is kept of a refusal, who may see which part, and what a flood leaves behind."""

import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from smartauth.audit.models import AuditRecord
from smartauth.context import RequestContext, new_context
from smartauth.errors import Refusal
from smartauth.receipts import recording
from smartauth.receipts.models import Receipt, RefusalCount
from smartauth.retention import purge

pytestmark = pytest.mark.django_db
REFUSAL = Refusal("assertion.aud", "aud is wrong", expected="a", seen="b", fix="send a", officer="upstream said no")


@pytest.fixture(autouse=True)
def fresh_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "_flood", recording._Flood())


def refuse(refusal: Refusal = REFUSAL, **facts: str) -> RequestContext:
    context = new_context(endpoint="token", method="POST", **facts)
    recording.record(context, status=401, error="invalid_client", refusal=refusal)
    return context


def explain(capsys: pytest.CaptureFixture[str], *words: str) -> Any:
    call_command("explain", *words)
    return capsys.readouterr().out


def test_the_officer_sees_everything_and_the_look_is_audited(capsys: pytest.CaptureFixture[str]) -> None:
    context = refuse(client_id="bulk-loader", tenant="sandbox", remote_address="127.0.0.1")
    shown = json.loads(explain(capsys, str(context.trace_id), "--json"))
    assert shown["officer"] == "upstream said no"
    assert shown["remote_address"] == "127.0.0.1"
    record = AuditRecord.objects.get(action="receipt.read")
    assert record.details == {"receipt": str(context.trace_id)}


def test_the_partner_sees_what_follows_from_the_request_alone(capsys: pytest.CaptureFixture[str]) -> None:
    context = refuse(client_id="bulk-loader", tenant="sandbox", remote_address="127.0.0.1")
    shown = json.loads(explain(capsys, str(context.trace_id), "--json", "--view", "partner"))
    assert list(shown) == [
        *("trace_id", "at", "endpoint", "status", "error", "rule"),
        *("reason", "expected", "seen", "fix", "client_id", "tenant"),
    ]
    assert (shown["rule"], shown["expected"], shown["seen"], shown["fix"]) == ("assertion.aud", "a", "b", "send a")
    assert (shown["status"], shown["error"], shown["endpoint"]) == (401, "invalid_client", "token")
    assert not AuditRecord.objects.exists()


def test_plain_text_is_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    shown = explain(capsys, str(refuse().trace_id))
    assert "assertion.aud" in shown
    assert "aud is wrong" in shown


@pytest.mark.parametrize("trace_id", ["nonsense", "b020b3e7-fd0c-49d9-88b9-de3cb758cb52"])
def test_an_unknown_trace_id_is_said_to_be_so(trace_id: str) -> None:
    with pytest.raises(CommandError):
        call_command("explain", trace_id)


def test_texts_are_capped_and_cleaned() -> None:
    context = refuse(Refusal("r", "x" * 5_000, seen="a\x00b\x1b[31m\ud800"), client_id="c" * 400)
    receipt = Receipt.objects.get(trace_id=context.trace_id)
    assert len(receipt.reason) == 2_000
    assert len(receipt.client_id) == 255
    assert "\x00" not in receipt.seen
    assert "\x1b" not in receipt.seen


def test_after_a_flood_refusals_are_only_counted() -> None:
    for _ in range(recording.BURST + 30):
        refuse(remote_address="203.0.113.9")
    refuse(remote_address="203.0.113.10")
    assert Receipt.objects.filter(remote_address="203.0.113.9").count() <= recording.BURST + 2
    assert Receipt.objects.filter(remote_address="203.0.113.10").count() == 1
    counted = RefusalCount.objects.filter(source="203.0.113.9", rule="assertion.aud")
    assert sum(counted.values_list("count", flat=True)) >= 28


def test_old_receipts_are_purged_and_young_ones_kept() -> None:
    old, young = refuse(), refuse()
    Receipt.objects.filter(trace_id=old.trace_id).update(at=timezone.now() - timedelta(days=31))
    assert purge(timezone.now())["receipts"] == 1
    assert list(Receipt.objects.values_list("trace_id", flat=True)) == [young.trace_id]
