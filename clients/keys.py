"""Which public key verifies a client's assertion: inline key sets, and key sets by URL shared by all workers.

A fetched set is a row (`KeySet`); each process keeps the keys it has parsed. A copy past its HTTP lifetime is never
used: a key that a client withdrew stops working (SMART 2.2 client-confidential-asymmetric).
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import lru_cache

from django.db import connection, transaction
from django.db.models import Q

from clients.jwks_fetch import fetch_jwks
from clients.jwks_rules import Jwk, PublicKey, UnusableJwks, import_public_key, read_jwks, shown
from clients.models import KeySet
from clients.registered import RegisteredClient
from smartauth.errors import InvalidClient, Refusal

FORCED_EVERY = timedelta(seconds=30)
MAX_COPIES = 10_000
KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


@dataclass(slots=True)
class Copy:
    """One version of a key set: the entries that count, and the keys already parsed, by position."""

    entries: tuple[Jwk, ...]
    fetched_at: datetime | None = None  # None for a key set registered by value
    expires_at: datetime | None = None
    parsed: dict[int, PublicKey] = field(default_factory=dict)

    def is_usable(self, now: datetime) -> bool:
        """Return True while HTTP caching rules let this copy be used (RFC 9111 §4.2)."""
        return self.expires_at is None or self.expires_at > now

    def positions(self, kid: str) -> list[int]:
        """Return where the entries called `kid` stand."""
        return [position for position, entry in enumerate(self.entries) if entry["kid"] == kid]

    def key_at(self, position: int) -> PublicKey:
        """Return the parsed key at `position`; parsing happens once per version. Raises UnusableJwks."""
        if position not in self.parsed:
            self.parsed[position] = import_public_key(self.entries[position])
        return self.parsed[position]


_copies: dict[str, Copy] = {}


def find_verification_key(client: RegisteredClient, kid: str, alg: str, *, now: datetime) -> PublicKey:
    """Return the one key of `client` called `kid` that fits the signature algorithm `alg`.

    May fetch the client's JWKS, so it must not be called inside a transaction. Raises InvalidClient; its refusal tells
    apart why the set could not be had, why no key was chosen and why the chosen one does not fit.
    Source: SMART 2.2 client-confidential-asymmetric, "Signature Verification"; RFC 7517 §4; RFC 7518 §3.
    """
    try:
        copy = _inline(client.jwks) if client.jwks else _by_url(client.jwks_uri, kid, now)
        return _choose(copy, kid, alg, now)
    except UnusableJwks as problem:
        raise InvalidClient(
            Refusal(problem.rule, problem.reason, seen=problem.seen, fix=problem.fix, officer=problem.officer)
        ) from problem


def try_jwks_uri(jwks_uri: str, *, now: datetime) -> int:
    """Fetch a key set now, keep it for everyone, and return how many keys it has. Raises UnusableJwks."""
    return len(_fetch(jwks_uri, now).entries)


def _choose(copy: Copy, kid: str, alg: str, now: datetime) -> PublicKey:
    named = copy.positions(kid)
    if not named:
        raise UnusableJwks(
            "jwks.kid_unknown",
            "no key of the client has the kid of the assertion",
            seen=f"kid {shown(kid)}; {_description(copy, now)}",
            fix="Publish the key under that kid, or sign with a published one.",
        )
    kty = KEY_TYPES[alg[:2]]
    fitting = [position for position in named if copy.entries[position]["kty"] == kty]
    if not fitting:
        raise UnusableJwks(
            "jwks.key_type",
            f"the key with that kid is not of the type {alg} needs",
            seen=f"kid {shown(kid)}, kty {copy.entries[named[0]]['kty']}, expected {kty}",
            fix="Sign with the algorithm of the key.",
        )
    if len(fitting) > 1:
        raise UnusableJwks(
            "jwks.kid_ambiguous",
            "several keys of the client have the kid of the assertion",
            seen=f"kid {shown(kid)}, {len(fitting)} keys",
            fix="Give each key its own kid.",
        )
    [position] = fitting
    _require_fit(copy.entries[position], alg)
    return copy.key_at(position)


def _require_fit(jwk: Jwk, alg: str) -> None:
    kid = shown(jwk["kid"])
    checks: tuple[tuple[str, str, Callable[[], bool], str], ...] = (
        ("key_use", "use", lambda: jwk.get("use", "sig") == "sig", "sig"),
        ("key_ops", "key_ops", lambda: "key_ops" not in jwk or _lists_verify(jwk["key_ops"]), "verify among key_ops"),
        ("key_alg", "alg", lambda: jwk.get("alg", alg) == alg, alg),
        ("key_curve", "crv", lambda: jwk.get("crv") == CURVES.get(alg, jwk.get("crv")), CURVES.get(alg, "")),
    )
    for rule, member, holds, expected in checks:
        if not holds():
            raise UnusableJwks(
                f"jwks.{rule}",
                f"the key with that kid may not verify this assertion: its {member} does not fit",
                seen=f"kid {kid}, {member} {shown(jwk.get(member))}, expected {expected}",
                fix="Sign with a key published for this algorithm and for signatures.",
            )


def _lists_verify(key_ops: object) -> bool:
    return isinstance(key_ops, list) and "verify" in key_ops


@lru_cache(maxsize=1_000)
def _inline(text: str) -> Copy:
    return Copy(read_jwks(json.loads(text)))


def _by_url(jwks_uri: str, kid: str, now: datetime) -> Copy:
    copy = _copies.get(jwks_uri)
    if copy is not None and copy.is_usable(now) and copy.positions(kid):
        return copy
    copy = _stored(jwks_uri)  # Another worker may have fetched since.
    if copy is None or not copy.is_usable(now):
        return _fetch(jwks_uri, now)
    if not copy.positions(kid) and _claim_forced_fetch(jwks_uri, now):
        return _fetch(jwks_uri, now)
    return copy


def _stored(jwks_uri: str) -> Copy | None:
    row = KeySet.objects.filter(jwks_uri=jwks_uri, document__isnull=False).first()
    if row is None:
        return None
    copy = _copies.get(jwks_uri)
    if copy is None or copy.fetched_at != row.fetched_at:
        copy = Copy(tuple(row.document["keys"]), row.fetched_at, row.expires_at)
        _remember(jwks_uri, copy)
    return copy


def _fetch(jwks_uri: str, now: datetime) -> Copy:
    require_no_transaction()
    try:
        fetched = fetch_jwks(jwks_uri)
        entries = read_jwks(_decode(fetched.body))
    except UnusableJwks as problem:
        _store_problem(jwks_uri, problem, now)
        raise
    copy = Copy(entries, now, now + fetched.lifetime)
    _store(jwks_uri, copy)
    _remember(jwks_uri, copy)
    return copy


def _decode(body: bytes) -> object:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise UnusableJwks(
            "jwks.not_json", "the JWKS URL does not answer with JSON", fix="Serve the key set as application/json."
        ) from None


def _remember(jwks_uri: str, copy: Copy) -> None:
    if len(_copies) >= MAX_COPIES:
        _copies.clear()
    _copies[jwks_uri] = copy


# A slower worker must not put an older copy over a newer one.
STORE = """
    INSERT INTO clients_keyset (jwks_uri, document, fetched_at, expires_at, attempted_at, last_problem)
    VALUES (%(uri)s, %(document)s::jsonb, %(fetched_at)s, %(expires_at)s, %(fetched_at)s, '')
    ON CONFLICT (jwks_uri) DO UPDATE SET document = excluded.document, fetched_at = excluded.fetched_at,
        expires_at = excluded.expires_at, attempted_at = excluded.attempted_at, last_problem = ''
    WHERE clients_keyset.fetched_at IS NULL OR clients_keyset.fetched_at <= excluded.fetched_at
"""
STORE_PROBLEM = """
    INSERT INTO clients_keyset (jwks_uri, attempted_at, last_problem) VALUES (%(uri)s, %(at)s, %(problem)s)
    ON CONFLICT (jwks_uri) DO UPDATE SET attempted_at = excluded.attempted_at, last_problem = excluded.last_problem
"""


def _store(jwks_uri: str, copy: Copy) -> None:
    document = json.dumps({"keys": copy.entries})
    with connection.cursor() as cursor:
        cursor.execute(
            STORE,
            {
                "uri": jwks_uri,
                "document": document,
                "fetched_at": copy.fetched_at,
                "expires_at": copy.expires_at,
            },
        )


def _store_problem(jwks_uri: str, problem: UnusableJwks, now: datetime) -> None:
    with connection.cursor() as cursor:
        text = f"{problem.rule}: {problem.reason}"[:255]
        cursor.execute(STORE_PROBLEM, {"uri": jwks_uri, "at": now, "problem": text})


def _claim_forced_fetch(jwks_uri: str, now: datetime) -> bool:
    """Return True for the one caller, over all workers, that may fetch for an unknown `kid` in this half minute."""
    free = Q(forced_at__isnull=True) | Q(forced_at__lte=now - FORCED_EVERY)
    return KeySet.objects.filter(free, jwks_uri=jwks_uri).update(forced_at=now) == 1


def require_no_transaction() -> None:
    """Raise RuntimeError inside a transaction; the wrapper of a test case does not count. Costs no statement.

    A network call would hold locks while a stranger's server thinks, and a spent `jti` must not be rolled back.
    """
    with transaction.atomic(durable=True):
        pass


def _description(copy: Copy, now: datetime) -> str:
    kids = ", ".join(shown(entry["kid"]) for entry in copy.entries[:20]) or "none"
    if copy.fetched_at is None:
        return f"registered: {kids}"
    return f"published: {kids}; copy is {max(0, round((now - copy.fetched_at).total_seconds()))} s old"
