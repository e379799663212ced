"""What a caller puts into the wrong place is not kept: no live signature, secret, key, code or token in any record.

The words of design and receipts promise it; here whole tables are read for it.  Source: RFC 6749 §10.10; RFC 9700 §4.
"""

import json
import logging
from datetime import UTC, datetime

import pytest
from django.apps import apps
from django.core.serializers.json import DjangoJSONEncoder
from django.http import HttpResponse
from django.test import Client as Browser

from clients.key_pairs import KeyPair
from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.receipts.models import Receipt
from tests.endpoints.conftest import Post
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.factories import ASSERTION_TYPE, claims_at, make_client, service, signed, web_app

CODE = {"grant_type": "authorization_code", "redirect_uri": "https://cardio.example.org/callback"}
# Every parameter something may be pasted into, and the request it belongs to.
PLACES = [
    # path        the request                                            the parameter that gets it
    (TOKEN,       GRANT,                                                 "client_id"),
    (TOKEN,       GRANT,                                                 "client_assertion"),
    (TOKEN,       GRANT,                                                 "client_assertion_type"),
    (TOKEN,       GRANT,                                                 "client_secret"),
    (TOKEN,       GRANT,                                                 "grant_type"),
    (TOKEN,       GRANT,                                                 "scope"),
    (TOKEN,       GRANT,                                                 "resource"),
    (TOKEN,       GRANT,                                                 "aud"),
    (TOKEN,       CODE | {"client_id": "growth-chart"},                  "code"),
    (TOKEN,       CODE | {"client_id": "growth-chart", "code": "x"},     "redirect_uri"),
    (TOKEN,       CODE | {"client_id": "growth-chart", "code": "x"},     "code_verifier"),
    (TOKEN,       {"grant_type": "refresh_token"},                       "refresh_token"),
    (INTROSPECT,  {"token": "x"},                                        "client_id"),
    (INTROSPECT,  {},                                                    "token"),
    (REVOKE,      {"token": "x"},                                        "token_type_hint"),
    (REVOKE,      {},                                                    "token"),
]  # fmt: skip
# What is a word there has no shape by which it could be told from a secret, and whoever wrote it must read it.
UNKNOWABLE = {("scope", "secret"), ("prompt", "secret")}
HEADERS = ["Bearer {}", "Basic {}", "DPoP {}", "Token {}", "{}"]


@pytest.fixture
def secrets(tenant: TenantInfo, ec: KeyPair) -> dict[str, str]:
    """What must be found nowhere, by name: the text that is sent."""
    make_client(service(jwks=ec.jwks), activate_at=(tenant,))
    registered = make_client(web_app(), activate_at=(tenant,))
    assert registered.secret
    make_client(web_app(client_id="growth-chart", token_endpoint_auth_method="none"), activate_at=(tenant,))
    return {
        "assertion": signed(ec, claims_at(datetime.now(UTC))),
        "short assertion": signed(ec, {"iss": "b", "sub": "b", "exp": int(datetime.now(UTC).timestamp()) + 60}),
        "secret": registered.secret,
        "pem": str(ec.private_pem, "ascii"),
    }


def kept() -> str:
    """Return all that receipts and audit have written, and what the registry keeps beside its own facts."""
    rows = [
        list(model.objects.values())
        for label in ("receipts", "audit")
        for model in apps.get_app_config(label).get_models()
    ]
    return json.dumps(rows, cls=DjangoJSONEncoder)


def telling(name: str, text: str) -> list[str]:
    """Return the parts of a text that give it away: the signature of an assertion, all of a secret, lines of a key."""
    if "assertion" in name:
        return [text.rpartition(".")[2]]
    return text.splitlines()[1:-1] if name == "pem" else [text]


def send(post: Post, path: str, params: dict[str, str], name: str, text: str) -> HttpResponse:
    extra = {"client_assertion_type": ASSERTION_TYPE} if name == "client_assertion" else {}
    return post(path, {**params, **extra, name: text})


@pytest.mark.parametrize("what", ["assertion", "short assertion", "secret", "pem"])
@pytest.mark.parametrize(("path", "params", "name"), PLACES, ids=[f"{path} {name}" for path, _, name in PLACES])
def test_what_stands_in_the_wrong_place_is_not_written_down(
    what: str,
    path: str,
    params: dict[str, str],
    name: str,
    secrets: dict[str, str],
    post: Post,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    answer = send(post, path, params, name, secrets[what])
    assert answer.headers["X-Trace-Id"]
    told = kept() + caplog.text + str(answer.content)
    for piece in telling(what, secrets[what]):
        assert piece[:64] not in told


@pytest.mark.parametrize("what", ["assertion", "secret", "pem"])
@pytest.mark.parametrize("written", HEADERS)
@pytest.mark.parametrize("path", [TOKEN, INTROSPECT, "/fhir/sandbox/r4/Patient"])
def test_a_header_is_not_written_down(
    what: str, written: str, path: str, secrets: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    value = written.format(secrets[what].replace("\n", " "))
    Browser().post(path, GRANT, headers={"Authorization": value})
    assert Receipt.objects.exists()
    told = kept() + caplog.text
    for piece in telling(what, secrets[what]):
        assert piece[:64] not in told


@pytest.mark.parametrize("name", ["client_id", "redirect_uri", "scope", "aud", "launch", "code_challenge", "prompt"])
@pytest.mark.parametrize("what", ["assertion", "secret", "pem"])
def test_a_parameter_at_authorize_is_not_written_down(what: str, name: str, secrets: dict[str, str]) -> None:
    good = {
        "client_id": "growth-chart",
        "redirect_uri": "https://cardio.example.org/callback",
        "response_type": "code",
        "scope": "launch/patient patient/*.rs",
        "aud": "http://127.0.0.1:8000/fhir/sandbox/r4",
        "state": "s",
        "code_challenge": "c" * 43,
        "code_challenge_method": "S256",
    }
    if (name, what) in UNKNOWABLE:
        return
    Browser().get("/auth/sandbox/authorize", {**good, name: secrets[what]})
    assert Receipt.objects.exists()
    told = kept()
    for piece in telling(what, secrets[what]):
        assert piece[:64] not in told


@pytest.mark.parametrize("name", ["scope", "resource", "aud", "grant_type"])
@pytest.mark.parametrize("what", ["short assertion", "secret", "pem"])
def test_a_client_that_proved_itself_is_not_quoted_either(
    what: str, name: str, secrets: dict[str, str], post: Post, ec: KeyPair
) -> None:
    if (name, what) in UNKNOWABLE:
        return
    proof = {
        "client_assertion_type": ASSERTION_TYPE,
        "client_assertion": signed(ec, claims_at(datetime.now(UTC))),
    }
    assert post(TOKEN, {**GRANT, **proof, name: secrets[what]}).status_code >= 400
    told = kept()
    for piece in [*telling(what, secrets[what]), *telling("assertion", proof["client_assertion"])]:
        assert piece[:64] not in told


def test_a_client_whose_id_looks_like_a_secret_is_still_known_by_it(post: Post, tenant: TenantInfo) -> None:
    odd = "A" * 43
    make_client(web_app(client_id=odd, token_endpoint_auth_method="none"), activate_at=(tenant,))
    Client.objects.filter(client_id=odd).update(status="suspended")
    post(TOKEN, {**CODE, "code": "x", "client_id": odd})
    assert Receipt.objects.get().client_id == odd
