"""Too much, too often: 429 with Retry-After, by address and by client, and nobody locked out by another's guesses.

RFC 6749 §10.10; RFC 9126 §2.3; RFC 6585 §4.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth import rates
from smartauth.people.models import User
from smartauth.rates import Buckets
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.conftest import Service
from tests.endpoints.test_token_client_credentials import rule_of
from tests.factories import make_client, phone_app

TOKEN, INTROSPECT, REVOKE = "/auth/sandbox/token", "/auth/sandbox/introspect", "/auth/sandbox/revoke"
FORM = "application/x-www-form-urlencoded"
HERE, THERE = "198.51.100.1", "198.51.100.2"
Ask = Callable[..., Any]


@pytest.fixture(autouse=True)
def anew(configure: Configure) -> None:
    """Two requests a minute, and none of those made by other tests."""
    rates.forget()
    configure(rate_per_address=2, rate_per_client=3)


@pytest.fixture
def ask(tenant: TenantInfo) -> Ask:
    """Send a form from an address."""

    def send(path: str, address: str = HERE, method: str = "POST", **params: str) -> Any:
        body = "&".join(f"{name}={value}" for name, value in params.items())
        return Browser().generic(method, path, body, content_type=FORM, REMOTE_ADDR=address)

    return send


def assert_too_many(answer: Any, rule: str, within: int) -> None:
    assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable"), answer.content
    assert 1 <= int(answer.headers["Retry-After"]) <= within
    assert answer.headers["Cache-Control"] == "no-store"
    assert rule_of(answer) == rule


@pytest.mark.requirement("HDR-15")
@pytest.mark.parametrize("path", [TOKEN, "/auth/token", INTROSPECT, REVOKE])
def test_an_address_that_proves_nothing_is_asked_to_wait(ask: Ask, path: str) -> None:
    for _ in range(2):
        assert ask(path, client_id="nobody", token="x", grant_type="authorization_code").status_code in (400, 401)
    assert_too_many(ask(path, client_id="nobody", token="x"), "rate.address", 30)
    assert ask(path, THERE, token="x").status_code in (400, 401)


@pytest.mark.requirement("HDR-15")
def test_an_address_is_asked_to_wait_whatever_was_wrong(ask: Ask) -> None:
    assert ask(TOKEN, method="GET").status_code == 405
    assert ask(TOKEN, grant_type="x").status_code == 400
    assert_too_many(ask(TOKEN, grant_type="x"), "rate.address", 30)


@pytest.mark.requirement("HDR-15")
def test_wrong_guesses_use_up_nothing_of_the_client(ask: Ask, bulk_loader: Service) -> None:
    guess = {"client_id": "bulk-loader", "client_assertion_type": "x", "client_assertion": "x"}
    for _ in range(10):
        ask(TOKEN, THERE, grant_type="client_credentials", **guess)
    assert ask(TOKEN, THERE, grant_type="client_credentials", **guess).status_code == 429
    answer = ask(TOKEN, grant_type="client_credentials", scope="system/*.rs", **bulk_loader.credentials())
    assert answer.status_code == 200


@pytest.mark.requirement("HDR-15")
def test_a_client_that_proves_itself_is_counted_by_itself_wherever_it_is(ask: Ask, bulk_loader: Service) -> None:
    def token(address: str) -> Any:
        proof = bulk_loader.credentials()
        return ask(TOKEN, address, grant_type="client_credentials", scope="system/*.rs", **proof)

    for address in (HERE, HERE, THERE):
        assert token(address).status_code == 200
    assert_too_many(token(THERE), "rate.client", 20)
    # What it was granted, or was told to wait for, took nothing from the others at its addresses.
    assert ask(TOKEN, HERE, grant_type="x").status_code == 400
    assert ask(INTROSPECT, HERE, token="x", **bulk_loader.credentials()).status_code == 200


@pytest.mark.requirement("HDR-15")
def test_whoever_shows_a_token_is_counted_by_it(ask: Ask, get_token: Callable[..., str], bulk_loader: Service) -> None:
    token = get_token(bulk_loader)

    def userinfo() -> Any:
        return Browser().get("/auth/sandbox/userinfo", REMOTE_ADDR=HERE, headers={"Authorization": f"Bearer {token}"})

    for _ in range(3):
        assert userinfo().status_code == 403
    assert_too_many(userinfo(), "rate.client", 20)
    assert ask("/auth/sandbox/userinfo", HERE).status_code == 401


@pytest.mark.requirement("HDR-15")
def test_a_public_client_is_counted_by_address(ask: Ask, tenant: TenantInfo) -> None:
    make_client(phone_app(), activate_at=(tenant,))
    stolen = {"grant_type": "authorization_code", "client_id": "growth-chart", "code": "x"}
    for _ in range(2):
        assert ask(TOKEN, HERE, **stolen).status_code == 400
    assert_too_many(ask(TOKEN, HERE, **stolen), "rate.address", 30)
    assert ask(TOKEN, THERE, **stolen).json()["error"] == "invalid_grant"


NETWORKS = [
    # an address                another                  counted as one
    ("2001:db8:1:2::1",        "2001:db8:1:2:ffff::9",  True),
    ("2001:db8:1:2::1",        "2001:db8:1:3::1",       False),
    ("::ffff:198.51.100.1",    "198.51.100.1",          True),
    ("198.51.100.1",           "198.51.100.2",          False),
]  # fmt: skip


@pytest.mark.requirement("HDR-15")
@pytest.mark.parametrize(("one", "other", "same"), NETWORKS)
def test_whoever_has_a_network_of_ipv6_has_one_rate(ask: Ask, one: str, other: str, same: bool) -> None:
    for _ in range(3):
        answer = ask(TOKEN, one, grant_type="x")
    assert answer.status_code == 429
    assert (ask(TOKEN, other, grant_type="x").status_code == 429) is same


@pytest.mark.requirement("HDR-15")
def test_the_authorization_endpoint_answers_with_a_page(tenant: TenantInfo) -> None:
    for _ in range(2):
        assert Browser().get("/auth/sandbox/authorize", REMOTE_ADDR=HERE).status_code == 400
    answer = Browser().get("/auth/sandbox/authorize", REMOTE_ADDR=HERE)
    assert answer.status_code == 429
    assert 1 <= int(answer.headers["Retry-After"]) <= 30
    assert answer.headers["Content-Type"].startswith("text/html")
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "rate.address"
    assert Browser().get("/auth/sandbox/authorize", REMOTE_ADDR=THERE).status_code == 400


@pytest.mark.requirement("HDR-15")
def test_signing_in_is_tried_so_often_and_no_more(db: None, settings: Any) -> None:
    cache.clear()
    settings.ACCOUNT_RATE_LIMITS = settings.ACCOUNT_RATE_LIMITS | {"login": "2/m/ip"}
    User.objects.create_user("ana", password="correct horse battery staple")
    for _ in range(2):
        assert _sign_in("ana").status_code == 200
    answer = _sign_in("ana")
    assert (answer.status_code, answer.headers["Retry-After"]) == (429, "60")
    assert answer.headers["X-Trace-Id"] in answer.content.decode()
    assert _sign_in("ana", THERE).status_code == 200
    cache.clear()


@pytest.mark.requirement("HDR-15")
def test_passwords_of_one_user_are_guessed_so_often_and_no_more(db: None) -> None:
    cache.clear()
    User.objects.create_user("ana", password="correct horse battery staple")
    statuses = [_sign_in("ana").status_code for _ in range(6)]
    assert statuses == [200, 200, 200, 200, 200, 429]
    assert _sign_in("ana").headers["Retry-After"] == "300"
    assert _sign_in("ben").status_code == 200
    assert _sign_in("ana", THERE).status_code == 200  # Whoever guesses stops themselves, not the person.
    cache.clear()


def _sign_in(login: str, address: str = HERE) -> Any:
    return Browser().post("/account/login/", {"login": login, "password": "wrong"}, REMOTE_ADDR=address)


def test_a_rate_is_a_minutes_worth_at_once_refilled_evenly() -> None:
    buckets = Buckets()
    assert [buckets.seconds_to_wait("a", 60, 0.0) for _ in range(60)] == [0.0] * 60
    assert buckets.seconds_to_wait("a", 60, 0.0) == 1.0
    assert buckets.seconds_to_wait("b", 60, 0.0) == 0.0
    assert buckets.seconds_to_wait("a", 60, 1.0, take=False) == 0.0
    assert buckets.seconds_to_wait("a", 60, 1.0) == 0.0
    assert buckets.seconds_to_wait("a", 60, 1.5) == 0.5
