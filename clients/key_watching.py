"""A round over the key sets of active clients: refresh what has run out, judge what is there, keep the findings.

A copy that HTTP caching rules still allow is never fetched anew: a key that is gone from the host for a moment must not
be taken from the copy everyone works with.
"""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import Max

from clients import key_sets
from clients.jwks_rules import UnusableJwks
from clients.key_watch import Kind, Look, Verdict, judge
from clients.models import AuthMethod, Client, KeyFinding, KeySet, KeyUse
from smartauth.alarms import raise_alarm
from smartauth.conf import config

FETCHED_AT_MOST_EVERY = timedelta(minutes=1)  # by the watch, for one URL; answers that may not be kept count as well
USES_COUNT_FOR = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did, in numbers."""

    key_sets: int
    fetched: int
    new_findings: int


def watch(clock: Callable[[], datetime], *, pause: float) -> Round:
    """Look at the key set of every approved client that has one by URL.

    clock: tells the time, aware.    pause: seconds to wait before each fetch but the first, so that hosts and network
    are not asked all at once. Fetches, so it must not be called inside a transaction (RuntimeError).
    """
    key_sets.require_no_transaction()
    watched = _watched_clients()
    fetched = new_findings = 0
    for jwks_uri, clients in watched.items():
        if _is_due(jwks_uri, clock()):
            if fetched:
                time.sleep(pause)
            fetched += 1
            _refresh(jwks_uri, clock())
        new_findings += _judge(jwks_uri, clients, clock())
    _resolve_unwatched([client.pk for clients in watched.values() for client in clients], clock())
    return Round(len(watched), fetched, new_findings)


def _watched_clients() -> dict[str, list[Client]]:
    approved = Client.objects.filter(
        status=Client.Status.APPROVED, token_endpoint_auth_method=AuthMethod.PRIVATE_KEY_JWT
    ).exclude(client_jwks_uri="")
    watched = defaultdict(list)
    for client in approved.order_by("pk"):
        watched[client.client_jwks_uri].append(client)
    return watched


def _is_due(jwks_uri: str, now: datetime) -> bool:
    row = KeySet.objects.filter(jwks_uri=jwks_uri).first()
    if row is None:
        return True
    if row.expires_at is not None and row.expires_at > now:
        return False
    return row.attempted_at is None or not timedelta(0) <= now - row.attempted_at < FETCHED_AT_MOST_EVERY


def _refresh(jwks_uri: str, now: datetime) -> None:
    try:
        key_sets.fetch(jwks_uri, now=now)
    except UnusableJwks:
        return  # It is in the row, as the last problem.


def _judge(jwks_uri: str, clients: list[Client], now: datetime) -> int:
    """Judge the stored copy for each of its clients and return how many findings are new."""
    with transaction.atomic():
        # The lock keeps two rounds at once from finding the same thing twice.
        row = KeySet.objects.select_for_update().filter(jwks_uri=jwks_uri).first()
        if row is None:
            return 0  # Somebody deleted it just now; the next round has it again.
        look = _look(row)
        new = []
        for client in clients:
            verdict = judge(look, _uses(client, now), algorithms=config().assertion_algorithms, now=now)
            new += [(client.client_id, kind) for kind in _keep(client, verdict, now)]
        if not look.problem:
            kids = sorted({entry["kid"] for entry in look.entries})
            KeySet.objects.filter(pk=row.pk).update(watched_kids=kids, watched_at=row.fetched_at)
    for client_id, kind in new:
        raise_alarm("key-set", client=client_id, finding=str(kind))
    return len(new)


def _look(row: KeySet) -> Look:
    return Look(
        problem=row.last_problem,
        entries=tuple((row.document or {"keys": []})["keys"]),
        fetched_at=row.fetched_at,
        certificate_ends_at=row.certificate_ends_at,
        previous_kids=None if row.watched_kids is None else frozenset(row.watched_kids),
        previous_at=row.watched_at,
    )


def _uses(client: Client, now: datetime) -> dict[str, datetime]:
    lately = KeyUse.objects.filter(client=client, used_at__gt=now - USES_COUNT_FOR)
    return dict(lately.values_list("kid").annotate(Max("used_at")))


def _keep(client: Client, verdict: Verdict, now: datetime) -> list[Kind]:
    """Store what is found, resolve what is mended, and return the kinds that were not open before."""
    still_open = {row.kind: row for row in KeyFinding.objects.filter(client=client, resolved_at=None)}
    for row in still_open.values():
        # A clock that went back must not put an end before a beginning.
        at = max(now, row.last_seen_at)
        if row.kind in verdict.findings:
            row.last_seen_at, row.details = at, verdict.findings[Kind(row.kind)]
        elif row.kind in verdict.judged:
            row.resolved_at = at
        row.save(update_fields=["last_seen_at", "details", "resolved_at"])
    new = [kind for kind in verdict.findings if kind not in still_open]
    for kind in new:
        KeyFinding.objects.create(
            client=client, kind=kind, first_seen_at=now, last_seen_at=now, details=verdict.findings[kind]
        )
    return new


def _resolve_unwatched(watched: list[int], now: datetime) -> None:
    """Resolve what was found about clients that are no longer active, or no longer have keys by URL."""
    for row in KeyFinding.objects.filter(resolved_at=None).exclude(client__in=watched):
        row.resolved_at = max(now, row.last_seen_at)
        row.save(update_fields=["resolved_at"])
