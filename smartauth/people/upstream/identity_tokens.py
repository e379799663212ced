"""Whether an ID token from the identity provider is to be believed, and what it says.

Its signature is verified although it comes over TLS: a proxy in between must not be able to say who somebody is.
Source: OIDC Core §2 and §3.1.3.7; RFC 8725.
"""

import base64
import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from clients.compact_jws import CompactJws, MalformedJwt, numeric_date, parse_compact_jws
from clients.jwks_rules import UnusableJwks, import_public_key, shown
from clients.jws_signatures import holds
from smartauth.errors import Refusal
from smartauth.people.upstream.fetching import ProviderRefused

# Never none, never a shared secret: the provider alone must be able to make one (RFC 8725 §3.1).
ALGORITHMS = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), "RSA"),
    **dict.fromkeys(("ES256", "ES384", "ES512"), "EC"),
}
CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
OTHER_TOKEN = "Find out where the ID token comes from: it was not made for this sign-in."
CLOCK = "Set the clocks of the identity provider and of this server."
FIXES = {
    "missing": "Ask for the scope openid, and let the token endpoint answer with an id_token.",
    "too_large": "Let the identity provider put fewer claims into ID tokens.",
    "not_jws": "Turn off the encryption of ID tokens for this client.",
    "alg": "Let the identity provider sign ID tokens for this client with an algorithm that its metadata name.",
    "crit": "Let the identity provider sign ID tokens without extensions.",
    "key": "Publish each key once, with a kid of its own, and name it in the header of ID tokens.",
    "signature": "Give a new key a new kid. If keys did not change, find out who else makes ID tokens.",
    "exp": CLOCK,
    "iat": CLOCK,
    "nbf": CLOCK,
    "auth_time": "Let the identity provider put auth_time into ID tokens (OIDC Core §2).",
    "not_again": "Let the identity provider obey prompt=login and max_age=0.",
    "too_old": "Let the identity provider obey max_age.",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What we asked the provider for, and so what the ID token has to say.

    max_age: how old its sign-in may be at most.    again: somebody had to sign in anew, after `at`.
    leeway: how far its clock may be from ours.    algorithms: those its metadata name.
    """

    issuer: str
    client_id: str
    nonce: str
    at: datetime
    max_age: timedelta
    again: bool = False
    leeway: timedelta = timedelta(seconds=60)
    algorithms: frozenset[str] = frozenset(ALGORITHMS)


@dataclass(frozen=True, slots=True)
class Identity:
    """A person as the provider knows them. `auth_time`: when they last proved to it who they are."""

    issuer: str
    auth_time: datetime
    claims: Mapping[str, Any] = field(repr=False)


def read_id_token(text: object) -> CompactJws:
    """Take an ID token apart; nothing in it is believed yet. Raises ProviderRefused."""
    if not isinstance(text, str) or not text:
        raise _wrong("missing", "the identity provider sent no ID token", expected="id_token")
    try:
        return parse_compact_jws(text)
    except MalformedJwt as error:
        raise _wrong(error.rule, f"the ID token cannot be read: {error.reason}") from None


def verify_id_token(
    token: CompactJws,
    keys: Iterable[Mapping[str, Any]],
    asked: Asked,
    *,
    now: datetime,
    access_token: object = None,
) -> Identity:
    """Return who signed in at the provider, and when.

    keys: the provider's JWK entries of `kty` RSA and EC.    now: aware datetime.
    access_token: what came with the ID token. We have no use for it; one that was exchanged on the way tells of that.
    Raises ProviderRefused; its refusal names the failing check.
    """
    _require_signed(token, keys, asked)
    claims = token.claims
    if claims.get("iss") != asked.issuer:
        raise _wrong("iss", "the ID token is another issuer's", asked.issuer, claims.get("iss"))
    _require_ours(claims, asked)
    if claims.get("nonce") != asked.nonce:
        raise _wrong("nonce", "the ID token answers another request than ours", "the nonce of our request")
    _require_current(claims, asked, now)
    _require_its_access_token(token, access_token)
    return Identity(asked.issuer, _auth_time(claims, asked, now), claims)


def _require_signed(token: CompactJws, keys: Iterable[Mapping[str, Any]], asked: Asked) -> None:
    alg, kid = token.header.get("alg"), token.header.get("kid")
    if not isinstance(alg, str) or alg not in ALGORITHMS or alg not in asked.algorithms:
        accepted = ", ".join(one for one in ALGORITHMS if one in asked.algorithms)
        raise _wrong("alg", "the ID token is not signed in a way that is accepted", accepted, alg)
    if "crit" in token.header:
        raise _wrong("crit", "the ID token has a critical extension that is not known here")
    fitting = [key for key in keys if _fits(key, alg)]
    named = [key for key in fitting if key.get("kid") == kid] if kid is not None else fitting
    if len(named) != 1:
        raise _wrong("key", "no key, or more than one, of the identity provider fits the ID token", seen=kid)
    try:
        key = import_public_key(named[0])
    except UnusableJwks as error:
        raise _wrong("key", f"the key of the ID token cannot be used: {error}", seen=kid) from None
    if not holds(token, key, alg):
        raise _wrong("signature", "the signature of the ID token does not hold", seen=kid)


def _fits(key: Mapping[str, Any], alg: str) -> bool:
    uses = key.get("key_ops", ["verify"])
    return (
        key.get("kty") == ALGORITHMS[alg]
        and key.get("use", "sig") == "sig"
        and isinstance(uses, list)
        and "verify" in uses
        and key.get("alg", alg) == alg
        and (alg not in CURVES or key.get("crv") == CURVES[alg])
    )


def _require_ours(claims: Mapping[str, Any], asked: Asked) -> None:
    audience = claims.get("aud")
    named = audience if isinstance(audience, list) else [audience]
    if asked.client_id not in named:
        raise _wrong("aud", "the ID token is for another client", asked.client_id, audience)
    # Of several audiences one asked for it, and only that one may use it to sign somebody in.
    if claims.get("azp", asked.client_id if len(named) == 1 else None) != asked.client_id:
        raise _wrong("azp", "the ID token was asked for by another client", asked.client_id, claims.get("azp"))


def _require_current(claims: Mapping[str, Any], asked: Asked, now: datetime) -> None:
    ends, begins = numeric_date(claims.get("exp")), numeric_date(claims.get("iat"))
    if ends is None or ends + asked.leeway <= now:
        raise _wrong("exp", "the ID token has expired, or says not when", f"after {now:%FT%TZ}", claims.get("exp"))
    if begins is None or begins - asked.leeway > now:
        raise _wrong("iat", "the ID token is from the future, or says not when", f"{now:%FT%TZ}", claims.get("iat"))
    if "nbf" in claims:  # OIDC has no use for it, and a JWT that has one is not to be taken before (RFC 7519 §4.1.5).
        starts = numeric_date(claims["nbf"])
        if starts is None or starts - asked.leeway > now:
            raise _wrong("nbf", "the ID token is not good yet, or says not when", f"{now:%FT%TZ}", claims["nbf"])


def _require_its_access_token(token: CompactJws, access_token: object) -> None:
    """Compare the access token with its hash, where there are both.  Source: OIDC Core §3.1.3.8."""
    claimed = token.claims.get("at_hash")
    if claimed is None or not isinstance(access_token, str):
        return
    digest = hashlib.new(f"sha{token.header['alg'][2:]}", access_token.encode(errors="replace")).digest()
    right = base64.urlsafe_b64encode(digest[: len(digest) // 2]).rstrip(b"=")
    if not isinstance(claimed, str) or not hmac.compare_digest(claimed.encode(errors="replace"), right):
        raise _wrong("at_hash", "the access token beside the ID token is not the one it was made with", "its at_hash")


def _auth_time(claims: Mapping[str, Any], asked: Asked, now: datetime) -> datetime:
    found = numeric_date(claims.get("auth_time"))
    if found is None or found - asked.leeway > now:
        raise _wrong(
            "auth_time",
            "the ID token does not say when the person signed in, although max_age was asked for",
            "auth_time",
            claims.get("auth_time"),
        )
    if asked.again and found < asked.at - asked.leeway:
        raise _wrong(
            "not_again", "the identity provider did not ask the person to sign in again", seen=f"{found:%FT%TZ}"
        )
    if now - found > asked.max_age + asked.leeway:
        raise _wrong("too_old", "the sign-in at the identity provider is older than max_age", seen=f"{found:%FT%TZ}")
    return min(found, now)


def _wrong(rule: str, reason: str, expected: str = "", seen: object = "") -> ProviderRefused:
    told = "" if seen in ("", None) else shown(seen)
    return ProviderRefused(Refusal(f"upstream.id_token_{rule}", reason, expected, told, FIXES.get(rule, OTHER_TOKEN)))
