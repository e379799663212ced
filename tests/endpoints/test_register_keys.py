"""A key set by URL is tried once when a client registers itself: what refuses it, and what is only told.

RFC 7591 §5; RFC 7592 §2.2; SMART 2.2 client-confidential-asymmetric.
"""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse

from clients.initial_tokens import make_initial_token
from clients.key_pairs import KeyPair
from clients.models import Client, InitialAccessToken, KeySet
from clients.tenants import TenantInfo
from smartauth import rates
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.conftest import Configure
from tests.endpoints.test_register import REGISTER, app, send, update

JSON = (("Content-Type", "application/json"),)
SECRET = "c2VjcmV0"


@pytest.fixture
def jwks_host(ec: KeyPair) -> Iterator[JwksHost]:
    with run_jwks_host() as host:
        host.page = Page({"keys": [ec.public_jwk]}, headers=JSON)
        yield host


@pytest.fixture
def initial(tenant: TenantInfo) -> str:
    return make_initial_token(tenants=[tenant], uses=5)


def with_keys(jwks_uri: str, **members: Any) -> dict[str, Any]:
    return app(token_endpoint_auth_method="private_key_jwt", jwks_uri=jwks_uri, **members)


def uses_left() -> int:
    return int(InitialAccessToken.objects.values_list("uses_left", flat=True).get() or 0)


def refused(answer: HttpResponse) -> Receipt:
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_client_metadata")
    assert answer.json()["error_description"] == "jwks_uri is not acceptable"
    receipt: Receipt = Receipt.objects.latest("at")
    assert receipt.rule == "registration.jwks_uri"
    return receipt


@pytest.mark.requirement("REG-09")
def test_a_good_key_set_is_fetched_once_and_nothing_is_said(jwks_host: JwksHost, initial: str):
    answer = send("POST", REGISTER, with_keys(jwks_host.url), initial)
    assert answer.status_code == 201
    assert "jwks_uri_problems" not in answer.json()
    assert jwks_host.visits == 1
    assert not KeySet.objects.exists()
    assert "jwks_uri_problems" not in AuditRecord.objects.get(action="register").details


@pytest.mark.requirement("REG-09")
@pytest.mark.parametrize(
    ("page", "rule"),
    [
        (Page(status=503), "jwks.status"),
        (Page(b"<html>", headers=JSON), "jwks.not_json"),
        (Page({"keys": []}, headers=JSON), "jwks.no_usable_key"),
        (Page({"keys": [{"kty": "EC", "kid": "a"}]}, headers=JSON), "jwks.key_malformed"),
    ],
)
def test_what_may_be_mended_later_is_told_and_refuses_nothing(jwks_host: JwksHost, initial: str, page: Page, rule):
    jwks_host.page = page
    answer = send("POST", REGISTER, with_keys(jwks_host.url), initial)
    assert answer.status_code == 201
    problem = answer.json()["jwks_uri_problems"][0]
    assert problem["rule"] == rule
    assert {"reason", "fix"} <= set(problem)
    assert rule in AuditRecord.objects.get(action="register").details["jwks_uri_problems"]


def test_a_host_that_is_not_up_yet_does_not_stand_in_the_way(initial: str):
    with run_jwks_host() as host:
        url = host.url
    answer = send("POST", REGISTER, with_keys(url), initial)
    assert answer.status_code == 201
    assert [one["rule"] for one in answer.json()["jwks_uri_problems"]] == ["jwks.unreachable"]


@pytest.mark.requirement("REG-09", "KEYS-06")
@pytest.mark.parametrize("key", [{"kty": "EC", "kid": "a", "d": SECRET}, {"kty": "oct", "kid": "a", "k": SECRET}])
def test_a_published_private_key_refuses_and_uses_no_token_up(jwks_host: JwksHost, initial: str, key):
    jwks_host.page = Page({"keys": [key]}, headers=JSON)
    receipt = refused(send("POST", REGISTER, with_keys(jwks_host.url), initial))
    assert "private" in receipt.reason or "symmetric" in receipt.reason
    assert receipt.fix
    assert SECRET not in receipt.reason + receipt.seen + receipt.officer
    assert not Client.objects.exists()
    assert uses_left() == 5


@pytest.mark.requirement("REG-09", "KEYS-05")
def test_a_name_of_a_private_address_refuses(configure: Configure, initial: str):
    configure(mode="production")
    receipt = refused(send("POST", REGISTER, with_keys("https://localhost/jwks.json"), initial))
    assert "public address" in receipt.reason
    assert not Client.objects.exists()
    assert uses_left() == 5


@pytest.mark.parametrize("token", ["not-one-of-ours", "used up"])
def test_nobody_without_a_token_makes_us_fetch(jwks_host: JwksHost, initial: str, token):
    if token == "used up":
        InitialAccessToken.objects.update(uses_left=0)
        token = initial
    assert send("POST", REGISTER, with_keys(jwks_host.url), token).status_code == 401
    assert jwks_host.visits == 0


def test_metadata_that_is_refused_anyway_fetches_nothing(jwks_host: JwksHost, initial: str):
    assert send("POST", REGISTER, with_keys(jwks_host.url, client_name=7), initial).status_code == 400
    assert jwks_host.visits == 0


def test_a_token_may_have_a_few_key_sets_tried_in_a_minute(jwks_host: JwksHost, initial: str, monkeypatch):
    monkeypatch.setattr(rates, "TRIALS", 2)
    InitialAccessToken.objects.update(uses_left=None)
    for _ in range(rates.TRIALS):
        assert send("POST", REGISTER, with_keys(jwks_host.url), initial).status_code == 201
    answer = send("POST", REGISTER, with_keys(jwks_host.url), initial)
    assert answer.status_code == 429
    assert 1 <= int(answer["Retry-After"]) <= 30
    receipt = Receipt.objects.latest("at")
    assert (receipt.rule, receipt.reason) == (
        "rate.credential",
        "one credential may have a key set fetched 2 times a minute",
    )
    assert jwks_host.visits == rates.TRIALS
    assert send("POST", REGISTER, app(), initial).status_code == 201  # Without a key set there is nothing to try.


# An update


@pytest.fixture
def registered(jwks_host: JwksHost, initial: str) -> dict[str, Any]:
    told: dict[str, Any] = send("POST", REGISTER, with_keys(jwks_host.url), initial).json()
    jwks_host.requests.clear()
    return told


@pytest.mark.requirement("REG-09")
def test_an_update_tries_a_new_key_set_only(jwks_host: JwksHost, registered: dict[str, Any]):
    told = update(registered, with_keys(jwks_host.url)).json()
    assert jwks_host.visits == 0
    jwks_host.page = Page(status=503)
    answer = update(told, with_keys(f"{jwks_host.url}?new"))
    assert answer.status_code == 200
    assert [one["rule"] for one in answer.json()["jwks_uri_problems"]] == ["jwks.status"]
    assert jwks_host.visits == 1
    assert AuditRecord.objects.latest("id").details["jwks_uri_problems"] == "jwks.status"


@pytest.mark.requirement("REG-09")
def test_an_update_to_a_published_private_key_refuses_and_changes_nothing(jwks_host, registered: dict[str, Any]):
    jwks_host.page = Page({"keys": [{"kty": "oct", "kid": "a", "k": SECRET}]}, headers=JSON)
    refused(update(registered, with_keys(f"{jwks_host.url}?new")))
    assert Client.objects.get().client_jwks_uri == jwks_host.url
    assert update(registered, with_keys(jwks_host.url)).status_code == 200  # The token is still good.


@pytest.mark.parametrize("status", ["suspended", "declined", "retired"])
def test_a_client_that_was_stopped_makes_us_fetch_nothing(jwks_host: JwksHost, registered: dict[str, Any], status):
    Client.objects.update(status=status)
    assert update(registered, with_keys(f"{jwks_host.url}?new")).status_code in (401, 403)
    assert update(registered, with_keys(f"{jwks_host.url}?new"), token="wrong").status_code == 401
    assert jwks_host.visits == 0


@pytest.mark.django_db(transaction=True)
def test_no_registration_waits_for_a_host_inside_a_transaction(jwks_host: JwksHost, initial: str):
    told = send("POST", REGISTER, with_keys(jwks_host.url), initial)
    assert told.status_code == 201
    assert update(told.json(), with_keys(f"{jwks_host.url}?new")).status_code == 200
    assert jwks_host.visits == 2
    assert not connection.in_atomic_block


# Keys by value


@pytest.mark.requirement("REG-08")
def test_keys_by_value_change_by_the_owner_only_and_each_change_is_recorded(ec: KeyPair, rsa: KeyPair, initial: str):
    def with_value(pair: KeyPair) -> dict[str, Any]:
        return app(token_endpoint_auth_method="private_key_jwt", jwks=pair.jwks)

    told = send("POST", REGISTER, with_value(ec), initial).json()
    assert told["jwks"] == ec.jwks
    for token in ("wrong", initial, ""):
        assert update(told, with_value(rsa), token=token).status_code == 401
    assert Client.objects.get().client_jwks == ec.jwks
    assert update(told, with_value(rsa)).json()["jwks"] == rsa.jwks
    records = AuditRecord.objects.filter(client_id=told["client_id"], action="register").order_by("id")
    # Each time the owner is reminded to send new keys, too.
    acts = Counter(records.values_list("rule", flat=True))
    assert acts == {"client.registered": 1, "client.updated": 1, "client.keys_by_value": 2}
