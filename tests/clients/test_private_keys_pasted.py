"""Private keys are pasted into every field there is; wherever they come, nothing of them is kept or shown again.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 7591 §5.
"""

import base64
import json

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from django.test import Client as Browser

from clients.metadata import ClientMetadata, InvalidClientMetadata
from clients.models import Draft
from clients.private_keys import holds_private_key
from tests.clients.portal_pages import begin, partner, step_url
from tests.factories import make_tenant, service

EC = ec.generate_private_key(ec.SECP384R1())
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
FORMATS = serialization.PrivateFormat


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, form: FORMATS) -> str:
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


def body(text: str) -> str:
    return "".join(text.splitlines()[1:-1])


def number(value: int, size: int = 48) -> str:
    return base64.urlsafe_b64encode(value.to_bytes(size, "big")).decode().rstrip("=")


NUMBERS = EC.private_numbers()
PUBLIC_JWK = {
    "kty": "EC",
    "crv": "P-384",
    "kid": "k1",
    "x": number(NUMBERS.public_numbers.x),
    "y": number(NUMBERS.public_numbers.y),
}
JWK = {**PUBLIC_JWK, "d": number(NUMBERS.private_value)}
PKCS8, SEC1 = pem(EC, FORMATS.PKCS8), pem(EC, FORMATS.TraditionalOpenSSL)
ED25519 = ed25519.Ed25519PrivateKey.generate().private_bytes(
    serialization.Encoding.PEM, FORMATS.PKCS8, serialization.NoEncryption()
)
PRIVATE = {
    "PKCS#8": PKCS8,
    "SEC1": SEC1,
    "PKCS#1": pem(RSA, FORMATS.TraditionalOpenSSL),
    "on one line": PKCS8.replace("\n", " "),
    "with other dashes": PKCS8.replace("-----BEGIN PRIVATE KEY-----", "---- BEGIN PRIVATE KEY ----"),
    "without its first line": PKCS8.split("-----\n", 1)[1],
    "bare base64 of PKCS#8": body(PKCS8),
    "bare base64 of SEC1": body(SEC1),
    "bare base64 of RSA": body(pem(RSA, FORMATS.TraditionalOpenSSL)),
    "bare base64 of RSA in PKCS#8": body(pem(RSA, FORMATS.PKCS8)),
    "bare base64 of Ed25519": body(ED25519.decode()),
    "base64 of PEM": base64.b64encode(PKCS8.encode()).decode(),
    "in quotes": json.dumps(PKCS8),
    "a JWK": json.dumps(JWK),
    "a JWK Set": json.dumps({"keys": [JWK]}),
    "escaped": json.dumps({"keys": [JWK]}).replace('"d"', '"\\u0064"'),
    "escaped and wrapped": json.dumps({"mine": [JWK]}).replace('"d"', '"\\u0064"'),
    "of JavaScript": json.dumps(JWK).replace('"d":', "d:"),
    "JSON in JSON": json.dumps({"jwks": json.dumps(JWK)}),
}
PUBLIC_PEM = (
    EC.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo).decode()
)
HARMLESS = {
    "a public key": PUBLIC_PEM,
    "its base64": body(PUBLIC_PEM),
    "a public JWK": json.dumps(PUBLIC_JWK),
    "a sentence": "Counts vaccinations: p: 12, q: none. Made in Madrid, see https://app.example.org/?k=1&d:e",
    "a long word": "M" * 200,
    "a URL": "https://app.example.org/MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQ.json",
    "scopes": "system/MedicationRequest.rs system/Patient.rs?_id=" + "MIGabcdefghijklmnopqrstuvwxyzabcdefghijklmnop",
}
TEXTS = ("client_name", "publisher", "purpose", "contacts", "client_uri", "logo_uri", "funding", "data_deletion")


@pytest.fixture
def kim() -> Browser:
    make_tenant()
    return partner()[1]


def kept(draft: Draft) -> str:
    draft.refresh_from_db()
    return json.dumps(draft.answers)


def is_in(text: str) -> bool:
    secret = (body(PKCS8)[:60], body(SEC1)[:60], JWK["d"], body(pem(RSA, FORMATS.TraditionalOpenSSL))[:60])
    return any(one in text for one in secret)


@pytest.mark.parametrize("name", PRIVATE)
def test_a_private_key_is_recognised_in_every_form(name: str) -> None:
    assert holds_private_key(PRIVATE[name])
    assert holds_private_key({"a": [PRIVATE[name]]})


@pytest.mark.parametrize("name", HARMLESS)
def test_what_only_looks_a_little_like_one_is_not(name: str) -> None:
    assert not holds_private_key(HARMLESS[name])


@pytest.mark.django_db
@pytest.mark.parametrize("name", PRIVATE)
def test_among_the_public_keys_it_is_neither_kept_nor_shown_again(kim: Browser, name: str) -> None:
    draft = begin(kim)
    form = {"keys_from": "paste", "token_endpoint_auth_method": "private_key_jwt", "jwks": PRIVATE[name]}
    answer = kim.post(step_url(draft, "connection"), form)
    assert "the private part of a key was in it" in answer.content.decode().lower()
    tested = kim.post("/developers/keys/test", form)
    assert not any(map(is_in, (kept(draft), answer.content.decode(), tested.content.decode())))


@pytest.mark.django_db
@pytest.mark.parametrize("member", TEXTS)
def test_in_any_other_field_it_is_not_kept_either(kim: Browser, member: str) -> None:
    draft = begin(kim, "patient")
    answer = kim.post(step_url(draft, "identity"), {member: PKCS8})
    page = answer.content.decode()
    assert f'id="f-{member}"' in page
    assert "the private part of a key was in it; it was not kept" in page.lower()
    assert not is_in(kept(draft) + page)


@pytest.mark.django_db
def test_in_a_key_url_or_among_scopes_it_is_not_kept_either(kim: Browser) -> None:
    draft = begin(kim)
    method = {"token_endpoint_auth_method": "private_key_jwt", "keys_from": "url"}
    for step, form in (("connection", method | {"jwks_uri": PKCS8}), ("data", {"more_scopes": PKCS8})):
        answer = kim.post(step_url(draft, step), form)
        assert "the private part of a key was in it" in answer.content.decode().lower()
        assert not is_in(kept(draft) + answer.content.decode())


@pytest.mark.parametrize("member", ["purpose", "software_id", "logo_uri", "contacts", "redirect_uris", "scope"])
def test_no_metadata_with_a_private_key_is_registered(member: str) -> None:
    text = JWK["d"] if member == "software_id" else PKCS8.replace("\n", " ")
    text = f'"d":"{text}"' if member == "software_id" else text
    value: object = [text[:250]] if member in ("contacts", "redirect_uris") else text
    with pytest.raises(InvalidClientMetadata) as refused:
        ClientMetadata.from_json(service(**{member: value}), operator=True)
    assert refused.value.refusal.rule == f"registration.{member}"
    assert not is_in(refused.value.refusal.seen + refused.value.refusal.reason)


UNREADABLE = {
    "half a surrogate pair": '{"keys": [{"kty": "RSA", "kid": "\\ud800"}]}',
    "NUL": '{"keys": [{"kty": "RSA", "kid": "\\u0000"}]}',
    "infinity": '{"keys": [{"kty": "RSA", "n": 1e999}]}',
    "deep": '{"keys": ' + "[" * 900 + "]" * 900 + "}",
    "deeper": '{"keys": ' * 400 + "1" + "}" * 400,
    "no JSON": "here you are",
}


@pytest.mark.django_db
@pytest.mark.parametrize("name", UNREADABLE)
def test_keys_that_cannot_be_read_are_told_at_their_field_and_stay_there(kim: Browser, name: str) -> None:
    draft = begin(kim)
    form = {"keys_from": "paste", "token_endpoint_auth_method": "private_key_jwt", "jwks": UNREADABLE[name]}
    answer = kim.post(step_url(draft, "connection"), form)
    assert answer.status_code == 200
    page = answer.content.decode()
    assert "It cannot be read as a JWK Set, as one JWK, or as a public key in PEM." in page
    assert "private_key_jwt needs" not in page.lower()
    assert draft.answers != {}
    assert UNREADABLE[name][:20] in json.loads(kept(draft))["jwks"]
    for accepts in ("text/html", "application/json"):
        assert kim.post("/developers/keys/test", form, headers={"Accept": accepts}).status_code == 200


@pytest.mark.django_db
def test_what_is_too_long_to_keep_is_named(kim: Browser) -> None:
    draft = begin(kim)
    answer = kim.post(step_url(draft, "identity"), {"purpose": "a" * 250_000, "publisher": "Kim Inc"})
    assert answer.status_code == 409
    assert "purpose most of all" in answer.content.decode()
