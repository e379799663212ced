"""Which public key verifies a client's assertion: among keys registered by value, or those of a key set by URL.

Source: SMART 2.2 client-confidential-asymmetric, "Signature Verification"; RFC 7517 §4; RFC 7518 §3.
"""

import json
from collections.abc import Callable
from datetime import datetime
from functools import lru_cache

from clients.jwks_rules import Jwk, PublicKey, UnusableJwks, read_jwks, shown
from clients.key_sets import Copy, fetch, find_copy
from clients.registered import RegisteredClient
from smartauth.errors import InvalidClient, Refusal

KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC"}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}


def find_verification_key(client: RegisteredClient, kid: str, alg: str, *, now: datetime) -> PublicKey:
    """Return the one key of `client` called `kid` that fits the signature algorithm `alg`.

    May fetch the client's JWKS, so it must not be called inside a transaction. Raises InvalidClient; its refusal tells
    apart why the set could not be had, why no key was chosen and why the chosen one does not fit.
    """
    try:
        copy = _inline(client.jwks) if client.jwks else find_copy(client.jwks_uri, kid, now=now)
        return _choose(copy, kid, alg, now)
    except UnusableJwks as problem:
        raise InvalidClient(
            Refusal(problem.rule, problem.reason, seen=problem.seen, fix=problem.fix, officer=problem.officer)
        ) from problem


def try_jwks_uri(jwks_uri: str, *, now: datetime) -> int:
    """Fetch a key set now, keep it for everyone, and return how many keys it has. Raises UnusableJwks."""
    return len(fetch(jwks_uri, now=now).entries)


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


def _description(copy: Copy, now: datetime) -> str:
    kids = ", ".join(shown(entry["kid"]) for entry in copy.entries[:20]) or "none"
    if copy.fetched_at is None:
        return f"registered: {kids}"
    return f"published: {kids}; copy is {max(0, round((now - copy.fetched_at).total_seconds()))} s old"
