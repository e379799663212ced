"""The keys of a client that registers: by URL or by value, whole, strong and public, and changed by its owner only.

SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)"; RFC 7517 §4; RFC 7591 §2.
"""

import json
from typing import Any

import pytest

from clients.key_pairs import KeyPair, generate_key_pair
from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registration import register_client
from tests.conftest import Configure
from tests.factories import service, weak_rsa

pytestmark = pytest.mark.django_db
URL = "https://a.example.org/jwks.json"


def refusal(**members: Any) -> InvalidClientMetadata:
    with pytest.raises(InvalidClientMetadata) as refused:
        register_client(service(**members), operator=True)
    assert not Client.objects.exists()
    return refused.value


@pytest.mark.requirement("REG-06")
def test_keys_are_registered_by_url_or_by_value_and_never_both_ways(ec: KeyPair):
    for client_id, members in (("by-url", {"jwks_uri": URL}), ("by-value", {"jwks": ec.jwks})):
        client = register_client(service(client_id=client_id, **members), operator=True).client
        assert (client.client_jwks_uri, client.client_jwks) == (members.get("jwks_uri", ""), members.get("jwks"))
    Client.objects.all().delete()
    both = refusal(jwks_uri=URL, jwks=ec.jwks)
    assert (both.member, both.refusal.fix) == ("jwks", "Keep jwks_uri.")
    assert refusal().member == "jwks_uri"


SECRET = "c2VjcmV0"
FAULTS: list[tuple[str, dict[str, Any], str]] = [
    # kind, what is changed in a good key (... leaves a member out), what the refusal says
    ("EC", {"kty": ...}, "it has no kty"),
    ("EC", {"kid": ...}, "a key has no kid"),
    ("EC", {"kid": ""}, "a key has no kid"),
    ("EC", {"kid": "other"}, "two keys have the same kid"),
    ("EC", {"crv": ...}, "crv is missing"),
    ("EC", {"crv": "secp256k1"}, "the curve is not one of"),
    ("EC", {"x": ...}, "x is missing"),
    ("EC", {"y": ...}, "y is missing"),
    ("EC", {"y": "AAAA"}, "its numbers do not make a public key"),
    ("RSA", {"n": ...}, "n is missing"),
    ("RSA", {"e": ...}, "e is missing"),
    ("RSA", {"n": "not base64url!"}, "n is missing or not base64url"),
    ("RSA", {"d": SECRET}, "private"),
    *[("RSA", {member: SECRET}, "private") for member in ("p", "q", "dp", "dq", "qi", "oth")],
    ("EC", {"d": SECRET}, "private"),
    ("EC", {"k": SECRET}, "private"),
    ("EC", {"kty": "oct", "k": SECRET}, "private"),
]


@pytest.mark.requirement("REG-07")
@pytest.mark.parametrize(("kty", "changes", "why"), FAULTS)
def test_one_faulty_key_by_value_refuses_the_registration(rsa: KeyPair, ec: KeyPair, kty, changes, why):
    good = (rsa if kty == "RSA" else ec).public_jwk
    faulty = {name: value for name, value in (good | changes).items() if value is not ...}
    other = generate_key_pair("ES384", kid="other").public_jwk
    refused = refusal(jwks={"keys": [other, faulty]})
    assert refused.member == "jwks"
    assert why in refused.refusal.reason
    assert refused.refusal.fix
    assert SECRET not in json.dumps([refused.refusal.reason, refused.refusal.seen, refused.refusal.expected])
    register_client(service(jwks={"keys": [other, good]}), operator=True)


@pytest.mark.requirement("REG-07")
def test_a_short_rsa_key_and_a_set_without_a_key_are_refused(ec: KeyPair):
    weak = refusal(jwks={"keys": [ec.public_jwk, weak_rsa()]})
    assert "1024 bits" in weak.refusal.seen
    assert "no RSA or EC key" in refusal(jwks={"keys": [{"kty": "OKP", "kid": "ed"}]}).refusal.reason
    assert refusal(jwks={"keys": []}).member == "jwks"


URLS = [
    # jwks_uri, what the refusal says; "" where it is accepted, in production and in the sandbox
    (URL, "", ""),
    ("https://a.example.org:443/jwks.json?of=us", "", ""),
    ("http://a.example.org/jwks.json", "it is not https", "it is not https"),
    ("http://127.0.0.1:9000/jwks.json", "it is not https", ""),
    ("http://localhost:9000/jwks.json", "it is not https", ""),
    ("https://user:password@a.example.org/jwks.json", "it has user information", "it has user information"),
    ("https://@a.example.org/jwks.json", "it has user information", "it has user information"),
    ("https://a.example.org/jwks.json#now", "it has a fragment", "it has a fragment"),
    ("https://a.example.org/jwks.json#", "it has a fragment", "it has a fragment"),
    ("https://10.0.0.1/jwks.json", "its address is not public", "its address is not public"),
    ("https://[fd00::1]/jwks.json", "its address is not public", "its address is not public"),
    ("https://169.254.169.254/jwks.json", "its address is not public", "its address is not public"),
    ("https://a.example.org:8443/jwks.json", "its port is not 443", "its port is not 443"),
    ("file:///etc/passwd", "it is not", "it is not"),
    ("/jwks.json", "it is not", "it is not"),
]


@pytest.mark.requirement("REG-09")
@pytest.mark.parametrize(("jwks_uri", "production", "sandbox"), URLS)
@pytest.mark.parametrize("mode", ["production", "sandbox"])
def test_a_url_of_keys_is_https_and_public(configure: Configure, jwks_uri, production, sandbox, mode):
    configure(mode=mode)
    why = production if mode == "production" else sandbox
    if not why:
        assert register_client(service(jwks_uri=jwks_uri), operator=True).client.client_jwks_uri == jwks_uri
        return
    refused = refusal(jwks_uri=jwks_uri)
    assert refused.member == "jwks_uri"
    assert why in refused.refusal.reason
