"""Reading what came as client_assertion, and telling what it is where it is no assertion. Pure; repeats nothing of it.

Source: RFC 7523 §2.2 and §3; RFC 7515 §7.1; RFC 8725 §3.11.
"""

import re

from clients.assertion_case import refuse
from clients.compact_jws import CompactJws, MalformedJwt, parse_compact_jws
from clients.jwks_rules import shown
from smartauth.errors import InvalidClient

LOST = "If a private key was sent, treat it as lost: make a new pair and publish its public part."
SET_BOTH = "Set iss and sub to the client_id."
# Claims that ID tokens have and assertions do not (OIDC Core §2).
OF_ID_TOKENS = frozenset({"at_hash", "nonce", "auth_time", "azp", "fhirUser"})


def read_assertion(text: str) -> CompactJws:
    """Return header and claims of what was sent. Nothing is verified yet. Raises InvalidClient."""
    try:
        return parse_compact_jws(text)
    except MalformedJwt as error:
        mistake = _mistake(text) if error.rule in ("not_jwt", "not_jws") else None
        raise mistake or refuse(
            error.rule,
            f"the client_assertion cannot be read: {error.reason}",
            expected="one signed JWT in compact form",
            seen=f"{len(text)} characters, {text.count('.') + 1} segments",
            fix="Send the assertion as the library made it.",
        ) from None


def claimed_client_id(jws: CompactJws) -> str:
    """Return whom the assertion says it is from: `iss` and `sub`, which must be the same (RFC 7523 §3).

    Raises InvalidClient, also for a token of another kind that was sent in the place of an assertion.
    """
    issuer, subject = jws.claims.get("iss"), jws.claims.get("sub")
    if isinstance(issuer, str) and issuer and issuer == subject:
        return issuer
    kind = kind_of_token(jws)
    if kind:
        raise refuse(
            "other_token",
            f"this looks like {kind}, not like a client assertion",
            expected="a JWT that the client has signed itself",
            seen=kind,
            fix="Sign an assertion with the private key of the client; a token of this server does not stand for it.",
        )
    seen = f"iss {shown(issuer)}, sub {shown(subject)}"
    if not isinstance(issuer, str) or not issuer or not isinstance(subject, str) or not subject:
        reason, rule = "iss and sub must both be there, as strings", "iss_sub_missing"
    else:
        reason, rule = "iss and sub differ", "iss_sub"
    raise refuse(rule, reason, expected="the client_id in iss and in sub", seen=seen, fix=SET_BOTH)


def kind_of_token(jws: CompactJws) -> str:
    """Return what other token a JWT looks like, in words, or "" for none."""
    typ = jws.header.get("typ")
    if typ in ("at+jwt", "application/at+jwt") or {"scope", "client_id"} <= set(jws.claims):
        return "an access token"
    return "an ID token" if OF_ID_TOKENS.intersection(jws.claims) else ""


def _mistake(text: str) -> InvalidClient | None:
    """Return the refusal of something well known that is sent in the place of an assertion, else None."""
    bare = text.strip().strip("\"'").strip()
    if "-----BEGIN" in text or (bare.startswith("{") and '"kty"' in bare):
        return refuse(
            "key",
            "a key or certificate was sent in the place of an assertion",
            expected="a JWT signed with the private key",
            seen="PEM" if "-----BEGIN" in text else "a JWK or JWK Set",
            fix=f"Sign a JWT with the key, and send that. {LOST}",
        )
    if bare.startswith("{"):
        is_signed = '"signature' in bare
        return refuse(
            "json",
            "the assertion is a JSON document, not a JWT in compact form",
            expected="header.claims.signature, each in base64url",
            seen="the JSON serialization of a JWS" if is_signed else "JSON without a signature",
            fix="Use the compact serialization." if is_signed else "Sign the claims with a JWT library.",
        )
    if re.match(r"bearer(\b|(?=eyJ))", bare, re.IGNORECASE):
        fix = "Send the assertion alone, without the word Bearer."
        return refuse("prefix", "the assertion comes with the prefix of an HTTP header", seen="Bearer", fix=fix)
    found = re.search(r"[\s\"'%]", text)
    if found:
        return refuse(
            "characters",
            "the assertion has characters around or inside it that belong to no JWT",
            expected="A to Z, a to z, 0 to 9, -, _ and two dots",
            seen=f"{shown(found[0])} as character {found.start() + 1} of {len(text)}",
            fix="Remove blanks, line breaks and quotes, and encode it once. A + that was not encoded becomes a blank.",
        )
    if re.fullmatch(r"[A-Za-z0-9_+/=-]+\.[A-Za-z0-9_+/=-]+\.[A-Za-z0-9_+/=-]+", text) and set(text) & set("+/="):
        return refuse(
            "base64url",
            "the segments are base64, not base64url without padding",
            expected="- and _ in the place of + and /, and no = at the end",
            seen=" and ".join(one for one in "+/=" if one in text),
            fix="Encode with base64url and leave the padding out (RFC 7515 §2), or let a JWT library do it.",
        )
    return None
