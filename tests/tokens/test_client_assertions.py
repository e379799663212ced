"""Assertions at every endpoint that takes one: whatever is wrong, the answer is the same and the receipt says what.

RFC 7523 §2.2 and §3; RFC 7521 §4.2; RFC 7009 §2.1; RFC 6749 §5.2; SMART 2.2 client-confidential-asymmetric.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from joserfc import jwe
from joserfc.jwk import OctKey

from clients.key_pairs import KeyPair, generate_key_pair
from clients.models import AssertionId, Client
from clients.tenants import TenantInfo
from smartauth.models import AccessToken
from smartauth.receipts.models import Receipt
from tests.clients.jwks_host import JwksHost
from tests.clients.test_assertions import unsigned
from tests.endpoints.conftest import Post
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.factories import ASSERTION_TYPE, ISSUER, SHORT_TOKEN_URL, TOKEN_URL, claims_at, make_client, service, signed

Make = Callable[..., str]

CODE = {"grant_type": "authorization_code", "code": "made-up", "redirect_uri": "https://x.example.org/"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "made-up"}
ENDPOINTS = {
    # where: path, its other parameters, the answer once the client is known
    "client_credentials": (TOKEN, GRANT, 200),
    "authorization_code": (TOKEN, CODE, 400),
    "refresh_token": (TOKEN, REFRESH, 400),
    "introspect": (INTROSPECT, {"token": "made-up"}, 200),
    "revoke": (REVOKE, {"token": "made-up"}, 200),
}
EVERYWHERE = pytest.mark.parametrize("where", ENDPOINTS)
REFUSED = b'{"error":"invalid_client","error_description":"Client authentication failed","trace_id":"TRACE"}'


@pytest.fixture
def everything(tenant: TenantInfo, ec: KeyPair) -> Client:
    """A client with a key, registered for every grant."""
    grants = ["client_credentials", "authorization_code", "refresh_token"]
    return make_client(
        service(
            jwks=ec.jwks,
            grant_types=grants,
            response_types=["code"],
            redirect_uris=["https://x.example.org/"],
        ),
        activate_at=(tenant,),
    ).client


@pytest.fixture
def made(ec: KeyPair) -> Make:
    """Sign an assertion of now, with some claims changed and header members given as keywords."""

    def make(claims: dict[str, Any] | None = None, *, pair: KeyPair = ec, **header: Any) -> str:
        return signed(pair, claims_at(datetime.now(UTC), **(claims or {})), **header)

    return make


def show(post: Post, where: str, assertion: str, **changes: str) -> HttpResponse:
    path, params, _ = ENDPOINTS[where]
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return post(path, {**params, **proof, **changes})


def receipt_of(answer: HttpResponse) -> Receipt:
    return Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])


def assert_refused(answer: HttpResponse, rule: str) -> Receipt:
    """Fail unless the answer is the one for every failure, to the byte, and its receipt names the rule."""
    trace_id = answer.headers["X-Trace-Id"].encode()
    assert (answer.status_code, answer.content.replace(trace_id, b"TRACE")) == (401, REFUSED)
    assert "WWW-Authenticate" not in answer.headers
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    receipt = receipt_of(answer)
    assert (receipt.rule, receipt.status, receipt.error) == (rule, 401, "invalid_client")
    assert receipt.reason
    assert not AccessToken.objects.exists()
    return receipt


@pytest.mark.requirement("ASYM-19", "ASYM-22")
@EVERYWHERE
@pytest.mark.parametrize("named", [{}, {"client_id": "bulk-loader"}], ids=["unnamed", "named"])
def test_a_good_assertion_opens_every_endpoint(
    post: Post, everything: Client, made: Make, where: str, named: dict[str, str]
) -> None:
    answer = show(post, where, made(), **named)
    assert answer.status_code == ENDPOINTS[where][2]
    assert answer.status_code == 200 or answer.json()["error"] == "invalid_grant"
    assert AssertionId.objects.count() == 1


FAR = 4_000_000_000  # 2096
FAULTS = [
    # claims                                             header                        rule
    ({"iss": "mallory"},                                 {},                           "assertion.iss_sub"),
    ({"sub": "mallory"},                                 {},                           "assertion.iss_sub"),
    ({"iss": ...},                                       {},                           "assertion.iss_sub_missing"),
    ({"iss": "nobody", "sub": "nobody"},                 {},                           "client.unknown"),
    ({"aud": ...},                                       {},                           "assertion.aud_missing"),
    ({"aud": "https://elsewhere.example.org/token"},     {},                           "assertion.aud"),
    ({"aud": f"{TOKEN_URL}/"},                           {},                           "assertion.aud"),
    ({"aud": "http://127.0.0.1:8000/auth/north/token"},  {},                           "assertion.aud"),
    ({"aud": [TOKEN_URL, "https://elsewhere.example"]},  {},                           "assertion.aud_several"),
    ({"exp": ...},                                       {},                           "assertion.exp_missing"),
    ({"exp": "soon"},                                    {},                           "assertion.exp_type"),
    ({"exp": 1_000_000_000},                             {},                           "assertion.expired"),
    ({"exp": FAR},                                       {},                           "assertion.exp_too_far"),
    ({"nbf": FAR},                                       {},                           "assertion.nbf"),
    ({"iat": FAR},                                       {},                           "assertion.iat_future"),
    ({"iat": 1_000_000_000},                             {},                           "assertion.iat_old"),
    ({"jti": ...},                                       {},                           "assertion.jti_missing"),
    ({"jti": 7},                                         {},                           "assertion.jti"),
    ({},                                                 {"kid": ...},                 "assertion.kid_missing"),
    ({},                                                 {"kid": "ec-9"},              "jwks.kid_unknown"),
    ({},                                                 {"typ": "at+jwt"},            "assertion.typ"),
    ({},                                                 {"typ": "dpop+jwt"},          "assertion.typ"),
    ({},                                                 {"jku": "https://x.org/k"},   "assertion.jku"),
]  # fmt: skip


@pytest.mark.requirement("ASYM-18", "ASYM-19", "ASYM-20", "TOK-18", "BACK-07")
@EVERYWHERE
@pytest.mark.parametrize(("claims", "header", "rule"), FAULTS)
def test_one_thing_wrong_is_told_in_the_receipt_alone(
    post: Post, everything: Client, made: Make, where: str, claims: dict[str, Any], header: dict[str, Any], rule: str
) -> None:
    assertion = made(claims, **header)
    receipt = assert_refused(show(post, where, assertion), rule)
    assert receipt.fix or receipt.seen
    assert assertion.rpartition(".")[2] not in str(receipt.__dict__)
    assert not AssertionId.objects.exists()


def encrypted() -> str:
    key = OctKey.generate_key(256)
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, json.dumps(claims_at()).encode(), key)


HEADER = {"alg": "ES384", "kid": "ec-1", "typ": "JWT"}
FORMS = [
    # assertion                                                   rule
    ("nonsense",                                                  "assertion.not_jwt"),
    (encrypted(),                                                 "assertion.not_jws"),
    ('{"payload":"e30","protected":"e30","signature":"AA"}',      "assertion.json"),
    (unsigned({**HEADER, "alg": "none"}, claims_at()),            "assertion.alg"),
    (unsigned({**HEADER, "alg": "HS256"}, claims_at()),           "assertion.alg"),
    (unsigned({**HEADER, "crit": ["x"]}, claims_at()),            "assertion.crit"),
    (unsigned(HEADER, b'{"iss": "a", "iss": "bulk-loader"}'),     "assertion.duplicate_member"),
    (unsigned(HEADER, {"a": "a" * 13_000}),                       "assertion.too_large"),
]  # fmt: skip


@pytest.mark.requirement("ASYM-02", "ASYM-18", "ASYM-19", "JWT-01", "JWT-02", "JWT-03", "JWT-06", "JWT-08")
@EVERYWHERE
@pytest.mark.parametrize(("assertion", "rule"), FORMS, ids=[rule for _, rule in FORMS])
def test_what_is_no_signed_jwt_is_refused_the_same_way(
    post: Post, everything: Client, where: str, assertion: str, rule: str
) -> None:
    assert_refused(show(post, where, assertion), rule)


@pytest.mark.requirement("ASYM-02")
def test_several_assertions_are_refused(client: Any, everything: Client, made: Make) -> None:
    body = f"grant_type=client_credentials&client_assertion={made()}&client_assertion={made()}"
    answer = client.post(TOKEN, body, content_type="application/x-www-form-urlencoded")
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert receipt_of(answer).rule == "http.parameter_repeated"
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("ASYM-01", "T-07")
@EVERYWHERE
@pytest.mark.parametrize("kind", ["", "jwt-bearer", "urn:ietf:params:oauth:client-assertion-type:saml2-bearer"])
def test_a_wrong_type_is_refused_although_the_assertion_is_good(
    post: Post, everything: Client, made: Make, where: str, kind: str
) -> None:
    assert_refused(show(post, where, made(), client_assertion_type=kind), "assertion.type")
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("ASYM-17", "ASYM-20", "T-05")
@EVERYWHERE
def test_a_bad_signature_spends_nothing_and_sounds_like_an_unknown_client(
    post: Post, everything: Client, made: Make, where: str
) -> None:
    mallory = generate_key_pair("ES384", kid="ec-1")
    assert_refused(show(post, where, made({"jti": "one"}, pair=mallory)), "assertion.signature")
    assert show(post, where, made({"jti": "one"})).status_code == ENDPOINTS[where][2]


@pytest.mark.requirement("ASYM-16", "ASYM-19")
@EVERYWHERE
@pytest.mark.parametrize("again", ENDPOINTS)
def test_an_assertion_spent_at_one_endpoint_is_spent_at_all(
    post: Post, everything: Client, made: Make, where: str, again: str
) -> None:
    assertion = made()
    assert show(post, where, assertion).status_code == ENDPOINTS[where][2]
    AccessToken.objects.all().delete()
    assert_refused(show(post, again, assertion), "assertion.jti_replayed")


@pytest.mark.requirement("ASYM-22")
@EVERYWHERE
def test_naming_another_client_beside_it_is_refused(post: Post, everything: Client, made: Make, where: str) -> None:
    assert_refused(show(post, where, made(), client_id="mallory"), "client.id_mismatch")
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("ASYM-11")
@pytest.mark.parametrize("status", ["draft", "submitted", "declined", "suspended", "retired"])
def test_a_client_that_may_not_act_is_refused_the_same_way(
    post: Post, everything: Client, made: Make, status: str
) -> None:
    Client.objects.update(status=status)
    rule = "client.suspended" if status == "suspended" else "client.not_approved"
    for where in ENDPOINTS:
        assert_refused(show(post, where, made()), rule)


@pytest.mark.requirement("ASYM-12", "T-06")
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "localhost:8000"])
def test_the_audience_is_what_is_configured_whatever_the_host_header_says(
    post: Post, everything: Client, made: Make, host: str
) -> None:
    for audience in ("http://localhost:8000", "http://localhost:8000/auth/sandbox/token"):
        path, params, _ = ENDPOINTS["client_credentials"]
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": made({"aud": audience})}
        assert_refused(post(path, {**params, **proof}, Host=host), "assertion.aud")
    for audience in (TOKEN_URL, SHORT_TOKEN_URL, ISSUER, [ISSUER]):
        proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": made({"aud": audience})}
        assert post(path, {**params, **proof}, Host=host).status_code == 200


@pytest.mark.requirement("ASYM-14", "T-03")
def test_five_minutes_are_taken_from_a_clock_that_is_a_minute_ahead(post: Post, everything: Client, made: Make) -> None:
    now = int(datetime.now(UTC).timestamp())
    ahead = {"iat": now + 55, "exp": now + 355}
    assert show(post, "client_credentials", made(ahead)).status_code == 200
    assert show(post, "client_credentials", made({"iat": now - 350, "exp": now - 50})).status_code == 200
    AccessToken.objects.all().delete()
    assert_refused(show(post, "client_credentials", made({"exp": now + 400})), "assertion.exp_too_far")


class TestWhereTheKeysAre:
    """By value or by URL, as registered, and never out of the assertion."""

    @pytest.mark.requirement("ASYM-04", "T-01")
    def test_a_single_key_is_no_reason_to_leave_out_its_name(self, post: Post, everything: Client, made: Make) -> None:
        assert len(Client.objects.get().client_jwks["keys"]) == 1
        assert_refused(show(post, "client_credentials", made(kid=...)), "assertion.kid_missing")

    @pytest.mark.requirement("ASYM-10", "JWT-08")
    @EVERYWHERE
    def test_a_key_that_comes_along_is_not_believed(
        self, post: Post, everything: Client, made: Make, jwks_host: JwksHost, where: str
    ) -> None:
        mallory = generate_key_pair("ES384", kid="ec-1")
        jwks_host.publish(mallory.public_jwk)
        for brought in ({"jwk": mallory.public_jwk}, {"x5u": jwks_host.url}, {"x5c": ["AAAA"]}):
            assert_refused(show(post, where, made(pair=mallory, **brought)), "assertion.signature")
        assert_refused(show(post, where, made(pair=mallory, jku=jwks_host.url)), "assertion.jku")
        assert jwks_host.visits == 0

    @pytest.fixture
    def published(self, tenant: TenantInfo, ec: KeyPair, jwks_host: JwksHost) -> JwksHost:
        """The host of a client that is registered with a URL."""
        make_client(service(jwks_uri=jwks_host.url), activate_at=(tenant,))
        jwks_host.publish(ec.public_jwk)
        return jwks_host

    @pytest.mark.requirement("ASYM-06", "ASYM-07", "KEYS-01", "KEYS-03")
    def test_the_registered_url_is_read_once_with_or_without_jku(
        self, post: Post, published: JwksHost, made: Make
    ) -> None:
        for header in ({}, {"jku": published.url}, {}):
            assert show(post, "client_credentials", made(**header)).status_code == 200
        assert published.visits == 1

    @pytest.mark.requirement("ASYM-06", "T-09")
    def test_another_spelling_of_the_url_is_refused_and_both_are_shown(
        self, post: Post, published: JwksHost, made: Make
    ) -> None:
        for other in (f"{published.url}?", published.url.replace("127.0.0.1", "localhost"), f"{published.url}/"):
            receipt = assert_refused(show(post, "client_credentials", made(jku=other)), "assertion.jku")
            assert (receipt.expected, receipt.seen) == (published.url, other)
        assert published.visits == 0

    @pytest.mark.requirement("KEYS-06", "KEYS-07")
    def test_a_private_key_there_lets_nobody_in_and_raises_an_alarm(
        self, post: Post, published: JwksHost, ec: KeyPair, made: Make, caplog: pytest.LogCaptureFixture
    ) -> None:
        published.publish({**ec.public_jwk, "d": "AAAA"})
        receipt = assert_refused(show(post, "client_credentials", made()), "jwks.private_key")
        assert (receipt.client_id, receipt.fix.startswith("Treat that key as lost")) == ("bulk-loader", True)
        assert "AAAA" not in str(receipt.__dict__)
        assert caplog.messages == [f"alarm private-key-published jwks_uri={published.url}"]

    @pytest.mark.requirement("ASYM-08", "T-02")
    def test_two_keys_of_one_name_are_none(self, post: Post, published: JwksHost, ec: KeyPair, made: Make) -> None:
        other = generate_key_pair("ES384", kid="ec-1")
        published.publish(ec.public_jwk, other.public_jwk)
        assert_refused(show(post, "client_credentials", made()), "jwks.kid_ambiguous")
