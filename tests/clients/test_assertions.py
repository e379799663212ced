"""private_key_jwt: one good assertion, and the same with one thing wrong.

Each refusal names its own rule, nothing is spent before the signature verified, and what was spent stays spent.
Source: RFC 7523 §3; RFC 7515 §4; RFC 8725 §3; SMART 2.2 client-confidential-asymmetric.
"""

import base64
import json
import threading
from dataclasses import asdict
from datetime import timedelta

import pytest
from django.db import connection, transaction
from joserfc import jws as jose
from joserfc.jwk import OctKey

from clients.assertions import parse_assertion, verify_assertion
from clients.key_pairs import KeyPair, generate_key_pair
from clients.models import AssertionId
from clients.registered import find_client
from smartauth.errors import InvalidClient
from tests.factories import (
    AUDIENCES,
    ISSUER,
    NOW,
    SHORT_TOKEN_URL,
    TOKEN_URL,
    claims_at,
    make_client,
    service,
    signed,
)


def verify(assertion: str, *, audiences=AUDIENCES, now=NOW):
    parsed, client_id = parse_assertion(assertion)
    client = find_client(client_id)
    assert client is not None
    return verify_assertion(parsed, client, audiences=audiences, now=now)


def refused_rule(assertion: str, **options) -> str:
    with pytest.raises(InvalidClient) as refused:
        verify(assertion, **options)
    told = json.dumps(asdict(refused.value.refusal))
    assert assertion not in told
    assert len(assertion.rpartition(".")[2]) < 20 or assertion.rpartition(".")[2] not in told
    return refused.value.refusal.rule


@pytest.fixture
def bulk_loader(db, rsa: KeyPair, ec: KeyPair, ec256: KeyPair):
    jwks = {"keys": [rsa.public_jwk, ec.public_jwk, ec256.public_jwk]}
    return make_client(service(jwks=jwks)).client


SECONDS = int(NOW.timestamp())
CLAIMS = [
    # claims that differ from a good assertion             rule, or None where it passes
    ({}, None),
    ({"aud": SHORT_TOKEN_URL}, None),
    ({"aud": ISSUER}, None),
    ({"aud": [TOKEN_URL]}, None),
    ({"aud": ...}, "assertion.aud_missing"),
    ({"aud": None}, "assertion.aud_missing"),
    ({"aud": []}, "assertion.aud_several"),
    ({"aud": [TOKEN_URL, ISSUER]}, "assertion.aud_several"),
    ({"aud": [[TOKEN_URL]]}, "assertion.aud_several"),
    ({"aud": f"{TOKEN_URL}/"}, "assertion.aud"),
    ({"aud": "http://127.0.0.1:8000/auth/other/token"}, "assertion.aud"),
    ({"aud": TOKEN_URL.upper()}, "assertion.aud"),
    ({"aud": {"url": TOKEN_URL}}, "assertion.aud"),
    ({"aud": 5}, "assertion.aud"),
    ({"iss": ...}, "assertion.iss_sub_missing"),
    ({"sub": ...}, "assertion.iss_sub_missing"),
    ({"sub": ["bulk-loader"]}, "assertion.iss_sub_missing"),
    ({"sub": "mallory"}, "assertion.iss_sub"),
    ({"exp": ...}, "assertion.exp_missing"),
    ({"exp": None}, "assertion.exp_type"),
    ({"exp": str(SECONDS + 300)}, "assertion.exp_type"),
    ({"exp": True}, "assertion.exp_type"),
    ({"exp": -1}, "assertion.exp_type"),
    ({"exp": 253_402_300_800}, "assertion.exp_type"),
    ({"exp": 10**400}, "assertion.exp_type"),
    ({"exp": 1e308}, "assertion.exp_type"),
    ({"exp": 253_402_300_799}, "assertion.exp_too_far"),
    ({"exp": SECONDS + 300.5}, None),
    ({"exp": SECONDS + 360}, None),
    ({"exp": SECONDS + 361}, "assertion.exp_too_far"),
    ({"exp": SECONDS + 3600}, "assertion.exp_too_far"),
    ({"exp": SECONDS - 59}, None),
    ({"exp": SECONDS - 60}, "assertion.expired"),
    ({"exp": 0}, "assertion.expired"),
    ({"nbf": SECONDS + 60}, None),
    ({"nbf": SECONDS + 61}, "assertion.nbf"),
    ({"nbf": "now"}, "assertion.nbf_type"),
    ({"iat": ...}, None),
    ({"iat": SECONDS + 60}, None),
    ({"iat": SECONDS + 61}, "assertion.iat_future"),
    ({"iat": SECONDS - 360}, None),
    ({"iat": SECONDS - 361}, "assertion.iat_old"),
    ({"iat": False}, "assertion.iat_type"),
    ({"jti": ...}, "assertion.jti_missing"),
    ({"jti": ""}, "assertion.jti"),
    ({"jti": 7}, "assertion.jti"),
    ({"jti": "j" * 255}, None),
    ({"jti": "j" * 256}, "assertion.jti"),
    ({"extra": {"a": [1]}}, None),
]


@pytest.mark.requirement(
    "ASYM-11", "ASYM-12", "ASYM-13", "ASYM-14", "ASYM-15", "ASYM-16", "ASYM-17", "JWT-04", "JWT-05", "T-03"
)
@pytest.mark.parametrize(("changes", "rule"), CLAIMS)
def test_each_claim_has_its_rule(changes, rule, bulk_loader, ec: KeyPair):
    assertion = signed(ec, claims_at(**changes))
    if rule is None:
        claims = verify(assertion)
        assert claims.client_id == "bulk-loader"
        assert AssertionId.objects.get().expires_at == claims.expires_at + timedelta(seconds=60)
    else:
        assert refused_rule(assertion) == rule
        assert not AssertionId.objects.exists()


HEADERS = [
    ({}, None),
    ({"typ": ...}, None),
    ({"typ": "jwt"}, None),
    ({"typ": "client-authentication+jwt"}, None),
    ({"typ": "at+jwt"}, "assertion.typ"),
    ({"typ": "dpop+jwt"}, "assertion.typ"),
    ({"typ": "logout+jwt"}, "assertion.typ"),
    ({"kid": ...}, "assertion.kid_missing"),
    ({"kid": ""}, "assertion.kid"),
    ({"kid": "k" * 256}, "assertion.kid"),
    ({"kid": "ec-9"}, "jwks.kid_unknown"),
    ({"kid": "rsa-1"}, "jwks.key_type"),
    ({"kid": "ec-2"}, "jwks.key_alg"),
    ({"jku": "https://bulk.example.org/jwks.json"}, "assertion.jku"),
    ({"jwk": {"kty": "EC"}}, None),  # Not trusted and not needed.
    ({"x5t": "abc"}, None),
    ({"cty": "JWT", "unheard": "of"}, None),
]


@pytest.mark.requirement("ASYM-04", "ASYM-05", "ASYM-06", "ASYM-08", "JWT-07")
@pytest.mark.parametrize(("changes", "rule"), HEADERS)
def test_each_header_member_has_its_rule(changes, rule, bulk_loader, ec: KeyPair):
    assertion = signed(ec, claims_at(), **changes)
    if rule is None:
        verify(assertion)
        assert AssertionId.objects.count() == 1
    else:
        assert refused_rule(assertion) == rule
        assert not AssertionId.objects.exists()


@pytest.mark.requirement("ASYM-03")
@pytest.mark.parametrize("alg", ["RS256", "RS384", "PS256", "PS384"])
def test_rsa_keys_sign_in_each_algorithm_of_the_list(alg, db, rsa: KeyPair):
    bare = {name: value for name, value in rsa.public_jwk.items() if name != "alg"}
    make_client(service(jwks={"keys": [bare]}))
    assert verify(signed(rsa, claims_at(), alg=alg)).client_id == "bulk-loader"


@pytest.mark.requirement("ASYM-03")
def test_an_algorithm_outside_the_list_is_refused(db, rsa: KeyPair, configure):
    bare = {name: value for name, value in rsa.public_jwk.items() if name != "alg"}
    make_client(service(jwks={"keys": [bare]}))
    assert refused_rule(signed(rsa, claims_at(), alg="RS512")) == "assertion.alg"
    configure(assertion_algorithms=("RS384", "ES384"))
    assert refused_rule(signed(rsa, claims_at(), alg="RS256")) == "assertion.alg"
    assert verify(signed(rsa, claims_at(), alg="RS384"))


def encoded(value: object) -> str:
    text = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(text).rstrip(b"=").decode()


def unsigned(header: object, claims: object, signature: str = "AAAA") -> str:
    return f"{encoded(header)}.{encoded(claims)}.{signature}"


GOOD_HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}


@pytest.mark.requirement("ASYM-03", "ASYM-10", "JWT-03", "JWT-06")
@pytest.mark.parametrize(
    ("header", "rule"),
    [
        ({**GOOD_HEADER, "alg": "none"}, "assertion.alg"),
        ({**GOOD_HEADER, "alg": "HS256"}, "assertion.alg"),
        ({**GOOD_HEADER, "alg": None}, "assertion.alg"),
        ({**GOOD_HEADER, "alg": ["ES384"]}, "assertion.alg"),
        ({**GOOD_HEADER, "crit": ["exp"]}, "assertion.crit"),
        ({**GOOD_HEADER, "crit": []}, "assertion.crit"),
        ({**GOOD_HEADER, "b64": False}, "assertion.crit"),
        ({**GOOD_HEADER, "zip": "DEF"}, "assertion.crit"),
        ({**GOOD_HEADER, "typ": None}, "assertion.typ"),
        ({**GOOD_HEADER, "kid": 5}, "assertion.kid"),
        (GOOD_HEADER, "assertion.signature"),
    ],
)
def test_headers_no_library_would_write_are_refused(header, rule, bulk_loader):
    assert refused_rule(unsigned(header, claims_at())) == rule
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("ASYM-03", "JWT-03")
def test_the_public_key_is_no_shared_secret(bulk_loader, ec: KeyPair):
    key = OctKey.import_key(json.dumps(ec.public_jwk))
    forged = jose.serialize_compact({**GOOD_HEADER, "alg": "HS384"}, json.dumps(claims_at()), key, algorithms=["HS384"])
    assert refused_rule(forged) == "assertion.alg"


FORMS = [
    ("", "assertion.not_jwt"),
    ("abc", "assertion.not_jwt"),
    ("a.b", "assertion.not_jwt"),
    ("a.b.c", "assertion.not_jwt"),
    (f"{encoded(GOOD_HEADER)}..AAAA", "assertion.not_jwt"),
    (f"{encoded(GOOD_HEADER)}.{encoded({})}.", "assertion.not_jwt"),
    (f"{encoded(GOOD_HEADER)}.{encoded(claims_at())}=.AAAA", "assertion.base64url"),
    ("a+b.c/d.e", "assertion.base64url"),
    (f" {unsigned(GOOD_HEADER, claims_at())}", "assertion.characters"),
    (f"{unsigned(GOOD_HEADER, claims_at())}\n", "assertion.characters"),
    (f'"{unsigned(GOOD_HEADER, claims_at())}"', "assertion.characters"),
    (f"Bearer {unsigned(GOOD_HEADER, claims_at())}", "assertion.prefix"),
    (f"Bearer{unsigned(GOOD_HEADER, claims_at())}", "assertion.prefix"),
    ("a.b.c.d.e", "assertion.not_jws"),
    ('{"payload":"e30","signatures":[]}', "assertion.json"),
    ('{"iss":"bulk-loader", "a": "1.2.3.4.5"}', "assertion.json"),
    ('{"keys":[{"kty":"EC"}]}', "assertion.key"),
    ("-----BEGIN PRIVATE KEY-----\nMII=\n-----END PRIVATE KEY-----", "assertion.key"),
    (unsigned(GOOD_HEADER, {"iss": "a", "sub": "b", "nonce": "n"}), "assertion.other_token"),
    (unsigned({**GOOD_HEADER, "typ": "at+jwt"}, {"iss": "a", "sub": "b"}), "assertion.other_token"),
    (unsigned(GOOD_HEADER, {"iss": "a", "sub": "b", "scope": "s", "client_id": "c"}), "assertion.other_token"),
    (unsigned([], {}), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, [1]), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, b"\xff{}"), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, b'{"exp": NaN}'), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, b'{"jti": "\\ud800"}'), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, b"[" * 5_000), "assertion.not_jwt"),
    (unsigned(GOOD_HEADER, b'{"iss": "a", "iss": "bulk-loader"}'), "assertion.duplicate_member"),
    (unsigned(GOOD_HEADER, b'{"a": {"b": 1, "b": 2}}'), "assertion.duplicate_member"),
    (unsigned(b'{"alg": "none", "alg": "ES384"}', {}), "assertion.duplicate_member"),
    (unsigned(GOOD_HEADER, {"a": "a" * 13_000}), "assertion.too_large"),
]


@pytest.mark.requirement("ASYM-02", "JWT-01", "JWT-02", "JWT-08")
@pytest.mark.parametrize(("text", "rule"), FORMS)
def test_what_is_not_one_compact_jws_is_refused(text, rule):
    with pytest.raises(InvalidClient) as refused:
        parse_assertion(text)
    assert refused.value.refusal.rule == rule


@pytest.mark.requirement("ASYM-17", "ASYM-20", "T-05")
def test_a_signature_by_another_key_is_refused_and_spends_nothing(bulk_loader, ec: KeyPair):
    mallory = generate_key_pair("ES384", kid="ec-1")
    claims = claims_at()
    assert refused_rule(signed(mallory, claims)) == "assertion.signature"
    assert not AssertionId.objects.exists()
    assert verify(signed(ec, claims)).jti == claims["jti"]


@pytest.mark.requirement("JWT-10")
def test_a_changed_payload_and_a_der_signature_do_not_verify(bulk_loader, ec: KeyPair):
    header, _, signature = signed(ec, claims_at()).split(".")
    assert refused_rule(f"{header}.{encoded(claims_at())}.{signature}") == "assertion.signature"
    der = base64.urlsafe_b64encode(b"\x30\x64" + b"\x02\x30" + b"\x01" * 48 + b"\x02\x30" + b"\x01" * 48).rstrip(b"=")
    assert refused_rule(f"{header}.{encoded(claims_at())}.{der.decode()}") == "assertion.signature"


@pytest.mark.requirement("ASYM-21")
def test_a_registered_algorithm_is_the_only_one(db, rsa: KeyPair, ec: KeyPair):
    jwks = {"keys": [rsa.public_jwk, ec.public_jwk]}
    make_client(service(jwks=jwks, token_endpoint_auth_signing_alg="ES384"))
    assert refused_rule(signed(rsa, claims_at())) == "assertion.alg_registered"
    assert verify(signed(ec, claims_at()))


@pytest.mark.requirement("ASYM-09")
@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"use": "sig", "key_ops": ["verify"]}, None),
        ({"use": "enc"}, "jwks.key_use"),
        ({"key_ops": ["sign"]}, "jwks.key_ops"),
        ({"alg": "ES256"}, "jwks.key_alg"),
    ],
)
def test_the_key_must_be_published_for_this(change, rule, db, ec: KeyPair):
    make_client(service(jwks={"keys": [ec.public_jwk | change]}))
    if rule:
        assert refused_rule(signed(ec, claims_at())) == rule
    else:
        verify(signed(ec, claims_at()))


@pytest.mark.requirement("ASYM-09")
def test_the_curve_must_be_the_algorithm_s(db, ec: KeyPair, ec256: KeyPair):
    other = {name: value for name, value in ec256.public_jwk.items() if name != "alg"} | {"kid": "ec-1"}
    make_client(service(jwks={"keys": [other]}))
    assert refused_rule(signed(ec, claims_at())) == "jwks.key_curve"


@pytest.mark.requirement("ASYM-16")
def test_an_assertion_works_once_and_stays_spent(bulk_loader, ec: KeyPair):
    assertion = signed(ec, claims_at())
    verify(assertion)
    assert refused_rule(assertion) == "assertion.jti_replayed"
    assert AssertionId.objects.count() == 1


@pytest.mark.requirement("ASYM-16")
def test_the_same_jti_of_two_clients_is_two(bulk_loader, rsa: KeyPair, ec: KeyPair):
    make_client(service(client_id="cardio-etl", jwks=rsa.jwks))
    verify(signed(ec, claims_at(jti="one")))
    verify(signed(rsa, claims_at(jti="one", iss="cardio-etl", sub="cardio-etl")))
    assert AssertionId.objects.count() == 2


@pytest.mark.requirement("ASYM-17")
@pytest.mark.django_db(transaction=True)
def test_a_jti_is_never_spent_inside_a_transaction_that_could_take_it_back(rsa: KeyPair, ec: KeyPair):
    make_client(service(jwks=ec.jwks))
    assertion = signed(ec, claims_at())
    with pytest.raises(RuntimeError), transaction.atomic():
        verify(assertion)
    assert not AssertionId.objects.exists()
    verify(assertion)
    with pytest.raises(ZeroDivisionError), transaction.atomic():
        raise ZeroDivisionError
    assert refused_rule(assertion) == "assertion.jti_replayed"


@pytest.mark.requirement("ASYM-17")
@pytest.mark.django_db(transaction=True)
def test_of_many_copies_at_once_exactly_one_counts(ec: KeyPair):
    make_client(service(jwks=ec.jwks))
    assertion = signed(ec, claims_at())
    outcomes: list[str] = []
    barrier = threading.Barrier(8)

    def present() -> None:
        barrier.wait()
        try:
            verify(assertion)
            outcomes.append("accepted")
        except InvalidClient as error:
            outcomes.append(error.refusal.rule)
        finally:
            connection.close()

    threads = [threading.Thread(target=present) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["accepted"] + ["assertion.jti_replayed"] * 7
    assert AssertionId.objects.count() == 1
