"""Who is asking: each method alone, as registered, and one public answer for every cause.

Source: RFC 6749 §2.3; RFC 7617 §2; RFC 7521 §4.2; SMART 2.2 client-confidential-symmetric.
"""

import base64
from urllib.parse import quote_plus

import pytest

from clients.authentication import ASSERTION_TYPE, authenticate_client
from clients.key_pairs import KeyPair
from clients.models import AssertionId, Client
from smartauth.context import new_context
from smartauth.digests import digest
from smartauth.errors import InvalidClient, InvalidRequest
from tests.factories import AUDIENCES, NOW, claims_at, make_client, phone_app, service, signed, web_app


def authenticate(params=None, *, authorization="", context=None):
    headers = {"Authorization": authorization} if authorization else {}
    return authenticate_client(
        headers, params or {}, audiences=lambda client: AUDIENCES, context=context or new_context(), now=NOW
    )


def refused(params=None, **options) -> InvalidClient:
    with pytest.raises(InvalidClient) as error:
        authenticate(params, **options)
    assert error.value.description == "Client authentication failed"
    assert error.value.status == 401
    return error.value


def basic(client_id: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def with_assertion(assertion: str, **params: str) -> dict[str, str]:
    return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion} | params


@pytest.fixture
def secret(db) -> str:
    registered = make_client(web_app())
    assert registered.secret
    return registered.secret


@pytest.fixture
def bulk_loader(db, ec: KeyPair) -> Client:
    return make_client(service(jwks=ec.jwks)).client


def test_a_public_client_is_named_by_client_id(db):
    make_client(phone_app())
    context = new_context()
    assert authenticate({"client_id": "growth-chart"}, context=context).token_endpoint_auth_method == "none"
    assert context.client_id == "growth-chart"


@pytest.mark.requirement("REG-05")
@pytest.mark.requirement("TOK-05", "T-62")
def test_a_confidential_client_cannot_pass_for_a_public_one(secret, bulk_loader):
    for client_id in ("cardio", "bulk-loader"):
        assert refused({"client_id": client_id}).refusal.rule == "client.auth_method"


def test_nobody_named_is_refused(db):
    assert refused({}).refusal.rule == "client.missing"


@pytest.mark.parametrize("client_id", ["nobody", "a b", "a\x00b", "é", "c" * 300])
def test_unknown_ids_are_refused_whatever_their_characters(db, client_id):
    assert refused({"client_id": client_id}).refusal.rule == "client.unknown"
    error = refused(authorization=basic(client_id, "secret"))
    assert (error.refusal.rule, error.basic) == ("client.unknown", True)


@pytest.mark.requirement("SYM-01")
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_the_secret_authenticates_with_basic(secret, scheme):
    context = new_context()
    authorization = basic("cardio", secret).replace("Basic", scheme)
    assert authenticate(authorization=authorization, context=context).client_id == "cardio"
    assert context.client_id == "cardio"


@pytest.mark.requirement("TOK-08")
def test_basic_with_the_same_client_id_in_the_body_is_one_method(secret):
    assert authenticate({"client_id": "cardio"}, authorization=basic("cardio", secret))
    error = refused({"client_id": "mallory"}, authorization=basic("cardio", secret))
    assert (error.refusal.rule, error.basic) == ("client.id_mismatch", True)
    error = refused({"client_id": secret}, authorization=basic("cardio", secret))
    assert (error.refusal.rule, secret in error.refusal.seen) == ("client.id_mismatch", False)


@pytest.mark.requirement("SYM-02", "SYM-03", "T-63")
def test_form_encoded_and_raw_secrets_both_work_and_the_first_colon_separates(secret):
    odd = "a%2Bb:c+d/é"
    Client.objects.filter(client_id="cardio").update(client_secret=digest(odd))
    assert authenticate(authorization=basic("cardio", odd))
    assert authenticate(authorization=basic("cardio", quote_plus(odd)))
    assert refused(authorization=basic("cardio", "a+b:c d/é")).refusal.rule == "client.secret"


def test_both_secrets_of_a_rotation_work(secret):
    Client.objects.filter(client_id="cardio").update(
        previous_client_secret=digest(secret), client_secret=digest("the new one")
    )
    assert authenticate(authorization=basic("cardio", secret))
    assert authenticate(authorization=basic("cardio", "the new one"))


@pytest.mark.requirement("SYM-03")
@pytest.mark.parametrize(
    ("authorization", "rule", "is_basic"),
    [
        (basic("cardio", "wrong"), "client.secret", True),
        (basic("cardio", ""), "client.secret_empty", True),
        (basic("cardio", "s" * 2_000), "client.basic_malformed", True),
        ("Basic", "client.basic_malformed", True),
        ("Basic %%%", "client.basic_malformed", True),
        ("Basic " + base64.b64encode(b"cardio").decode(), "client.basic_malformed", True),
        ("Basic " + base64.b64encode(b"cardio:\xff\xfe").decode(), "client.basic_malformed", True),
        ("Basic " + base64.b64encode(b"cardio:secret").decode().rstrip("=")[:-1], "client.basic_malformed", True),
        ("Bearer abc", "client.auth_scheme", True),
    ],
)
def test_bad_basic_credentials_are_refused(secret, authorization, rule, is_basic):
    error = refused(authorization=authorization)
    assert (error.refusal.rule, error.basic) == (rule, is_basic)
    assert "wrong" not in error.refusal.seen


@pytest.mark.parametrize(
    ("authorization", "seen"),
    [
        ("Bearer abc", "Bearer"),
        ("digest abc", "digest"),
        ("DPoP abc", "DPoP"),
        ("Negotiate abc", "Negotiate"),
        (basic("cardio", "secret12345").removeprefix("Basic "), "another word, not repeated here"),
        ("cardio:secret12345", "another word, not repeated here"),
        (basic("cardio", "secret12345").replace(" ", ""), "another word, not repeated here"),
        (basic("cardio", "secret12345").replace(" ", "\t"), "another word, not repeated here"),
    ],
)
def test_a_credential_without_its_scheme_does_not_reach_the_receipt(db, authorization, seen):
    error = refused(authorization=authorization)
    assert (error.refusal.rule, error.refusal.seen, error.basic) == ("client.auth_scheme", seen, True)


@pytest.mark.requirement("SYM-08")
def test_an_empty_secret_never_authenticates_not_even_a_public_client(db):
    make_client(phone_app())
    error = refused(authorization=basic("growth-chart", ""))
    assert (error.refusal.rule, error.basic) == ("client.auth_method", True)


@pytest.mark.requirement("TOK-07")
def test_a_client_with_keys_cannot_use_a_secret(bulk_loader):
    assert refused(authorization=basic("bulk-loader", "anything")).refusal.rule == "client.auth_method"


class TestSecretInTheBody:
    """client_secret_post, for the clients that are registered for it and for no other."""

    @pytest.fixture
    def secret(self, db) -> str:
        registered = make_client(web_app(token_endpoint_auth_method="client_secret_post"))
        assert registered.secret
        assert registered.client.client_secret == digest(registered.secret)
        return registered.secret

    @pytest.mark.requirement("SYM-04")
    def test_it_authenticates_a_client_registered_for_it(self, secret):
        context = new_context()
        assert authenticate({"client_id": "cardio", "client_secret": secret}, context=context).client_id == "cardio"
        assert context.client_id == "cardio"

    def test_both_secrets_of_a_rotation_work(self, secret):
        Client.objects.update(previous_client_secret=digest(secret), client_secret=digest("the new one"))
        for one in (secret, "the new one"):
            assert authenticate({"client_id": "cardio", "client_secret": one})

    WRONG = [
        ({"client_id": "cardio"}, "client.auth_method"),
        ({"client_id": "cardio", "client_secret": "wrong"}, "client.secret"),
        ({"client_id": "cardio", "client_secret": "a%20b"}, "client.secret"),
        ({"client_id": "cardio", "client_secret": "s" * 2_000}, "client.secret"),
        ({"client_id": "nobody", "client_secret": "wrong"}, "client.unknown"),
        ({"client_secret": "wrong"}, "client.missing"),
    ]

    @pytest.mark.parametrize(("params", "rule"), WRONG)
    def test_anything_else_is_refused_without_a_challenge(self, secret, params, rule):
        error = refused(params)
        assert (error.refusal.rule, error.basic) == (rule, False)
        assert "wrong" not in error.refusal.seen

    def test_an_encoded_secret_is_not_decoded_twice(self, secret):
        Client.objects.update(client_secret=digest("a b"))
        assert refused({"client_id": "cardio", "client_secret": "a+b"}).refusal.rule == "client.secret"
        assert authenticate({"client_id": "cardio", "client_secret": "a b"})

    def test_the_header_is_not_its_method(self, secret):
        assert refused(authorization=basic("cardio", secret)).refusal.rule == "client.auth_method"

    @pytest.mark.requirement("SYM-04", "TOK-07")
    def test_it_is_no_method_of_other_clients(self, db, ec: KeyPair):
        registered = make_client(web_app(client_id="with-header"))
        make_client(phone_app())
        make_client(service(jwks=ec.jwks))
        for client_id in ("with-header", "growth-chart", "bulk-loader"):
            error = refused({"client_id": client_id, "client_secret": registered.secret})
            assert (error.refusal.rule, error.refusal.seen) == ("client.auth_method", "client_secret_post")


@pytest.mark.requirement("TOK-06")
@pytest.mark.parametrize(
    "params",
    [
        {"client_secret": "s"},
        {"client_assertion": "a", "client_assertion_type": ASSERTION_TYPE},
        {"client_assertion_type": ASSERTION_TYPE},
    ],
)
def test_two_methods_are_an_invalid_request(secret, params):
    with pytest.raises(InvalidRequest) as error:
        authenticate(params, authorization=basic("cardio", secret))
    assert error.value.refusal.rule == "client.two_methods"


@pytest.mark.requirement("TOK-06")
def test_a_secret_beside_an_assertion_is_an_invalid_request(bulk_loader, ec: KeyPair):
    with pytest.raises(InvalidRequest) as error:
        authenticate(with_assertion(signed(ec, claims_at()), client_secret="s"))
    assert error.value.refusal.rule == "client.two_methods"
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("TOK-08", "ASYM-22")
def test_an_assertion_authenticates(bulk_loader, ec: KeyPair):
    context = new_context()
    assert authenticate(with_assertion(signed(ec, claims_at())), context=context).client_id == "bulk-loader"
    assert context.client_id == "bulk-loader"
    assert authenticate(with_assertion(signed(ec, claims_at()), client_id="bulk-loader"))


@pytest.mark.requirement("ASYM-01", "T-07")
@pytest.mark.parametrize(
    ("params", "rule"),
    [
        ({"client_assertion": "a.b.c"}, "assertion.type"),
        ({"client_assertion": "a.b.c", "client_assertion_type": "jwt-bearer"}, "assertion.type"),
        ({"client_assertion": "a.b.c", "client_assertion_type": f"{ASSERTION_TYPE} "}, "assertion.type"),
        ({"client_assertion_type": ASSERTION_TYPE}, "assertion.missing"),
        (with_assertion("a.b.c"), "assertion.not_jwt"),
    ],
)
def test_an_assertion_comes_with_its_type(db, params, rule):
    assert refused(params).refusal.rule == rule


@pytest.mark.requirement("TOK-08", "ASYM-22")
def test_client_id_must_be_the_sub(bulk_loader, ec: KeyPair):
    params = with_assertion(signed(ec, claims_at()), client_id="cardio")
    assert refused(params).refusal.rule == "client.id_mismatch"
    params = with_assertion(signed(ec, claims_at()), client_id="s" * 43)  # In the shape of a secret.
    assert "sss" not in refused(params).refusal.seen
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("TOK-07")
def test_a_client_with_a_secret_cannot_use_an_assertion(secret, ec: KeyPair):
    assertion = signed(ec, claims_at(iss="cardio", sub="cardio"))
    assert refused(with_assertion(assertion)).refusal.rule == "client.auth_method"


@pytest.mark.requirement("ASYM-20")
def test_an_unknown_client_is_told_no_more_than_a_bad_signature(bulk_loader, ec: KeyPair, rsa: KeyPair):
    unknown = refused(with_assertion(signed(ec, claims_at(iss="nobody", sub="nobody"))))
    assert unknown.refusal.rule == "client.unknown"
    wrong = refused(with_assertion(signed(rsa, claims_at())))
    assert (unknown.code, unknown.status, unknown.description) == (wrong.code, wrong.status, wrong.description)


STATUSES = [
    ("draft", "client.not_approved"),
    ("submitted", "client.not_approved"),
    ("declined", "client.not_approved"),
    ("retired", "client.not_approved"),
    ("suspended", "client.suspended"),
]


@pytest.mark.requirement("ASYM-11", "TOK-24")
@pytest.mark.parametrize(("status", "rule"), STATUSES)
def test_only_approved_clients_get_in_by_any_method(secret, bulk_loader, ec: KeyPair, status, rule):
    make_client(phone_app())
    Client.objects.update(status=status)
    assert refused({"client_id": "growth-chart"}).refusal.rule == rule
    assert refused(authorization=basic("cardio", secret)).refusal.rule == rule
    assert refused(with_assertion(signed(ec, claims_at()))).refusal.rule == rule
    assert not AssertionId.objects.exists()


def test_the_claimed_client_is_noted_for_the_receipt(secret, bulk_loader, ec: KeyPair):
    for params, authorization, claimed in (
        ({"client_id": "nobody"}, "", "nobody"),
        ({}, basic("cardio", "wrong"), "cardio"),
        (with_assertion(signed(ec, claims_at(aud="elsewhere"))), "", "bulk-loader"),
        ({"client_id": "not an id"}, "", ""),
    ):
        context = new_context()
        refused(params, authorization=authorization, context=context)
        assert context.client_id == claimed
