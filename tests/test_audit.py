"""The audit trail: nothing is read unrecorded, and one bad record stops nobody."""

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.db import OperationalError

from smartauth.audit import recording
from smartauth.audit.models import AuditRecord
from smartauth.audit.recording import AuditEvent, AuditUnavailable, record_now, record_read
from smartauth.context import new_context
from tests.conftest import Configure

pytestmark = pytest.mark.django_db(transaction=True)
EVENT = AuditEvent("read", client_id="bulk-loader", resource_type="Patient", resource_id="ana")


@pytest.fixture
def buffer(configure: Configure, monkeypatch: pytest.MonkeyPatch) -> Iterator[recording._Buffer]:
    """A buffer of its own, written by a real thread on a connection of its own."""
    configure(audit_reads="buffered")
    fresh = recording._Buffer()
    monkeypatch.setattr(recording, "_buffer", fresh)
    yield fresh
    fresh.end()


def eventually(holds: Callable[[], bool], within: float) -> bool:
    deadline = time.monotonic() + within
    while not holds() and time.monotonic() < deadline:
        time.sleep(0.02)
    return holds()


def test_a_read_is_stored_soon_without_being_waited_for(buffer: recording._Buffer) -> None:
    context = new_context()
    record_read(context, EVENT)
    assert not AuditRecord.objects.exists()
    assert eventually(AuditRecord.objects.exists, within=2)
    assert AuditRecord.objects.get().trace_id == context.trace_id


def test_a_full_buffer_holds_readers_back_and_then_refuses(
    buffer: recording._Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "CAPACITY", 2)
    monkeypatch.setattr(recording, "PATIENCE", 0.05)
    monkeypatch.setattr(recording, "FLUSH_EVERY", 1.0)
    record_read(new_context(), EVENT)
    record_read(new_context(), EVENT)
    with pytest.raises(AuditUnavailable):
        record_read(new_context(), EVENT)


def test_a_store_that_fails_stops_reads_and_its_recovery_lets_them_go_on(
    buffer: recording._Buffer, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(rows: Any) -> None:
        raise OperationalError

    with monkeypatch.context() as outage:
        outage.setattr(recording, "PATIENCE", 0.1)
        outage.setattr(AuditRecord.objects, "bulk_create", away)
        record_read(new_context(), EVENT)

        def refuses() -> bool:
            try:
                record_read(new_context(), EVENT)
            except AuditUnavailable:
                return True
            return False

        assert eventually(refuses, within=5)
    waiting = len(buffer._waiting)
    assert eventually(lambda: AuditRecord.objects.count() == waiting, within=5)  # Nothing was lost.
    record_read(new_context(), EVENT)


def test_one_record_that_cannot_be_stored_does_not_hold_up_the_others(buffer: recording._Buffer) -> None:
    bad = recording._row(new_context(), EVENT)
    bad.action = "x" * 100  # Longer than its column.
    buffer.add(recording._row(new_context(), EVENT))
    buffer.add(bad)
    record_read(new_context(), EVENT)
    assert eventually(lambda: AuditRecord.objects.count() == 2, within=5)
    assert eventually(lambda: not buffer._waiting, within=2)


def test_texts_that_no_database_takes_are_made_fit(buffer: recording._Buffer) -> None:
    event = AuditEvent("read", client_id="c" * 300, resource_id="a\x00b", query="\ud800", details={"scopes": "\x00"})
    record_now(new_context(), event)
    stored = AuditRecord.objects.get()
    assert (len(stored.client_id), "\x00" in stored.resource_id, "\x00" in stored.details["scopes"]) == (
        *(255, False, False),
    )


def test_what_waits_is_written_when_the_process_ends(buffer: recording._Buffer) -> None:
    buffer._process = recording.os.getpid()  # No thread: only the last flush can write it.
    record_read(new_context(), EVENT)
    assert not AuditRecord.objects.exists()
    buffer.end()
    assert AuditRecord.objects.count() == 1


def test_before_means_stored_when_the_call_returns(configure: Configure) -> None:
    configure(audit_reads="before")
    record_read(new_context(), EVENT)
    assert AuditRecord.objects.count() == 1
