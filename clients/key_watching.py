"""A round over the key sets of active clients: refresh what has run out, judge what is there, keep the findings.

A copy that HTTP caching rules still allow is never fetched anew: a key that is gone from the host for a moment must not
be taken from the copy everyone works with.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Max

from clients import key_findings, key_sets
from clients.jwks_rules import UnusableJwks, shown
from clients.key_watch import Kind, Look, judge
from clients.models import Client, KeySet, KeyUse, KeyWatchRound
from smartauth.conf import config

FETCHED_AT_MOST_EVERY = timedelta(minutes=1)  # by all watches, for one URL; answers that may not be kept count as well
USES_COUNT_FOR = timedelta(days=7)

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did, in numbers. failed: key sets that could not be judged, by a fault of ours."""

    key_sets: int
    fetched: int
    new_findings: int
    failed: int = 0


def watch(clock: Callable[[], datetime], *, pause: float, stop: threading.Event | None = None) -> Round:
    """Look at the key set of every approved client that has one by URL.

    clock: tells the time, aware.    pause: seconds to wait before each fetch but the first, so that hosts and network
    are not asked all at once.    stop: when set, the round ends before the next key set.
    Fetches, so it must not be called inside a transaction (RuntimeError). Whatever goes wrong with one key set is
    logged and the others are looked at; OperationalError and InterfaceError are raised: the database is away.
    """
    key_sets.require_no_transaction()
    stop = stop or threading.Event()
    began_at = clock()
    watched = _watched_clients()
    fetched = new_findings = failed = 0
    for jwks_uri, clients in watched.items():
        try:
            if key_sets.claim_refresh(jwks_uri, every=FETCHED_AT_MOST_EVERY, now=clock()):
                if fetched:
                    stop.wait(pause)
                fetched += 1
                _refresh(jwks_uri, clock())
            new_findings += _judge(jwks_uri, clients, clock())
        except (OperationalError, InterfaceError):
            raise
        except Exception:
            # A fault of ours with one partner's set must not leave all others unwatched.
            _log.exception("the key set at %s could not be judged", shown(jwks_uri))
            failed += 1
        if stop.is_set():
            break
    key_findings.resolve_unwatched(clock())
    done = Round(len(watched), fetched, new_findings, failed)
    if not stop.is_set():  # One that was broken off has not looked at everything.
        _note(done, began_at, clock())
    return done


def _watched_clients() -> dict[str, list[Client]]:
    watched = defaultdict(list)
    for client in Client.objects.filter(key_findings.WATCHED).order_by("pk"):
        watched[client.client_jwks_uri].append(client)
    return watched


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
        if row is None or (row.document is None and not row.last_problem):
            return 0  # Somebody deleted it just now, or another watch is about to fetch it; the next round has it.
        look = _look(row)
        new: list[tuple[str, Kind]] = []
        for client in clients:
            verdict = judge(
                look,
                _uses(client, now),
                algorithms=config().assertion_algorithms,
                now=now,
                rotation=key_findings.open_details(client, Kind.NO_OVERLAP),
            )
            new += [(client.client_id, kind) for kind in key_findings.keep(client, verdict, now=now)]
        if not look.problem:
            _note_seen(row, now)
    key_findings.tell(jwks_uri, new)
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


def _note_seen(row: KeySet, now: datetime) -> None:
    """Remember what this copy shows, to compare the next one with it."""
    kids = sorted({entry["kid"] for entry in (row.document or {"keys": []})["keys"]})
    seen_at = (row.fetched_at or now).isoformat()
    first_seen = {kid: row.first_seen.get(kid, seen_at) for kid in kids}
    if (kids, row.fetched_at, first_seen) != (row.watched_kids, row.watched_at, row.first_seen):
        KeySet.objects.filter(pk=row.pk).update(watched_kids=kids, watched_at=row.fetched_at, first_seen=first_seen)


def _uses(client: Client, now: datetime) -> dict[str, datetime]:
    """Return when each key of a client was used last; a use that a wrong clock dated ahead says nothing."""
    lately = KeyUse.objects.filter(
        client=client, used_at__gt=now - USES_COUNT_FOR, used_at__lte=now + key_sets.CLOCKS_DIFFER
    )
    return dict(lately.values_list("kid").annotate(Max("used_at")))


def _note(done: Round, began_at: datetime, ended_at: datetime) -> None:
    values = {
        "began_at": began_at,
        "ended_at": ended_at,
        "key_sets": done.key_sets,
        "fetched": done.fetched,
        "failed": done.failed,
        "new_findings": done.new_findings,
    }
    KeyWatchRound.objects.update_or_create(pk=1, defaults=values)
