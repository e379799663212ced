"""What the header and the claims of a DPoP proof must say. Nothing here touches the database.

Source: RFC 9449 §4.2 and §4.3; RFC 7515 §4.1; RFC 7518 §3; RFC 8725 §3.
"""

import base64
import hashlib
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any
from urllib.parse import SplitResult, unquote_to_bytes, urlsplit

from clients.compact_jws import CompactJws, MalformedJwt, numeric_date, parse_compact_jws
from clients.jwks_rules import PARTS, PRIVATE_MEMBERS, PublicKey, UnusableJwks, import_public_key, shown
from smartauth.errors import InvalidDpopProof, Refusal

TYPE = "dpop+jwt"
LARGEST = 8 * 1024  # characters
CURVES = {"ES256": "P-256", "ES384": "P-384"}
DEFAULT_PORTS = {"http": 80, "https": 443}
FRESH = "Make a new proof for each request, with a new random jti and the current time."


@dataclass(frozen=True, slots=True)
class ProofKey:
    """The key that a proof names, and its thumbprint (RFC 7638)."""

    key: PublicKey
    jkt: str


@dataclass(frozen=True, slots=True)
class ProofClaims:
    """The claims that are still needed once they are checked. `nonce` is None where there is none."""

    jti: str
    made_at: datetime
    nonce: object


def refuse(rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "") -> InvalidDpopProof:
    """Make the refusal of a proof; `rule` comes without its "dpop." prefix."""
    return InvalidDpopProof(Refusal(f"dpop.{rule}", reason, expected=expected, seen=seen, fix=fix))


def parse_proof(header: str) -> CompactJws:
    """Read the value of a DPoP header. Nothing is verified yet. Raises InvalidDpopProof."""
    if not header:
        raise refuse("missing", "the request has no DPoP header", fix="Send a proof in the header DPoP.")
    if "," in header:  # What repeated headers become on the way, and nothing a proof can hold.
        raise refuse("repeated", "the request has more than one DPoP header", expected="one", fix="Send one proof.")
    if len(header) > LARGEST:
        raise refuse("too_large", f"the proof is longer than {LARGEST // 1024} KB", seen=f"{len(header)} characters")
    try:
        return parse_compact_jws(header.strip())
    except MalformedJwt as error:
        fix = "Send the proof as the library made it."
        raise refuse(
            error.rule, f"the proof cannot be read: {error.reason}", expected="one signed JWT", fix=fix
        ) from None


def check_header(header: dict[str, Any], *, algorithms: tuple[str, ...]) -> tuple[str, ProofKey]:
    """Return the algorithm and the key. Raises InvalidDpopProof."""
    alg, typ, jwk = header.get("alg"), header.get("typ"), header.get("jwk")
    if not isinstance(typ, str) or typ.lower().removeprefix("application/") != TYPE:
        raise refuse("typ", "the token is of another kind", expected=TYPE, seen=shown(typ))
    if not isinstance(alg, str) or alg not in algorithms:
        fix = "Sign with an algorithm of dpop_signing_alg_values_supported, such as ES256."
        raise refuse(
            "alg",
            "the algorithm of the proof is not accepted",
            expected=", ".join(algorithms),
            seen=shown(alg),
            fix=fix,
        )
    if "crit" in header or "zip" in header or header.get("b64", True) is not True:
        seen = shown(header.get("crit", "b64 or zip"))
        raise refuse("crit", "the header asks for an extension that is not supported", seen=seen)
    if not isinstance(jwk, dict):
        raise refuse("jwk_missing", "the header has no jwk", fix="Put the public key into the header, as jwk.")
    found = sorted(PRIVATE_MEMBERS.intersection(jwk))
    if found or jwk.get("kty") == "oct":
        raise refuse(
            "jwk_private",
            "the jwk is a private or a symmetric key",
            seen=", ".join(found),
            fix="Treat that key as lost: make a new pair and send its public part only.",
        )
    wanted = "EC" if alg in CURVES else "RSA"
    if jwk.get("kty") != wanted or (alg in CURVES and jwk.get("crv") != CURVES[alg]):
        seen = shown(jwk.get("crv", jwk.get("kty")))
        raise refuse(
            "jwk_kind", "the key is not of the kind the algorithm needs", expected=CURVES.get(alg, wanted), seen=seen
        )
    try:
        return alg, _import(json.dumps({name: jwk.get(name) for name in ("kty", *PARTS[wanted])}, sort_keys=True))
    except UnusableJwks as problem:
        raise refuse("jwk", f"the jwk cannot be used: {problem.reason}", seen=problem.seen, fix=problem.fix) from None


def check_claims(
    claims: dict[str, Any], *, method: str, url: str, token: str, now: datetime, window: timedelta
) -> ProofClaims:
    """Return the claims that are needed further on. Raises InvalidDpopProof.

    url: ours, for this request, without a query.    token: the access token that comes with the proof, "" for none.
    window: how far the clocks of app and server may be apart, the way of the request included.
    """
    jti = claims.get("jti")
    if not isinstance(jti, str) or not 1 <= len(jti) <= 255:
        raise refuse("jti", "jti is missing, or not a string of 1 to 255 characters", fix=FRESH)
    if claims.get("htm") != method:
        raise refuse("htm", "the proof is for another HTTP method", expected=method, seen=shown(claims.get("htm")))
    htu = claims.get("htu")
    if not isinstance(htu, str) or not _is_same(htu, url):
        fix = "Set htu to the URL of the request as we publish it, without query and fragment."
        raise refuse("htu", "the proof is for another URL", expected=url, seen=shown(htu), fix=fix)
    made_at = _check_time(claims.get("iat"), now, window)
    _check_period(claims, now, window)
    _check_token_hash(claims.get("ath"), token)
    return ProofClaims(jti, made_at, claims.get("nonce"))


def _check_time(iat: object, now: datetime, window: timedelta) -> datetime:
    made_at = numeric_date(iat)
    if made_at is None:
        raise refuse("iat", "iat is missing, or not a time in seconds since 1970", seen=shown(iat), fix=FRESH)
    seconds = window // timedelta(seconds=1)
    if made_at < now - window:
        seen = f"iat {round((now - made_at).total_seconds())} s ago"
        raise refuse("iat_old", "the proof is too old", expected=f"at most {seconds} s", seen=seen, fix=FRESH)
    if made_at > now + window:
        seen = f"iat in {round((made_at - now).total_seconds())} s"
        raise refuse(
            "iat_future", "the proof is from the future", expected=f"at most {seconds} s", seen=seen, fix=FRESH
        )
    return made_at


def _check_period(claims: dict[str, Any], now: datetime, window: timedelta) -> None:
    """Hold a proof to what it says of its own time, though it need not say anything (RFC 7519 §4.1.4 and §4.1.5)."""
    if "exp" in claims:
        ends_at = numeric_date(claims["exp"])
        if ends_at is None or ends_at <= now - window:
            raise refuse("exp", "the proof has expired by its own words", seen=shown(claims["exp"]), fix=FRESH)
    if "nbf" in claims:
        begins_at = numeric_date(claims["nbf"])
        if begins_at is None or begins_at > now + window:
            raise refuse("nbf", "the proof does not count yet, by its own words", seen=shown(claims["nbf"]), fix=FRESH)


def _check_token_hash(ath: object, token: str) -> None:
    if not token:
        return
    fix = "Set ath to the base64url SHA-256 of the access token."
    if not isinstance(ath, str):
        raise refuse("ath_missing", "the proof does not say for which access token it is", seen=shown(ath), fix=fix)
    if ath != base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode():
        raise refuse("ath", "the proof is for another access token", fix=fix)


# Keys only: what a proof says is judged each time. An app shows one key many times, and reading one costs as much as
# verifying with it.
@lru_cache(maxsize=1_024)
def _import(canonical: str) -> ProofKey:
    key = import_public_key(json.loads(canonical))
    return ProofKey(key, key.thumbprint())


def _is_same(htu: str, url: str) -> bool:
    """Compare as RFC 9449 §4.3 has it: normalised (RFC 3986 §6.2.2 and §6.2.3), query and fragment left out.

    Paths are compared decoded, because that is how the server below us hands them over.
    """
    try:
        return _normal(urlsplit(htu)) == _normal(urlsplit(url))
    except ValueError:
        return False


def _normal(parts: SplitResult) -> tuple[object, ...]:
    if not parts.hostname or parts.username is not None:
        raise ValueError("not an absolute URL without a user")
    port = parts.port or DEFAULT_PORTS.get(parts.scheme)
    return parts.scheme, parts.hostname, port, unquote_to_bytes(parts.path or "/")
