"""ID tokens of an identity provider, each with one thing wrong.  OIDC Core §3.1.3.7; RFC 8725 §2.1, §3.1 and §3.9."""

import base64
import hashlib
import hmac
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

from smartauth.people.upstream.fetching import ProviderRefused
from smartauth.people.upstream.identity_tokens import Asked, Identity, read_id_token, verify_id_token
from tests.factories import weak_rsa

ISSUER = "https://idp.example.org/realms/hospital"
NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
AT = int(NOW.timestamp())
RSA = RSAKey.generate_key(2048, {"kid": "r1", "use": "sig"})
OTHER = RSAKey.generate_key(2048, {"kid": "r1"})
EC = ECKey.generate_key("P-256", {"kid": "e1"})
PEM = RSA.as_pem(private=False)
KEYS = tuple(key.as_dict(private=False) for key in (RSA, EC))
GOOD = {
    "iss": ISSUER,
    "sub": "s-grey",
    "aud": "smartauth",
    "nonce": "n-1",
    "iat": AT,
    "exp": AT + 300,
    "auth_time": AT - 600,
}


def signed(claims: dict[str, Any], *, key: Any = RSA, **header: Any) -> str:
    """Sign claims; a claim or header that is ... is left out."""
    protected = {"alg": "RS256", "kid": key.kid, "typ": "JWT"} | header
    protected = {name: value for name, value in protected.items() if value is not ...}
    kept = {name: value for name, value in claims.items() if value is not ...}
    registry = jws.JWSRegistry(algorithms=[protected["alg"]], strict_check_header=False)
    return jws.serialize_compact(protected, json.dumps(kept), key, registry=registry)


def by_hand(header: dict[str, Any], mac: Callable[[bytes], bytes]) -> str:
    """Make a token that no library wants to make."""

    def part(value: bytes) -> bytes:
        return base64.urlsafe_b64encode(value).rstrip(b"=")

    text = part(json.dumps(header).encode()) + b"." + part(json.dumps(GOOD).encode())
    return (text + b"." + part(mac(text))).decode()


def believe(token: object, keys: Any = KEYS, **asked: Any) -> Identity:
    wanted = {"at": NOW - timedelta(seconds=30), "max_age": timedelta(hours=8), "again": False} | asked
    request = Asked(ISSUER, "smartauth", "n-1", **wanted)
    return verify_id_token(read_id_token(token), keys, request, now=NOW)


def refused(token: object, keys: Any = KEYS, **asked: Any) -> str:
    with pytest.raises(ProviderRefused) as error:
        believe(token, keys, **asked)
    rule = error.value.refusal.rule
    assert error.value.refusal.fix
    assert rule.startswith("upstream.id_token_")
    return rule.removeprefix("upstream.id_token_")


@pytest.mark.parametrize(
    ("key", "header", "claims"),
    [
        (RSA, {}, {}),
        (RSA, {"alg": "PS256"}, {}),
        (RSA, {"alg": "RS512", "typ": ...}, {}),
        (EC, {"alg": "ES256"}, {}),
        (RSA, {"kid": ...}, {}),  # The one key that fits.
        (RSA, {}, {"aud": ["smartauth"]}),
        (RSA, {}, {"aud": ["smartauth", "other"], "azp": "smartauth"}),
        (RSA, {}, {"exp": AT - 59}),  # Clocks differ.
        (RSA, {}, {"iat": AT + 59}),
        (RSA, {}, {"nbf": AT + 59}),
    ],
)
def test_a_good_id_token_is_believed(key: Any, header: dict[str, Any], claims: dict[str, Any]) -> None:
    identity = believe(signed(GOOD | claims, key=key, **header))
    assert identity.claims["sub"] == "s-grey"
    assert identity.auth_time == NOW - timedelta(minutes=10)


@pytest.mark.parametrize(
    ("claims", "rule"),
    [
        ({"iss": "https://evil.example"}, "iss"),
        ({"iss": f"{ISSUER}/"}, "iss"),
        ({"iss": ...}, "iss"),
        ({"iss": [ISSUER]}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"aud": ["other"]}, "aud"),
        ({"aud": ...}, "aud"),
        ({"aud": {"smartauth": 1}}, "aud"),
        ({"aud": None}, "aud"),
        ({"aud": []}, "aud"),
        ({"aud": [["smartauth"]]}, "aud"),
        ({"aud": "smartauth other"}, "aud"),
        ({"aud": ["smartauth", 7]}, "azp"),
        ({"aud": ["smartauth", "other"]}, "azp"),
        ({"aud": ["smartauth", "other"], "azp": "other"}, "azp"),
        ({"azp": "other"}, "azp"),
        ({"azp": None}, "azp"),
        ({"azp": ["smartauth"]}, "azp"),
        ({"nonce": "n-2"}, "nonce"),
        ({"nonce": ...}, "nonce"),
        ({"nonce": None}, "nonce"),
        ({"nonce": ["n-1"]}, "nonce"),
        ({"exp": AT - 60}, "exp"),
        ({"exp": ...}, "exp"),
        ({"exp": str(AT + 300)}, "exp"),
        ({"exp": None}, "exp"),
        ({"exp": True}, "exp"),
        ({"exp": [AT + 300]}, "exp"),
        ({"exp": 10**400}, "exp"),
        ({"exp": -1}, "exp"),
        ({"iat": AT + 61}, "iat"),
        ({"iat": ...}, "iat"),
        ({"iat": {}}, "iat"),
        ({"nbf": AT + 61}, "nbf"),
        ({"nbf": None}, "nbf"),
        ({"nbf": "now"}, "nbf"),
        ({"auth_time": ...}, "auth_time"),
        ({"auth_time": True}, "auth_time"),
        ({"auth_time": None}, "auth_time"),
        ({"auth_time": [AT]}, "auth_time"),
        ({"auth_time": AT + 61}, "auth_time"),
        ({"auth_time": AT - 8 * 3600 - 61}, "too_old"),
    ],
)
def test_an_id_token_with_one_claim_wrong_is_not(claims: dict[str, Any], rule: str) -> None:
    assert refused(signed(GOOD | claims)) == rule


@pytest.mark.parametrize(
    ("token", "rule"),
    [
        (None, "missing"),
        ("", "missing"),
        (7, "missing"),
        ("a.b", "not_jwt"),
        ("a.b.c.d.e", "not_jws"),
        (by_hand({"alg": "none"}, lambda text: b"x"), "alg"),
        (by_hand({"alg": "nOnE", "kid": "r1"}, lambda text: b"x"), "alg"),
        (by_hand({"kid": "r1"}, lambda text: b"x"), "alg"),
        (by_hand({"alg": "none"}, lambda text: b""), "not_jwt"),
        # The public key as a shared secret, and the client's secret, which others know as well.
        (by_hand({"alg": "HS256", "kid": "r1"}, lambda text: hmac.digest(PEM, text, "sha256")), "alg"),
        (by_hand({"alg": "HS256"}, lambda text: hmac.new(b"secret", text, hashlib.sha256).digest()), "alg"),
        (by_hand({"alg": "RS256", "kid": "r1"}, lambda text: b"x" * 256), "signature"),
        (signed(GOOD, key=OTHER), "signature"),
        (signed(GOOD, kid="r2"), "key"),
        (by_hand({"alg": "RS256", "kid": 7}, lambda text: b"x" * 256), "key"),
        (by_hand({"alg": "RS256", "kid": ["r1"]}, lambda text: b"x" * 256), "key"),
        (by_hand({"alg": ["RS256"], "kid": "r1"}, lambda text: b"x" * 256), "alg"),
        (by_hand({"alg": "RS256", "kid": "r1"}, lambda text: b"x"), "signature"),
        (signed(GOOD, key=EC, alg="ES256", kid="r1"), "key"),
        (signed(GOOD, jwk=OTHER.as_dict(private=False), key=OTHER), "signature"),
    ],
)  # fmt: skip
def test_a_token_the_provider_did_not_sign_is_not(token: object, rule: str) -> None:
    assert refused(token) == rule


def test_a_critical_extension_nobody_knows_is_not_passed_over() -> None:
    text = by_hand({"alg": "RS256", "kid": "r1", "crit": ["x"], "x": 1}, lambda text: b"x" * 256)
    assert refused(text) == "crit"


@pytest.mark.parametrize(
    "change",
    [
        *({"use": "enc"}, {"use": None}, {"alg": "RS512"}, {"kid": "r9"}, {"n": "AQAB"}, {"e": "AQ"}, {"n": ["x"]}),
        {"n": weak_rsa()["n"]},
        *({"key_ops": ["sign"]}, {"key_ops": "verify"}, {"key_ops": None}),
    ],
)
def test_a_key_that_is_for_something_else_or_broken_verifies_nothing(change: dict[str, str]) -> None:
    assert refused(signed(GOOD), keys=[KEYS[0] | change]) == "key"


def test_two_keys_of_one_name_verify_nothing() -> None:
    assert refused(signed(GOOD), keys=[KEYS[0], OTHER.as_dict(private=False)]) == "key"
    assert refused(signed(GOOD, kid=...), keys=[KEYS[0], OTHER.as_dict(private=False) | {"kid": "r2"}]) == "key"


def test_where_a_new_sign_in_was_asked_for_an_old_one_is_not_taken() -> None:
    fresh = {"again": True, "max_age": timedelta(days=1)}
    assert refused(signed(GOOD), **fresh) == "not_again"
    assert believe(signed(GOOD | {"auth_time": AT - 30}), **fresh).auth_time == NOW - timedelta(seconds=30)
    assert believe(signed(GOOD | {"auth_time": AT - 60}), **fresh)  # Its clock is behind ours.


def test_a_clock_ahead_of_ours_makes_no_sign_in_of_the_future() -> None:
    assert believe(signed(GOOD | {"auth_time": AT + 30})).auth_time == NOW
