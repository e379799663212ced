"""What the header and the claims of a client assertion must say. Pure; nothing here touches keys or the database.

Source: RFC 7523 §3; RFC 7515 §4.1; RFC 8725 §3; SMART 2.2 client-confidential-asymmetric.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from clients.compact_jws import CompactJws, numeric_date
from clients.jwks_rules import KID, shown
from smartauth.errors import InvalidClient, Refusal

# A token of another kind must not pass for an assertion (RFC 8725 §3.11).
TYPES = frozenset({"jwt", "client-authentication+jwt"})


@dataclass(frozen=True, slots=True)
class AssertionHeader:
    """The header members that choose a key."""

    alg: str
    kid: str


@dataclass(frozen=True, slots=True)
class AssertionClaims:
    """The claims of an assertion. `expires_at` is its `exp`."""

    client_id: str
    jti: str
    expires_at: datetime


def refuse(rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "") -> InvalidClient:
    """Make the refusal of an assertion; `rule` comes without its "assertion." prefix."""
    return InvalidClient(Refusal(f"assertion.{rule}", reason, expected=expected, seen=seen, fix=fix))


def claimed_client_id(jws: CompactJws) -> str:
    """Return whom the assertion says it is from: `iss` and `sub`, which must be the same (RFC 7523 §3)."""
    issuer, subject = jws.claims.get("iss"), jws.claims.get("sub")
    if not isinstance(issuer, str) or not issuer or not isinstance(subject, str) or not subject:
        raise refuse(
            "iss_sub_missing",
            "iss and sub must both be there, as strings",
            expected="the client_id in iss and in sub",
            seen=f"iss {shown(issuer)}, sub {shown(subject)}",
            fix="Set iss and sub to the client_id.",
        )
    if issuer != subject:
        raise refuse(
            "iss_sub",
            "iss and sub differ",
            expected="the client_id in iss and in sub",
            seen=f"iss {shown(issuer)}, sub {shown(subject)}",
            fix="Set iss and sub to the client_id.",
        )
    return issuer


def check_header(header: dict[str, Any], *, algorithms: tuple[str, ...], jwks_uri: str) -> AssertionHeader:
    """Return what chooses the key. `jwks_uri`: the registered one, "" for an inline key set. Raises InvalidClient."""
    alg, kid, typ = header.get("alg"), header.get("kid"), header.get("typ", "JWT")
    if not isinstance(alg, str) or alg not in algorithms:
        raise refuse(
            "alg",
            "the algorithm of the assertion is not accepted",
            expected=", ".join(algorithms),
            seen=shown(alg),
            fix="Sign with RS384 or ES384.",
        )
    if "crit" in header or "zip" in header or header.get("b64", True) is not True:
        raise refuse(
            "crit",
            "the header asks for an extension that is not supported",
            seen=shown(header.get("crit", "b64 or zip")),
            fix="Leave out crit, b64 and zip.",
        )
    if not isinstance(typ, str) or typ.lower() not in TYPES:
        raise refuse("typ", "the token is of another kind", expected="JWT", seen=shown(typ), fix="Set typ to JWT.")
    if kid is None:
        raise refuse("kid_missing", "the header has no kid", fix="Name the key that signed, as in your JWKS.")
    if not isinstance(kid, str) or KID.fullmatch(kid) is None:
        raise refuse("kid", "kid is not a string of 1 to 255 characters", seen=shown(kid))
    if "jku" in header and (not jwks_uri or header["jku"] != jwks_uri):
        raise refuse(
            "jku",
            "jku is not the registered jwks_uri",
            expected=jwks_uri or "no jku: the key set is registered by value",
            seen=shown(header["jku"]),
            fix="Leave jku out, or write it exactly as registered.",
        )
    return AssertionHeader(alg, kid)


def check_claims(
    claims: dict[str, Any],
    *,
    client_id: str,
    audiences: frozenset[str],
    now: datetime,
    max_lifetime: timedelta,
    leeway: timedelta,
) -> AssertionClaims:
    """Return the claims that are remembered once the signature verifies. Raises InvalidClient.

    audiences: the `aud` values that mean this server.    leeway: granted on either side of every time.
    """
    _check_audience(claims, audiences)
    expires_at = _check_times(claims, now, max_lifetime, leeway)
    return AssertionClaims(client_id, _check_jti(claims), expires_at)


def _check_audience(claims: dict[str, Any], audiences: frozenset[str]) -> None:
    audience = claims.get("aud")
    if isinstance(audience, list) and len(audience) == 1:
        [audience] = audience
    expected = " or ".join(sorted(audiences, key=lambda url: (-len(url), url)))
    if audience is None:
        raise refuse("aud_missing", "there is no aud", expected=expected, fix="Set aud to the token URL.")
    if isinstance(audience, list):
        raise refuse(
            "aud_several",
            "aud must name one audience",
            expected=expected,
            seen=shown(audience),
            fix="Sign one assertion for each server.",
        )
    if not isinstance(audience, str) or audience not in audiences:
        raise refuse(
            "aud",
            "aud does not name this server, or names another tenant of it",
            expected=expected,
            seen=shown(audience),
            fix="Copy the token URL from smart-configuration, character by character.",
        )


def _check_times(claims: dict[str, Any], now: datetime, max_lifetime: timedelta, leeway: timedelta) -> datetime:
    times = {name: _time(claims, name) for name in ("exp", "nbf", "iat") if name in claims}
    if "exp" not in times:
        raise refuse("exp_missing", "there is no exp", fix="Set exp to at most five minutes from now.")
    expires_at = times["exp"]
    if expires_at <= now - leeway:
        raise refuse(
            "expired",
            "the assertion has expired",
            expected=f"exp after {now:%Y-%m-%dT%H:%M:%SZ}",
            seen=f"exp {expires_at:%Y-%m-%dT%H:%M:%SZ}, {_seconds(now - expires_at)} s ago",
            fix="Sign a fresh assertion for each request and check the clock.",
        )
    if expires_at > now + max_lifetime + leeway:
        raise refuse(
            "exp_too_far",
            "the assertion is valid for too long",
            expected=f"exp at most {_seconds(max_lifetime)} s from now",
            seen=f"exp in {_seconds(expires_at - now)} s",
            fix="Sign for five minutes at most.",
        )
    if "nbf" in times and times["nbf"] > now + leeway:
        raise refuse(
            "nbf",
            "the assertion is not valid yet",
            seen=f"nbf in {_seconds(times['nbf'] - now)} s",
            fix="Check the clock of the machine that signs.",
        )
    if "iat" in times and times["iat"] > now + leeway:
        raise refuse(
            "iat_future",
            "the assertion was issued in the future",
            seen=f"iat in {_seconds(times['iat'] - now)} s",
            fix="Check the clock of the machine that signs.",
        )
    if "iat" in times and times["iat"] < now - max_lifetime - leeway:
        raise refuse(
            "iat_old",
            "the assertion was issued too long ago",
            expected=f"iat within the last {_seconds(max_lifetime)} s",
            seen=f"iat {_seconds(now - times['iat'])} s ago",
            fix="Sign a fresh assertion for each request.",
        )
    return expires_at


def _time(claims: dict[str, Any], name: str) -> datetime:
    value = numeric_date(claims[name])
    if value is None:
        raise refuse(
            f"{name}_type",
            f"{name} is not a time in seconds since 1970",
            expected="a JSON number",
            seen=shown(claims[name]),
            fix=f"Write {name} as a number, not as a string.",
        )
    return value


def _check_jti(claims: dict[str, Any]) -> str:
    jti = claims.get("jti")
    if jti is None:
        raise refuse("jti_missing", "there is no jti", fix="Set jti to a fresh random value in each assertion.")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 255:
        raise refuse(
            "jti", "jti is not a string of 1 to 255 characters", fix="Set jti to a fresh random value such as a UUID."
        )
    return jti


def _seconds(span: timedelta) -> int:
    return round(span.total_seconds())
