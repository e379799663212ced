"""Writing audit records: at once for grants and writes, through a bounded buffer for reads.

Reads are flushed within 200 ms. A full buffer slows readers down; a buffer that cannot be written stops them, because
an unrecorded read must not happen unnoticed.
"""

import logging
import os
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from multiprocessing.util import Finalize
from uuid import UUID

from django.db import DataError, Error, IntegrityError, connection, transaction

from smartauth.audit.models import AuditRecord
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.storable import storable

FLUSH_EVERY = 0.15  # seconds; with the write itself a record is stored within 200 ms
CAPACITY = 10_000  # records waiting
LONGEST = 8_192  # characters kept of a text
MOST_PATIENTS = 5_000  # named in one record
PATIENCE = 2.0  # seconds a reader waits for room, and a failing store is tolerated


class AuditUnavailable(Exception):
    """The audit trail cannot keep up or cannot be written; the request must not go on."""


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """What happened. `details` are counts and names: upstream_calls, checked, removed, interaction, …"""

    action: str
    rule: str = ""
    client_id: str = ""
    tenant: str = ""
    user: int | None = None
    patient: str = ""
    authorization: UUID | None = None
    resource_type: str = ""
    resource_id: str = ""
    query: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)
    patients: frozenset[str] = frozenset()  # whose data it was, beside the patient in context


def record_now(context: RequestContext, event: AuditEvent) -> None:
    """Store `event` in the current transaction, or by itself where there is none."""
    _row(context, event).save(force_insert=True)


def record_before(context: RequestContext, event: AuditEvent) -> None:
    """Store `event` before what it tells of is done. Raises AuditUnavailable; then it must not be done."""
    try:
        record_now(context, event)
    except Error as error:
        raise AuditUnavailable("the audit trail cannot be written") from error


def record_read(context: RequestContext, event: AuditEvent) -> None:
    """Put `event` into the buffer, or store it at once where the operator wants reads recorded before they happen.

    Raises AuditUnavailable when it cannot be kept.
    """
    if config().audit_reads == "buffered":
        _buffer.add(_row(context, event))
    else:
        record_before(context, event)


def _row(context: RequestContext, event: AuditEvent) -> AuditRecord:
    return AuditRecord(
        at=datetime.now(UTC),
        trace_id=context.trace_id,
        action=event.action,
        rule=event.rule,
        client_id=storable(event.client_id, 255),
        tenant=storable(event.tenant, 32),
        user_id=event.user,
        patient=storable(event.patient, 64),
        patients=_patients(context, event),
        authorization=event.authorization,
        resource_type=storable(event.resource_type, 64),
        resource_id=storable(event.resource_id, 64),
        query=storable(event.query, LONGEST),
        details={name: storable(v, LONGEST) if isinstance(v, str) else v for name, v in _details(context, event)},
        remote_address=context.remote_address,
    )


def _patients(context: RequestContext, event: AuditEvent) -> list[str]:
    """Return everybody whose data it was: in context, read as such, or found in what leaves."""
    found = event.patients | (context.explanation.patients if context.explanation else frozenset())
    found |= {event.patient} | ({event.resource_id} if event.resource_type == "Patient" else set())
    return [storable(one, 64) for one in sorted(found - {""})[:MOST_PATIENTS]]


def _details(context: RequestContext, event: AuditEvent) -> Iterator[tuple[str, str | int]]:
    yield from event.details.items()
    if context.explanation and context.explanation.switches:
        yield "switches", ",".join(context.explanation.switches)


class _Buffer:
    """Records waiting to be written by one thread of this process."""

    def __init__(self) -> None:
        self._waiting: deque[AuditRecord] = deque()
        self._room = threading.Condition()
        self._writing = threading.Lock()
        self._wake = threading.Event()
        self._process: int | None = None
        self._failing_since: float | None = None
        self._writer: threading.Thread | None = None
        self._is_ending = False

    def add(self, row: AuditRecord) -> None:
        if self._process != os.getpid():
            self._start()
        if self._failing_since is not None and time.monotonic() - self._failing_since > PATIENCE:
            raise AuditUnavailable("the audit trail is not being written")
        with self._room:
            if not self._room.wait_for(lambda: len(self._waiting) < CAPACITY, timeout=PATIENCE):
                raise AuditUnavailable("the audit trail has no room")
            self._waiting.append(row)
        self._wake.set()

    def flush(self) -> None:
        with self._writing:
            rows = list(self._waiting)
            if not rows:
                return
            try:
                AuditRecord.objects.bulk_create(rows)
            except (DataError, IntegrityError):
                self._write_one_by_one(rows)
            with self._room:
                for _ in rows:
                    self._waiting.popleft()
                self._room.notify_all()

    def _write_one_by_one(self, rows: list[AuditRecord]) -> None:
        """Write what can be written: one record the database will not take must not hold up the others."""
        for row in rows:
            row.pk = None
            try:
                with transaction.atomic():
                    row.save(force_insert=True)
            except (DataError, IntegrityError):
                _log.exception("the audit record of request %s cannot be stored", row.trace_id)

    def _start(self) -> None:
        with self._room:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._waiting.clear()  # In a forked child, what waited belongs to the parent.
            self._failing_since = None
        self._writer = threading.Thread(target=self._run, name="audit", daemon=True)
        self._writer.start()
        # Worker processes of a server leave without running atexit hooks; these finalizers they do run.
        Finalize(None, self.end, exitpriority=10)

    def _run(self) -> None:
        while not self._is_ending:
            self._wake.wait()
            time.sleep(FLUSH_EVERY)
            self._wake.clear()
            try:
                self.flush()
                self._failing_since = None
            except Exception:  # Whatever it is, reads must stop, not go on unrecorded.
                self._failing_since = self._failing_since or time.monotonic()
                _log.exception("audit records cannot be written")
                with suppress(Error):
                    connection.close()
                self._wake.set()
        connection.close()

    def end(self) -> None:
        """Write what waits, once more, and let the writer go."""
        self._is_ending = True
        self._wake.set()
        if self._writer is not None:
            self._writer.join(PATIENCE)
        try:
            self.flush()
        except Error:
            _log.exception("%d audit records were lost", len(self._waiting))


_buffer = _Buffer()
_log = logging.getLogger(__name__)
