"""What a client's JWKS may hold. Pure: the same rules at registration and at every fetch.

Source: RFC 7517 §4 and §5; RFC 7518 §3.3 and §6; SMART 2.2 client-confidential-asymmetric.
"""

import json
import re
import warnings
from collections import Counter
from collections.abc import Mapping
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from smartauth.errors import Refusal

MAX_KEYS = 100
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192  # A larger modulus costs us more to verify with than it costs an attacker to publish.
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
PARTS = {"RSA": ("n", "e"), "EC": ("crv", "x", "y")}
CURVES = frozenset({"P-256", "P-384", "P-521"})
MEMBERS = ("kty", "kid", "use", "key_ops", "alg", "n", "e", "crv", "x", "y")
BASE64URL = re.compile(r"[A-Za-z0-9_-]+")
KID = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")

Jwk = dict[str, Any]
PublicKey = RSAKey | ECKey


# What helps against each problem of a fetch, by rule: of the last problem of a URL only rule and reason are remembered.
FIXES = {
    "jwks.url": "Register an https URL on a public host and port 443.",
    "jwks.address": "Serve the key set from a public address, or ask the operator to list the host.",
    "jwks.dns": "Check the host name.",
    "jwks.tls": "Offer TLS 1.2 or later, and a certificate for this host by a public authority with its intermediates.",
    "jwks.timeout": "Answer within 5 s.",
    "jwks.unreachable": "Check that it answers from the internet.",
    "jwks.redirect": "Register the URL that serves the key set itself.",
    "jwks.status": "Serve the key set publicly, without authentication.",
    "jwks.too_large": "Remove retired keys.",
    "jwks.too_many_keys": "Remove retired keys.",
    "jwks.not_json": "Serve the key set as application/json.",
    "jwks.no_keys": "Publish a JWK Set (RFC 7517 §5).",
    "jwks.key_malformed": "Publish the key as RFC 7518 §6 says.",
    "jwks.private_key": "Treat that key as lost: make a new pair and publish its public part only.",
}


class UnusableJwks(ValueError):
    """A key set, or the key that was asked for, cannot be used. `rule` is stable; the rest is for the client's owner.

    `fix` is that of `FIXES` where none is given. `officer` holds what only our own side may know, such as the address a
    host name stands for.
    """

    def __init__(
        self, rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "", officer: str = ""
    ) -> None:
        super().__init__(reason)
        self.rule, self.reason, self.fix, self.officer = rule, reason, fix or FIXES.get(rule, ""), officer
        self.expected, self.seen = expected, seen

    def as_refusal(self) -> Refusal:
        """Return the same, as what a receipt is written from."""
        return Refusal(self.rule, self.reason, self.expected, self.seen, self.fix, self.officer)


def decode_jwks(body: bytes) -> object:
    """Return the JSON value a JWKS URL answered with. Raises UnusableJwks, rule "jwks.not_json"."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        text = body[:200].lstrip()
        looks = "nothing" if not text else "a page of HTML" if text.startswith(b"<") else "no JSON"
        raise UnusableJwks(
            "jwks.not_json",
            "the JWKS URL does not answer with JSON",
            expected="a JWK Set in JSON",
            seen=f"{looks}, {len(body)} bytes",
        ) from None


def read_jwks(document: object, *, unnamed: bool = False) -> tuple[Jwk, ...]:
    """Return the RSA and EC entries of a published JWK Set that carry a `kid`, reduced to the members we use.

    unnamed: entries without any `kid` as well, as a set of a single key may be (OIDC Core §10.1).

    Entries of a kind we do not know, or that no `kid` can name, are skipped (RFC 7517 §5). A single private or
    symmetric key condemns the whole set: whoever publishes one has lost it. Raises UnusableJwks.
    """
    entries = _entries(document)
    for entry in entries:
        _refuse_private(entry)
    usable = tuple(
        {name: entry[name] for name in MEMBERS if name in entry}
        for entry in entries
        if isinstance(entry.get("kty"), str)
        and entry["kty"] in PARTS
        and (is_kid(entry.get("kid")) or (unnamed and "kid" not in entry))
    )
    for entry in usable:
        if not _is_storable(entry):
            raise _malformed(entry, "it has a text or a number that cannot be kept")
    return usable


def import_public_key(jwk: Mapping[str, Any]) -> PublicKey:
    """Turn one JWK of `kty` RSA or EC into a key that can verify. An EC point must lie on its curve (RFC 8725 §3.4).

    Raises UnusableJwks: "jwks.key_malformed" or "jwks.weak_key".
    """
    kty: str = jwk["kty"]
    for name in PARTS[kty]:
        if not isinstance(jwk.get(name), str) or BASE64URL.fullmatch(jwk[name]) is None:
            raise _malformed(jwk, f"{name} is missing or not base64url")
    if kty == "EC" and jwk["crv"] not in CURVES:
        raise _malformed(jwk, "the curve is not one of P-256, P-384 and P-521")
    # Only what makes the key itself is handed on; `use`, `key_ops` and `alg` are judged where a key is chosen.
    bare = {"kty": kty, **{name: jwk[name] for name in PARTS[kty]}}
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SecurityWarning)  # We refuse weak keys ourselves, a few lines below.
            key: PublicKey = RSAKey.import_key(bare) if kty == "RSA" else ECKey.import_key(bare)
    except (JoseError, ValueError, TypeError):
        raise _malformed(jwk, "its numbers do not make a public key") from None
    if isinstance(key, RSAKey) and not MIN_RSA_BITS <= key.public_key.key_size <= MAX_RSA_BITS:
        raise UnusableJwks(
            "jwks.weak_key",
            "the RSA key has a modulus of a size that is not accepted",
            expected=f"{MIN_RSA_BITS} to {MAX_RSA_BITS} bits",
            seen=f"{key.public_key.key_size} bits, kid {shown(jwk.get('kid'))}",
            fix=f"Use an RSA key of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits.",
        )
    return key


def require_registrable(document: object) -> None:
    """Check a JWK Set that a client registers by value, where every fault can still be mended. Raises UnusableJwks.

    Each entry names its `kty` and a `kid` of its own; RSA and EC keys are whole and strong; at least one is there.
    """
    entries = _entries(document)
    for entry in entries:
        _refuse_private(entry)
        if not isinstance(entry.get("kty"), str):
            raise _malformed(entry, "it has no kty")
        if entry["kty"] == "oct":
            raise _private_key("a symmetric key (oct)", entry)
        if not is_kid(entry.get("kid")):
            raise UnusableJwks("jwks.kid_missing", "a key has no kid", fix="Give each key a kid of its own.")
        if entry["kty"] in PARTS:
            import_public_key(entry)
    twice = [kid for kid, count in Counter(entry["kid"] for entry in entries).items() if count > 1]
    if twice:
        raise UnusableJwks(
            "jwks.kid_ambiguous", "two keys have the same kid", seen=shown(twice[0]), fix="Give each key its own kid."
        )
    if not any(entry["kty"] in PARTS for entry in entries):
        raise UnusableJwks("jwks.no_usable_key", "the key set has no RSA or EC key", fix="Add an RSA or EC key.")


def shown(value: object) -> str:
    """Return a value from outside as short printable ASCII, fit for a receipt."""
    try:
        text = value if isinstance(value, str) and value.isascii() and value.isprintable() else json.dumps(value)
    except RecursionError:  # What could just be parsed may be too deep a few calls further in.
        return "a value that is nested too deeply"
    return text if len(text) <= 200 else f"{text[:200]}…"


def _entries(document: object) -> list[Jwk]:
    if not isinstance(document, dict) or not isinstance(document.get("keys"), list):
        raise UnusableJwks(
            "jwks.no_keys",
            "the document is not a JSON object with a keys array",
            expected='{"keys": [...]}',
            seen=_shape(document),
        )
    entries: list[Jwk] = document["keys"]
    if len(entries) > MAX_KEYS:
        raise UnusableJwks(
            "jwks.too_many_keys",
            f"the key set has more than {MAX_KEYS} entries",
            expected=f"at most {MAX_KEYS}",
            seen=str(len(entries)),
        )
    if not all(isinstance(entry, dict) for entry in entries):
        raise UnusableJwks("jwks.key_malformed", "an entry of the key set is not a JSON object")
    return entries


def _shape(document: object) -> str:
    """Return what a document is that is no JWK Set, without repeating it."""
    if isinstance(document, list):
        return "a JSON array"
    if not isinstance(document, dict):
        return "a JSON value that is no object"
    if "keys" in document:
        return "keys that is no array"
    return "a single key without keys around it" if "kty" in document else "a JSON object without keys"


def _refuse_private(entry: Jwk) -> None:
    found = sorted(PRIVATE_MEMBERS.intersection(entry))
    if found:
        raise _private_key(f"the members {', '.join(found)}", entry)


def _private_key(what: str, entry: Jwk) -> UnusableJwks:
    return UnusableJwks(
        "jwks.private_key",
        "the key set publishes a private or symmetric key",
        seen=f"{what}, kid {shown(entry.get('kid'))}",
    )


def _malformed(entry: Mapping[str, Any], why: str) -> UnusableJwks:
    return UnusableJwks(
        "jwks.key_malformed",
        f"a key cannot be read: {why}",
        seen=f"kid {shown(entry.get('kid'))}",
    )


def _is_storable(entry: Jwk) -> bool:
    """Return False for what PostgreSQL does not take as JSON: NUL, lone surrogates, and numbers that are none."""
    try:
        text = json.dumps(entry, allow_nan=False, ensure_ascii=False)
        text.encode()
    except (ValueError, RecursionError):
        return False
    return r"\u0000" not in text


def is_kid(value: object) -> bool:
    """Return True for a text an assertion could name a key by."""
    return isinstance(value, str) and KID.fullmatch(value) is not None
