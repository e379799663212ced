"""A client's key set by URL: fetched once for everyone, kept as long as HTTP allows, and not asked for in vain.

A fetched set is a row (`KeySet`) that all workers share; each process keeps the keys it has parsed. A copy past its
HTTP lifetime is never used: a key that a client withdrew stops working (SMART 2.2 client-confidential-asymmetric).

Whoever knows a client_id can make us want its key set, since that comes before any signature is verified. So what a
stranger can cost is bounded: while a host fails, one thread over all workers tries it once in five seconds and everyone
else is told the last problem at once; while it answers, the requests of a process wait together for one fetch.
"""

import json
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import connection, transaction
from django.db.models import Q

from clients import key_findings
from clients.jwks_fetch import TOTAL_TIMEOUT, fetch_jwks
from clients.jwks_rules import FIXES, Jwk, PublicKey, UnusableJwks, decode_jwks, import_public_key, read_jwks
from clients.models import KeySet
from smartauth.marks import MarkedCache

FORCED_EVERY = timedelta(seconds=30)
# Clocks of workers differ a little. What was written further ahead than this was written by a clock that was wrong, and
# must not keep anything fresh, or anybody waiting, until the time it named.
CLOCKS_DIFFER = timedelta(seconds=60)
# As long as a fetch may take, so that two attempts at a host that hangs do not overlap.
RETRY_EVERY = timedelta(milliseconds=TOTAL_TIMEOUT)


@dataclass(slots=True)
class Copy:
    """One version of a key set: the entries that count, and the keys already parsed, by position."""

    entries: tuple[Jwk, ...]
    fetched_at: datetime | None = None  # None for a key set registered by value
    expires_at: datetime | None = None
    parsed: dict[int, PublicKey] = field(default_factory=dict)

    def is_usable(self, now: datetime) -> bool:
        """Return True while HTTP caching rules let this copy be used (RFC 9111 §4.2).

        A copy fetched in the future has an age nobody knows, so it is not used.
        """
        if self.fetched_at is None or self.expires_at is None:
            return True
        return self.fetched_at - CLOCKS_DIFFER <= now < self.expires_at

    def positions(self, kid: str) -> list[int]:
        """Return where the entries called `kid` stand."""
        return [position for position, entry in enumerate(self.entries) if entry["kid"] == kid]

    def key_at(self, position: int) -> PublicKey:
        """Return the parsed key at `position`; parsing happens once per version. Raises UnusableJwks."""
        if position not in self.parsed:
            self.parsed[position] = import_public_key(self.entries[position])
        return self.parsed[position]


def key_set_mark(jwks_uri: str) -> str:
    """Name the stored copy of a key set. Left when it is taken away; a newer version needs no mark."""
    return f"jwks:{jwks_uri}"


_copies: MarkedCache[str, Copy | None] = MarkedCache(max_size=10_000)
_fetches: dict[str, Future[Copy]] = {}  # Under way in this process; each has a thread, so there are never many.
_fetches_lock = threading.Lock()


def find_copy(jwks_uri: str, kid: str, *, now: datetime) -> Copy:
    """Return a usable copy of the set at `jwks_uri`; if it lacks `kid`, nothing newer could be had just now.

    May fetch, and then must not be called inside a transaction (RuntimeError). Raises UnusableJwks: what the fetch
    says, or what the last one said when it failed less than five seconds ago.
    """
    held = _copies.get(jwks_uri, lambda: _version(_row(jwks_uri)), tags=lambda copy: _tags(jwks_uri, copy))
    if held is not None and held.is_usable(now) and held.positions(kid):
        return held
    row = _row(jwks_uri)  # Another worker may have fetched since.
    copy = _version(row, held)
    if copy is not held:
        _forget(jwks_uri)
    if row is None or copy is None or not copy.is_usable(now):
        if row is not None and row.last_problem and not _claim_retry(jwks_uri, now):
            raise _known_problem(row, now)
        return _fetch_needed(jwks_uri, now)
    if not copy.positions(kid) and _claim_forced_fetch(jwks_uri, now):
        return _fetch_needed(jwks_uri, now)
    return copy


def held_copy(jwks_uri: str) -> Copy | None:
    """Return the stored copy of a key set, also one that may no longer be used, or None. One statement, no fetch."""
    return _version(_row(jwks_uri))


def fetch(jwks_uri: str, *, now: datetime) -> Copy:
    """Fetch a key set now and keep it for everyone. Who comes while this process fetches it shares the outcome.

    That holds for answers that may not be stored, too: what is shared was asked for within the time a fetch may take.
    Raises UnusableJwks, and RuntimeError inside a transaction.
    """
    require_no_transaction()
    with _fetches_lock:
        under_way = _fetches.get(jwks_uri)
        if under_way is None:
            _fetches[jwks_uri] = Future()
    if under_way is not None:
        return _wait(under_way, jwks_uri)
    try:
        copy = _fetch(jwks_uri, now)
    except BaseException as error:
        _finish(jwks_uri).set_exception(error)
        raise
    _finish(jwks_uri).set_result(copy)
    return copy


def claim_refresh(jwks_uri: str, *, every: timedelta, now: datetime) -> bool:
    """Return True for the one caller, over all processes, that should fetch a set no copy of which may be used.

    It has `every` to do so; nobody else is told to before. Assertions do not ask here: they cannot wait.
    """
    run_out = Q(expires_at__isnull=True) | Q(expires_at__lte=now) | Q(fetched_at__gt=now + CLOCKS_DIFFER)
    due = run_out & _long_ago("attempted_at", every, now)
    if KeySet.objects.filter(due, jwks_uri=jwks_uri).update(attempted_at=now):
        return True
    return KeySet.objects.get_or_create(jwks_uri=jwks_uri, defaults={"attempted_at": now})[1]


def require_no_transaction() -> None:
    """Raise RuntimeError inside a transaction; the wrapper of a test case does not count. Costs no statement.

    A network call would hold locks while a stranger's server thinks, and a spent `jti` must not be rolled back.
    """
    with transaction.atomic(durable=True):
        pass


def _fetch_needed(jwks_uri: str, now: datetime) -> Copy:
    """Fetch for an assertion. Its owner learns of a private key from the receipt; an operator should not wait."""
    try:
        return fetch(jwks_uri, now=now)
    except UnusableJwks as problem:
        if problem.rule == "jwks.private_key":
            key_findings.open_private_key(jwks_uri, problem, now=now)
        raise


def _wait(under_way: Future[Copy], jwks_uri: str) -> Copy:
    try:
        return under_way.result(timeout=TOTAL_TIMEOUT / 1_000)
    except TimeoutError:
        raise UnusableJwks("jwks.timeout", "the JWKS URL took too long to answer", seen=jwks_uri) from None


def _finish(jwks_uri: str) -> Future[Copy]:
    """Take a fetch off the list before its outcome is told: who comes later must not be handed an old answer."""
    with _fetches_lock:
        return _fetches.pop(jwks_uri)


def _row(jwks_uri: str) -> KeySet | None:
    return KeySet.objects.filter(jwks_uri=jwks_uri).first()


def _version(row: KeySet | None, held: Copy | None = None) -> Copy | None:
    """Return what a row holds, as the copy in hand where that is the same version."""
    if row is None or row.document is None:
        return None
    if held is not None and held.fetched_at == row.fetched_at:
        return held
    return Copy(tuple(row.document["keys"]), row.fetched_at, row.expires_at)


def _tags(jwks_uri: str, copy: Copy | None) -> tuple[str, ...]:
    return () if copy is None else (key_set_mark(jwks_uri),)


def _forget(jwks_uri: str) -> None:
    """Let this process read the row again. Others find a newer version when theirs expires or lacks a `kid`."""
    _copies.forget(frozenset({key_set_mark(jwks_uri)}))


def _fetch(jwks_uri: str, now: datetime) -> Copy:
    try:
        fetched = fetch_jwks(jwks_uri)
        entries = read_jwks(decode_jwks(fetched.body))
    except UnusableJwks as problem:
        _store_problem(jwks_uri, problem, now)
        raise
    copy = Copy(entries, now, now + fetched.lifetime)
    _store(jwks_uri, copy, fetched.certificate_ends_at)
    _forget(jwks_uri)
    return copy


# A slower worker must not put an older copy over a newer one; a copy from the future is no newer one.
STORE = """
    INSERT INTO clients_keyset
        (jwks_uri, document, fetched_at, expires_at, attempted_at, last_problem, certificate_ends_at)
    VALUES (%(uri)s, %(document)s::jsonb, %(fetched_at)s, %(expires_at)s, %(fetched_at)s, '', %(certificate_ends_at)s)
    ON CONFLICT (jwks_uri) DO UPDATE SET document = excluded.document, fetched_at = excluded.fetched_at,
        expires_at = excluded.expires_at, attempted_at = excluded.attempted_at, last_problem = '',
        certificate_ends_at = excluded.certificate_ends_at
    WHERE clients_keyset.fetched_at IS NULL OR clients_keyset.fetched_at <= excluded.fetched_at
        OR clients_keyset.fetched_at > excluded.fetched_at + %(clocks_differ)s
"""
STORE_PROBLEM = """
    INSERT INTO clients_keyset (jwks_uri, attempted_at, last_problem) VALUES (%(uri)s, %(at)s, %(problem)s)
    ON CONFLICT (jwks_uri) DO UPDATE SET attempted_at = excluded.attempted_at, last_problem = excluded.last_problem
"""


def _store(jwks_uri: str, copy: Copy, certificate_ends_at: datetime | None) -> None:
    document = json.dumps({"keys": copy.entries})
    with connection.cursor() as cursor:
        cursor.execute(
            STORE,
            {
                "uri": jwks_uri,
                "document": document,
                "fetched_at": copy.fetched_at,
                "expires_at": copy.expires_at,
                "certificate_ends_at": certificate_ends_at,
                "clocks_differ": CLOCKS_DIFFER,
            },
        )


def _store_problem(jwks_uri: str, problem: UnusableJwks, now: datetime) -> None:
    with connection.cursor() as cursor:
        text = f"{problem.rule}: {problem.reason}"[:255]
        cursor.execute(STORE_PROBLEM, {"uri": jwks_uri, "at": now, "problem": text})


def _known_problem(row: KeySet, now: datetime) -> UnusableJwks:
    rule, _, reason = row.last_problem.partition(": ")  # As `_store_problem` wrote it; no rule has a colon.
    age = "" if row.attempted_at is None else f", {max(0, round((now - row.attempted_at).total_seconds()))} s ago"
    return UnusableJwks(
        rule,
        reason,
        seen=f"{row.jwks_uri}, as last tried{age}",
        fix=f"{FIXES.get(rule, 'Mend the cause.')} The URL is tried again at most every {RETRY_EVERY.seconds} s.",
    )


def _claim_retry(jwks_uri: str, now: datetime) -> bool:
    """Return True for the one caller, over all workers, that may try a failing URL again in these five seconds."""
    # Where another worker has just succeeded nothing is left to wait for.
    free = Q(last_problem="") | _long_ago("attempted_at", RETRY_EVERY, now)
    return KeySet.objects.filter(free, jwks_uri=jwks_uri).update(attempted_at=now) == 1


def _claim_forced_fetch(jwks_uri: str, now: datetime) -> bool:
    """Return True for the one caller, over all workers, that may fetch for an unknown `kid` in this half minute."""
    free = _long_ago("forced_at", FORCED_EVERY, now)
    return KeySet.objects.filter(free, jwks_uri=jwks_uri).update(forced_at=now) == 1


def _long_ago(name: str, pause: timedelta, now: datetime) -> Q:
    """Return the condition that what `name` dates never was, is over for `pause`, or was dated by a wrong clock."""
    never, past = Q(**{f"{name}__isnull": True}), Q(**{f"{name}__lte": now - pause})
    return never | past | Q(**{f"{name}__gt": now + CLOCKS_DIFFER})
