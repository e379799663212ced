"""Which public key verifies a client's assertion: among keys registered by value, or those of a key set by URL.

Source: SMART 2.2 client-confidential-asymmetric, "Signature Verification"; RFC 7517 §4; RFC 7518 §3.
"""

import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import lru_cache

from clients.assertion_case import Case, Check, refuse
from clients.jwks_rules import Jwk, PublicKey, UnusableJwks, read_jwks, shown
from clients.jws_signatures import holds
from clients.key_sets import FORCED_EVERY, Copy, find_copy
from clients.registered import RegisteredClient
from smartauth.errors import InvalidClient

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
ECDSA_LENGTHS = {"ES256": 64, "ES384": 96, "ES512": 132}  # bytes of R and S (RFC 7518 §3.4)
MAX_SHOWN = 20  # kids in one text


def check_key_set(case: Case) -> None:
    """Find the key set of the client, fetching it where HTTP caching wants that, and note it in the case.

    Must not be called inside a transaction. Raises InvalidClient, which tells apart why the set could not be had.
    """
    with _as_refusals():
        case.copy = find_key_set(case.client, case.kid, now=case.now)


def check_key(case: Case) -> None:
    """Choose the key that the header names among those of the case, and note it there.

    Raises InvalidClient, which tells apart why no key was chosen and why the chosen one does not fit.
    """
    if case.copy is None:
        raise RuntimeError("the key set comes first")
    with _as_refusals():
        case.key = choose_key(case.copy, case.kid, case.alg, now=case.now)


def check_signature(case: Case) -> None:
    """Raise InvalidClient unless the key of the case made the signature."""
    if case.key is None or not holds(case.assertion, case.key, case.alg):
        length = _signature_length(case)
        fix = "Check that the private key belongs to the published key of that kid."
        if case.copy is not None and case.copy.fetched_at is not None:
            fix += " Give a new key a new kid: one that replaced another under its kid is not seen until the copy ends."
        if length.endswith("DER"):
            fix = "Sign with R and S one after the other (IEEE P1363), not as DER, or let a JWT library sign."
        raise refuse(
            "signature",
            "the signature does not verify with the published key",
            expected=f"a signature by the private key of kid {shown(case.kid)}",
            seen=f"alg {case.alg}{length}{f'; {description(case.copy, case.now)}' if case.copy else ''}",
            fix=fix,
        )


def find_key_set(client: RegisteredClient, kid: str, *, now: datetime) -> Copy:
    """Return the keys of a client: as registered, or a copy that may be used of what it publishes. Raises UnusableJwks.

    May fetch, at most as often as `key_sets` lets anybody, so it must not be called inside a transaction.
    """
    return inline(client.jwks) if client.jwks else find_copy(client.jwks_uri, kid, now=now)


def choose_key(copy: Copy, kid: str, alg: str, *, now: datetime) -> PublicKey:
    """Return the one key of a set called `kid` that fits the signature algorithm `alg`. Raises UnusableJwks."""
    if not copy.entries:
        raise UnusableJwks(
            "jwks.no_usable_key",
            "the key set has no RSA or EC key with a kid",
            expected=f"a key with kid {shown(kid)}",
            seen=description(copy, now),
            fix="Publish an RSA or EC key with a kid. Keys of other types, and those without a kid, are not counted.",
        )
    named = copy.positions(kid)
    if not named:
        again = "" if copy.fetched_at is None else f" A new key is looked for once in {FORCED_EVERY.seconds} s."
        raise UnusableJwks(
            "jwks.kid_unknown",
            "no key of the client has the kid of the assertion",
            expected="the kid of an RSA or EC key of the set",
            seen=f"kid {shown(kid)}; {description(copy, now)}",
            fix=f"Publish the key under that kid, or sign with a published one.{again}",
        )
    kty = KEY_TYPES[alg[:2]]
    fitting = [position for position in named if copy.entries[position]["kty"] == kty]
    if not fitting:
        raise UnusableJwks(
            "jwks.key_type",
            f"the key with that kid is not of the type {alg} needs",
            expected=f"kty {kty}",
            seen=f"kid {shown(kid)}, kty {copy.entries[named[0]]['kty']}",
            fix="Sign with the algorithm of the key.",
        )
    if len(fitting) > 1:
        raise UnusableJwks(
            "jwks.kid_ambiguous",
            "several keys of the client have the kid of the assertion",
            expected="one key of that kid",
            seen=f"kid {shown(kid)}, {len(fitting)} keys; {description(copy, now)}",
            fix="Give each key its own kid.",
        )
    [position] = fitting
    _require_fit(copy.entries[position], alg)
    return copy.key_at(position)


def description(copy: Copy, now: datetime) -> str:
    """Return the kids of a set and the age of the copy, in words."""
    kids = ", ".join(shown(entry["kid"]) for entry in copy.entries[:MAX_SHOWN]) or "none"
    if len(copy.entries) > MAX_SHOWN:
        kids += f" and {len(copy.entries) - MAX_SHOWN} more"
    if copy.fetched_at is None:
        return f"registered: {kids}"
    return f"published: {kids}; copy is {age(copy, now)} s old"


def age(copy: Copy, now: datetime) -> int | None:
    """Return how many seconds ago a copy was fetched, None for keys registered by value."""
    return None if copy.fetched_at is None else max(0, round((now - copy.fetched_at).total_seconds()))


@lru_cache(maxsize=1_000)
def inline(text: str) -> Copy:
    """Return the keys that are registered by value. Raises UnusableJwks."""
    return Copy(read_jwks(json.loads(text)))


@contextmanager
def _as_refusals() -> Iterator[None]:
    try:
        yield
    except UnusableJwks as problem:
        raise InvalidClient(problem.as_refusal()) from problem


def _require_fit(jwk: Jwk, alg: str) -> None:
    kid = shown(jwk["kid"])
    checks: tuple[tuple[str, str, Callable[[], bool], str], ...] = (
        ("key_use", "use", lambda: jwk.get("use", "sig") == "sig", "sig"),
        ("key_ops", "key_ops", lambda: "key_ops" not in jwk or _lists_verify(jwk["key_ops"]), "verify among key_ops"),
        ("key_alg", "alg", lambda: jwk.get("alg", alg) == alg, alg),
        ("key_curve", "crv", lambda: jwk.get("crv") == CURVES.get(alg, jwk.get("crv")), CURVES.get(alg, "")),
    )
    for rule, member, fits, expected in checks:
        if not fits():
            raise UnusableJwks(
                f"jwks.{rule}",
                f"the key with that kid may not verify this assertion: its {member} does not fit",
                expected=f"{member} {expected}",
                seen=f"kid {kid}, {member} {shown(jwk.get(member))}",
                fix="Sign with a key published for this algorithm and for signatures.",
            )


def _lists_verify(key_ops: object) -> bool:
    return isinstance(key_ops, list) and "verify" in key_ops


def _signature_length(case: Case) -> str:
    """Return what the length of an ECDSA signature says where it is wrong, else "". The signature is not repeated."""
    right = ECDSA_LENGTHS.get(case.alg)
    segment = case.assertion.text.rpartition(".")[2]
    raw = base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4)) if len(segment) % 4 != 1 else b""
    if right is None or len(raw) == right:
        return ""
    return f", {len(raw)} bytes in the place of {right}{', which look like DER' if raw[:1] == b'0' else ''}"


KEY_CHECKS = (
    Check(
        "jwks.set",
        "The key set can be had",
        check_key_set,
        ("client.auth_method", "assertion.kid"),
        lambda case: description(case.copy, case.now) if case.copy else "",
    ),
    Check(
        "jwks.key",
        "One key has the kid and fits the algorithm",
        check_key,
        ("assertion.alg", "assertion.kid", "jwks.set"),
        lambda case: f"{case.key.key_type} key {shown(case.kid)}" if case.key else "",
    ),
    Check(
        "assertion.signature", "The signature verifies with that key", check_signature, ("assertion.crit", "jwks.key")
    ),
)
