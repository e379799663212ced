"""Assertions of a partner, each broken in one way, with the rule that must say so.

Source: RFC 7523 §3; RFC 7515 §3.1 and §4; RFC 7517 §5; SMART 2.2 client-confidential-asymmetric.
"""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from joserfc import jwe
from joserfc.jwk import OctKey

from clients.jwks_fetch import MAX_BYTES
from clients.key_pairs import KeyPair, generate_key_pair, load_private_key
from clients.models import Client
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.clients.test_assertions import unsigned
from tests.factories import TOKEN_URL, claims_at, make_client, signed, weak_rsa, web_app

HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}


@dataclass
class Partner:
    """A backend service whose keys are at a URL under our control."""

    host: JwksHost
    ec: KeyPair
    rsa: KeyPair

    def sign(self, claims: dict[str, Any] | None = None, *, pair: KeyPair | None = None, **header: Any) -> str:
        return signed(pair or self.ec, self.claims(**(claims or {})), **header)

    def claims(self, **changes: Any) -> dict[str, Any]:
        return claims_at(datetime.now(UTC), **changes)

    def publish(self, *keys: Any, **page: Any) -> str:
        """Serve these keys, and return a good assertion."""
        self.host.page = Page({"keys": list(keys)}, **page)
        return self.sign()

    def serve(self, page: Page) -> str:
        self.host.page = page
        return self.sign()

    def move_to(self, url: str) -> str:
        Client.objects.filter(client_id="bulk-loader").update(client_jwks_uri=url)
        return self.sign()

    def registered(self, **columns: Any) -> str:
        """Change the registration, and return a good assertion."""
        Client.objects.filter(client_id="bulk-loader").update(**columns)
        return self.sign()


Break = Callable[[Partner], str]


def now() -> int:
    return int(datetime.now(UTC).timestamp())


def claim(**changes: Any) -> Break:
    """Sign with these claims; a function stands for what it returns at the time."""
    return lambda partner: partner.sign({name: one() if callable(one) else one for name, one in changes.items()})


def header(**changes: Any) -> Break:
    return lambda partner: partner.sign(**changes)


def bare(change: dict[str, Any]) -> Break:
    """Make a header no library would write."""
    return lambda partner: unsigned({**HEADER, **change}, partner.claims())


def wrapped(before: str = "", after: str = "") -> Break:
    return lambda partner: f"{before}{partner.sign()}{after}"


def served(page: Page) -> Break:
    return lambda partner: partner.serve(page)


def published(change: dict[str, Any]) -> Break:
    return lambda partner: partner.publish({**partner.ec.public_jwk, **change})


def encrypted(partner: Partner) -> str:
    text = json.dumps(partner.claims()).encode()
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, text, OctKey.generate_key(256))


def private_jwk(pair: KeyPair) -> dict[str, Any]:
    return dict(load_private_key(pair.private_pem).as_dict(private=True)) | {"kid": "ec-1"}


def access_token(partner: Partner) -> str:
    claims = partner.claims(iss="http://127.0.0.1:8000", client_id="bulk-loader", scope="system/*.rs")
    return unsigned({**HEADER, "typ": "at+jwt"}, claims)


def as_json(partner: Partner) -> str:
    protected, payload, signature = partner.sign().split(".")
    return json.dumps({"payload": payload, "protected": protected, "signature": signature})


def padded(partner: Partner) -> str:
    protected, payload, signature = partner.sign({"pad": "a"}).split(".")
    return f"{protected}=.{payload}.{signature}"


def another_key(partner: Partner) -> str:
    return partner.sign(pair=generate_key_pair("ES384", kid="ec-1"))


def other_key_of_the_set(partner: Partner) -> str:
    other = generate_key_pair("ES384", kid="ec-7")
    partner.publish(partner.ec.public_jwk, other.public_jwk)
    return partner.sign(pair=other, kid="ec-1")


def signature_in_der(partner: Partner) -> str:
    """Sign as libraries for cryptography do where JWS wants R and S alone.  RFC 7518 §3.4."""
    rest, _, segment = partner.sign().rpartition(".")
    raw = urlsafe_b64decode(segment + "==")
    der = encode_dss_signature(int.from_bytes(raw[:48]), int.from_bytes(raw[48:]))
    return f"{rest}.{urlsafe_b64encode(der).decode().rstrip('=')}"


def same_kid_twice(partner: Partner) -> str:
    return partner.publish(partner.ec.public_jwk, generate_key_pair("ES384", kid="ec-1").public_jwk)


def key_of_another_type(partner: Partner) -> str:
    partner.publish({**partner.rsa.public_jwk, "kid": "ec-1"})
    return partner.sign()


def weak(partner: Partner) -> str:
    partner.publish({**weak_rsa(), "kid": "weak"})
    return partner.sign(pair=partner.rsa, kid="weak")


def closed_port(partner: Partner) -> str:
    with run_jwks_host() as gone:
        url = gone.url
    return partner.move_to(url)


def registered_for_a_secret(partner: Partner) -> str:
    make_client(web_app())
    return partner.sign({"iss": "cardio", "sub": "cardio"})


def not_active_anywhere(partner: Partner) -> str:
    Client.objects.get(client_id="bulk-loader").activations.update(is_active=False)
    return partner.sign()


CAUSES: dict[str, tuple[str, Break]] = {
    # what came is no assertion
    "nonsense": ("assertion.not_jwt", lambda _: "nonsense"),
    "two segments": ("assertion.not_jwt", lambda partner: partner.sign().rpartition(".")[0]),
    "encrypted": ("assertion.not_jws", encrypted),
    "JSON serialization": ("assertion.json", as_json),
    "unsigned claims": ("assertion.json", lambda partner: json.dumps(partner.claims())),
    "a PEM key": ("assertion.key", lambda partner: str(partner.ec.private_pem, "ascii")),
    "a private JWK": ("assertion.key", lambda partner: json.dumps(private_jwk(partner.ec))),
    "a Bearer prefix": ("assertion.prefix", wrapped("Bearer ")),
    "a line break at the end": ("assertion.characters", wrapped(after="\n")),
    "quotes around it": ("assertion.characters", wrapped('"', '"')),
    "base64 padding": ("assertion.base64url", padded),
    "too long": ("assertion.too_large", claim(more="m" * 17_000)),
    "a claim twice": ("assertion.duplicate_member", lambda _: unsigned(HEADER, b'{"iss": "a", "iss": "bulk-loader"}')),
    "an access token": ("assertion.other_token", access_token),
    "an ID token": ("assertion.other_token", claim(iss="http://127.0.0.1:8000", sub="3f1c", nonce="n", auth_time=now)),
    # header
    "alg none": ("assertion.alg", bare({"alg": "none"})),
    "a shared secret": ("assertion.alg", bare({"alg": "HS256"})),
    "an algorithm not accepted": ("assertion.alg", lambda p: p.sign(pair=p.rsa, alg="RS512", kid="ec-1")),
    "crit": ("assertion.crit", bare({"crit": ["exp"]})),
    "another kind of JWT": ("assertion.typ", header(typ="dpop+jwt")),
    "no kid": ("assertion.kid_missing", header(kid=...)),
    "kid is a number": ("assertion.kid", bare({"kid": 1})),
    "jku of another URL": ("assertion.jku", header(jku="https://elsewhere.example.org/jwks.json")),
    "another algorithm than registered": (
        "assertion.alg_registered",
        lambda partner: partner.registered(token_endpoint_auth_signing_alg="RS384"),
    ),
    # claims
    "no sub": ("assertion.iss_sub_missing", claim(sub=...)),
    "iss is not sub": ("assertion.iss_sub", claim(iss="https://partner.example.org")),
    "no aud": ("assertion.aud_missing", claim(aud=...)),
    "aud of another server": ("assertion.aud", claim(aud="https://elsewhere.example.org/token")),
    "aud with a slash more": ("assertion.aud", claim(aud=f"{TOKEN_URL}/")),
    "aud is the FHIR base": ("assertion.aud", claim(aud="http://127.0.0.1:8000/fhir/sandbox/r4")),
    "several aud": ("assertion.aud_several", claim(aud=[TOKEN_URL, "https://elsewhere.example.org"])),
    "no exp": ("assertion.exp_missing", claim(exp=...)),
    "exp is text": ("assertion.exp_type", claim(exp=lambda: str(now() + 300))),
    "exp in milliseconds": ("assertion.exp_milliseconds", claim(exp=lambda: (now() + 300) * 1_000)),
    "exp is a duration": ("assertion.expired", claim(exp=300)),
    "expired": ("assertion.expired", claim(iat=lambda: now() - 712, exp=lambda: now() - 412)),
    "good for an hour": ("assertion.exp_too_far", claim(exp=lambda: now() + 3_600)),
    "the clock is ahead": ("assertion.iat_future", claim(iat=lambda: now() + 412, exp=lambda: now() + 712)),
    "not valid yet": ("assertion.nbf", claim(nbf=lambda: now() + 300)),
    "issued long ago": ("assertion.iat_old", claim(iat=lambda: now() - 900)),
    "no jti": ("assertion.jti_missing", claim(jti=...)),
    "jti is a number": ("assertion.jti", claim(jti=7)),
    # keys
    "a kid that is not published": ("jwks.kid_unknown", header(kid="ec-9")),
    "two keys of one kid": ("jwks.kid_ambiguous", same_kid_twice),
    "a key of another type": ("jwks.key_type", key_of_another_type),
    "a key for encryption": ("jwks.key_use", published({"use": "enc"})),
    "a key that only signs": ("jwks.key_ops", published({"key_ops": ["sign"]})),
    "a key of another algorithm": ("jwks.key_alg", published({"alg": "ES256"})),
    "a weak key": ("jwks.weak_key", weak),
    "a key that is none": ("jwks.key_malformed", published({"x": "AQAB"})),
    "signed with another key": ("assertion.signature", another_key),
    "signed with another key of the set": ("assertion.signature", other_key_of_the_set),
    "a signature in DER": ("assertion.signature", signature_in_der),
    "no keys in the set": ("jwks.no_usable_key", lambda partner: partner.publish()),
    "101 keys": ("jwks.too_many_keys", lambda partner: partner.publish(*[partner.ec.public_jwk] * 101)),
    "a private key published": ("jwks.private_key", lambda partner: partner.publish(private_jwk(partner.ec))),
    # the JWKS URL
    "closed port": ("jwks.unreachable", closed_port),
    "no such host": ("jwks.dns", lambda partner: partner.move_to("https://nobody.invalid/jwks.json")),
    "private address": ("jwks.address", lambda partner: partner.move_to("https://127.1/jwks.json")),
    "http in the open": ("jwks.url", lambda partner: partner.move_to("http://partner.example.org/jwks.json")),
    "slow": ("jwks.timeout", lambda partner: partner.publish(delay=0.6)),
    "500": ("jwks.status", served(Page(status=500))),
    "behind a login": ("jwks.status", served(Page(status=401))),
    "redirect": ("jwks.redirect", served(Page(status=302, headers=(("Location", "/elsewhere"),)))),
    "HTML": ("jwks.not_json", served(Page(b"<!doctype html><title>Hello</title>"))),
    "one key without a set": ("jwks.no_keys", lambda partner: partner.serve(Page(partner.ec.public_jwk))),
    "too large": ("jwks.too_large", served(Page(b" " * (MAX_BYTES + 1)))),
    # the client
    "suspended": ("client.suspended", lambda partner: partner.registered(status="suspended")),
    "not approved": ("client.not_approved", lambda partner: partner.registered(status="submitted")),
    "registered for a secret": ("client.auth_method", registered_for_a_secret),
    "not active at the tenant": ("client.not_activated", not_active_anywhere),
}  # fmt: skip
# No cause of the clinic: there another client is not looked at.
UNKNOWN = claim(iss="nobody", sub="nobody")
