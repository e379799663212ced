"""The facts of a moment, read from the database, so that it does not matter which worker did what.

Counts, kinds and times only: no patient, no user, no text of a request. Of clients only the id, where a key set needs
somebody to call.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Count, Max, Min, Sum

from clients.models import Activation, ChangeRequest, Client, KeyFinding, KeyWatchRound
from smartauth import keys
from smartauth.audit.models import AuditRecord
from smartauth.marks.models import Mark
from smartauth.models import SigningKey
from smartauth.receipts.models import Receipt, RefusalCount

MOST_NAMED = 200  # findings that are named one by one; the others are counted
LAST = timedelta(hours=1)  # of which refusals are counted
PATIENCE = "5s"  # of one statement
WAITING = (Client.Status.SUBMITTED, Client.Status.APPROVED)


@dataclass(frozen=True, slots=True)
class Finding:
    """An open finding about the key set of a client."""

    client_id: str
    kind: str
    since: datetime


@dataclass(frozen=True, slots=True)
class Round:
    """The last round of the watch over key sets."""

    ended_at: datetime
    key_sets: int
    fetched: int
    failed: int
    new_findings: int


@dataclass(frozen=True, slots=True)
class Key:
    """One of our signing keys. `since`: when it entered its state.

    signs_from: when a next key may sign at the earliest.    leaves_at: when a retired key is no longer published.
    """

    kid: str
    purpose: str
    alg: str
    state: str
    created_at: datetime
    since: datetime
    signs_from: datetime | None = None
    leaves_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """What the database says at `at`. Refusals are those of the last hour."""

    at: datetime
    answered_in: float  # seconds that all questions together took
    clients: Mapping[str, int]  # by status, every status
    oldest_submitted_at: datetime | None
    activations_waiting: int  # undecided, of clients that are submitted or approved
    changes_waiting: int  # that owners of approved clients asked for
    findings: tuple[Finding, ...]  # the oldest, at most MOST_NAMED
    findings_by_kind: Mapping[str, int]  # all of them, every kind
    last_round: Round | None
    refusals: Mapping[tuple[str, str], int]  # receipts by endpoint and error
    refusals_by_rule: Mapping[str, int]
    only_counted: Mapping[str, int]  # by rule: refusals that left no receipt, in a flood
    signing_keys: tuple[Key, ...]
    marks: int
    newest_audit_at: datetime | None


def read_facts(now: datetime) -> Facts:
    """Ask the database for everything. Raises a database Error when it does not answer in time."""
    began = time.perf_counter()
    with transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("SELECT set_config('statement_timeout', %s, true)", [PATIENCE])
        receipts = Receipt.objects.filter(at__gt=now - LAST)
        counted = RefusalCount.objects.filter(minute__gt=now - LAST)
        return Facts(
            at=now,
            clients=_by_status(),
            oldest_submitted_at=Client.objects.filter(status=Client.Status.SUBMITTED).aggregate(at=Min("updated"))[
                "at"
            ],
            activations_waiting=_activations_waiting(),
            changes_waiting=ChangeRequest.objects.filter(state=ChangeRequest.State.OPEN).count(),
            findings=_findings(),
            findings_by_kind=_findings_by_kind(),
            last_round=_last_round(),
            refusals={
                (endpoint, error): count
                for endpoint, error, count in receipts.values_list("endpoint", "error").annotate(Count("pk"))
            },
            refusals_by_rule=dict(receipts.values_list("rule").annotate(Count("pk"))),
            only_counted=dict(counted.values_list("rule").annotate(Sum("count"))),
            signing_keys=_signing_keys(),
            marks=Mark.objects.count(),
            newest_audit_at=AuditRecord.objects.aggregate(at=Max("at"))["at"],
            answered_in=time.perf_counter() - began,
        )


def _by_status() -> dict[str, int]:
    found = dict(Client.objects.values_list("status").annotate(Count("pk")))
    return {str(status): found.get(status, 0) for status in Client.Status}


def _activations_waiting() -> int:
    undecided = Activation.objects.filter(is_active=False, decided_at=None)
    return undecided.filter(client__status__in=WAITING, tenant__is_active=True).count()


def _findings() -> tuple[Finding, ...]:
    rows = KeyFinding.objects.filter(resolved_at=None).order_by("first_seen_at", "pk")[:MOST_NAMED]
    return tuple(Finding(*row) for row in rows.values_list("client__client_id", "kind", "first_seen_at"))


def _findings_by_kind() -> dict[str, int]:
    found = dict(KeyFinding.objects.filter(resolved_at=None).values_list("kind").annotate(Count("pk")))
    return {str(kind): found.get(kind, 0) for kind in KeyFinding.Kind}


def _last_round() -> Round | None:
    row = KeyWatchRound.objects.first()
    return row and Round(row.ended_at, row.key_sets, row.fetched, row.failed, row.new_findings)


def _signing_keys() -> tuple[Key, ...]:
    rows = SigningKey.objects.defer("sealed_private_key", "public_jwk").order_by("purpose", "alg", "created_at")
    return tuple(_key(row) for row in rows)


def _key(row: SigningKey) -> Key:
    is_next = row.state == SigningKey.State.NEXT
    return Key(
        row.kid,
        row.purpose,
        row.alg,
        row.state,
        row.created_at,
        row.retired_at or row.activated_at or row.created_at,
        row.created_at + keys.PUBLISHED_BEFORE_USE if is_next else None,
        None if row.retired_at is None else row.retired_at + keys.longest_use(),
    )
