"""Secrets at every endpoint that takes one.  RFC 6749 §2.3.1, §5.2 and §10.10; RFC 7617 §2; RFC 6585 §4."""

import base64
import hmac
from typing import Any

import pytest
from django.db import IntegrityError, transaction
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.guesses import AT_ONCE
from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.models import AccessToken
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, launch, make_app
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_revoke import REVOKE
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.token_requests import basic, redemption
from tests.factories import web_app

CODE = {"grant_type": "authorization_code", "code": "made-up", "redirect_uri": "https://x.example.org/"}
REFRESH = {"grant_type": "refresh_token", "refresh_token": "made-up"}
ENDPOINTS = {
    # where: path, its other parameters, the answer once the client is known
    "authorization_code": (TOKEN, CODE, 400),
    "refresh_token": (TOKEN, REFRESH, 400),
    "introspect": (INTROSPECT, {"token": "made-up"}, 200),
    "revoke": (REVOKE, {"token": "made-up"}, 200),
}
EVERYWHERE = pytest.mark.parametrize("where", ENDPOINTS)
REFUSED = b'{"error":"invalid_client","error_description":"Client authentication failed","trace_id":"TRACE"}'


@pytest.fixture
def poster(tenant: TenantInfo) -> App:
    """An app registered to put its secret into the body."""
    return make_app(web_app(client_id="poster", token_endpoint_auth_method="client_secret_post"), tenant)


def show(post: Post, where: str, authorization: str = "", **changes: str) -> HttpResponse:
    path, params, _ = ENDPOINTS[where]
    headers = {"Authorization": authorization} if authorization else {}
    return post(path, {**params, **changes}, **headers)


def assert_refused(answer: HttpResponse, rule: str, *, challenged: bool) -> None:
    """Fail unless the answer is the one for every failure, to the byte, and its receipt names the rule."""
    trace_id = answer.headers["X-Trace-Id"]
    assert (answer.status_code, answer.content.replace(trace_id.encode(), b"TRACE")) == (401, REFUSED)
    assert answer.headers.get("WWW-Authenticate") == ('Basic realm="smartauth"' if challenged else None)
    receipt = Receipt.objects.get(trace_id=trace_id)
    assert (receipt.rule, receipt.error) == (rule, "invalid_client")
    assert not AccessToken.objects.exists()


@pytest.mark.requirement("SYM-01", "SYM-04")
@EVERYWHERE
def test_each_client_is_known_by_its_own_method(post: Post, cardio: App, poster: App, where: str) -> None:
    assert cardio.secret
    assert poster.secret
    for answer in (
        show(post, where, basic(cardio.client_id, cardio.secret)),
        show(post, where, client_id=poster.client_id, client_secret=poster.secret),
    ):
        assert answer.status_code == ENDPOINTS[where][2], answer.content
        assert answer.status_code == 200 or answer.json()["error"] == "invalid_grant"


@pytest.mark.requirement("SYM-04")
def test_a_code_is_exchanged_with_a_secret_in_the_body(
    browser: Browser, post: Post, small: None, poster: App, ana: User
) -> None:
    proof = {"client_id": poster.client_id, "client_secret": poster.secret}
    answer = post(TOKEN, {**redemption(launch(browser, poster, ana)), **proof})
    assert (answer.status_code, answer.json()["expires_in"]) == (200, 3600)


def encoded(text: bytes) -> str:
    return f"Basic {base64.b64encode(text).decode()}"


HEADERS = [
    # Authorization                              rule
    (basic("cardio", "wrong"),                   "client.secret"),
    (basic("cardio", ""),                        "client.secret_empty"),
    (basic("nobody", "wrong"),                   "client.unknown"),
    (basic("growth-chart", ""),                  "client.auth_method"),
    (basic("poster", "wrong"),                   "client.auth_method"),
    (encoded(b"cardio"),                         "client.basic_malformed"),
    (encoded(b"cardio:\xff"),                    "client.basic_malformed"),
    ("Basic %%%",                                "client.basic_malformed"),
    ("Digest abc",                               "client.auth_scheme"),
]  # fmt: skip


@pytest.mark.requirement("TOK-18", "TOK-19", "SYM-03", "SYM-08")
@pytest.mark.usefixtures("cardio", "growth_chart", "poster")
@EVERYWHERE
@pytest.mark.parametrize(("authorization", "rule"), HEADERS)
def test_a_header_that_proves_nothing_is_challenged_and_the_cause_is_in_the_receipt(
    post: Post, where: str, authorization: str, rule: str
) -> None:
    assert_refused(show(post, where, authorization), rule, challenged=True)


BODIES = [
    # parameters                                           rule
    ({"client_id": "poster"},                              "client.auth_method"),
    ({"client_id": "poster", "client_secret": ""},         "client.auth_method"),
    ({"client_id": "poster", "client_secret": "wrong"},    "client.secret"),
    ({"client_id": "cardio", "client_secret": "wrong"},    "client.auth_method"),
    ({"client_id": "cardio"},                              "client.auth_method"),
    ({"client_id": "nobody", "client_secret": "wrong"},    "client.unknown"),
    ({"client_secret": "wrong"},                           "client.missing"),
]  # fmt: skip


@pytest.mark.requirement("TOK-05", "TOK-07", "SYM-08", "T-62")
@pytest.mark.usefixtures("cardio", "poster")
@EVERYWHERE
@pytest.mark.parametrize(("params", "rule"), BODIES)
def test_a_body_that_proves_nothing_is_refused(post: Post, where: str, params: dict[str, str], rule: str) -> None:
    assert_refused(show(post, where, **params), rule, challenged=False)


@pytest.mark.requirement("SYM-04", "TOK-01")
@EVERYWHERE
def test_a_secret_in_the_url_is_not_read(client: Any, poster: App, where: str) -> None:
    path, params, _ = ENDPOINTS[where]
    body = "&".join(f"{name}={value}" for name, value in {**params, "client_id": poster.client_id}.items())
    url = f"{path}?client_id={poster.client_id}&client_secret={poster.secret}"
    answer = client.post(url, body, content_type="application/x-www-form-urlencoded")
    assert_refused(answer, "client.auth_method", challenged=False)


@pytest.mark.requirement("TOK-06")
@EVERYWHERE
@pytest.mark.parametrize(
    "second", [{"client_secret": "x"}, {"client_assertion": "a.b.c"}, {"client_assertion_type": "urn:x"}]
)
def test_a_second_method_is_refused_although_the_first_is_good(
    post: Post, cardio: App, where: str, second: dict[str, str]
) -> None:
    assert cardio.secret
    answer = show(post, where, basic(cardio.client_id, cardio.secret), **second)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert Receipt.objects.get().rule == "client.two_methods"


@pytest.mark.requirement("SYM-07")
@pytest.mark.usefixtures("calm")
@EVERYWHERE
def test_guessing_ends_with_a_time_to_wait(post: Post, cardio: App, where: str) -> None:
    assert cardio.secret
    for _ in range(AT_ONCE):
        assert show(post, where, basic(cardio.client_id, "wrong")).status_code == 401
    for secret in ("wrong", cardio.secret):
        answer = show(post, where, basic(cardio.client_id, secret))
        assert (answer.status_code, answer.json()["error"]) == (429, "temporarily_unavailable")
        assert 1 <= int(answer.headers["Retry-After"]) <= 30
        assert answer.headers["Cache-Control"] == "no-store"
        assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "client.guessing"


@pytest.mark.requirement("SYM-05")
def test_every_wrong_secret_costs_the_same_comparisons_in_constant_time(
    post: Post, cardio: App, growth_chart: App, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is counted is Python's constant-time comparison, which goes on doing its work."""
    compared: list[int] = []

    def counting(one: str, other: str) -> bool:
        compared[-1] += 1
        return original(one, other)

    original = hmac.compare_digest
    monkeypatch.setattr("clients.authentication.hmac.compare_digest", counting)
    for client_id, secret in (
        (cardio.client_id, "wrong"),
        (cardio.client_id, ""),
        (cardio.client_id, cardio.secret or ""),
        (growth_chart.client_id, "wrong"),
        ("nobody", "wrong"),
        ("nobody", ""),
    ):
        compared.append(0)
        show(post, "revoke", basic(client_id, secret))
    assert compared == [8, 8, 4, 8, 8, 8]  # The third is right, and is no secret of anybody else.


class TestBackendServices:
    """No secret gives a service a token.  SMART 2.2 backend-services, "Protocol details"."""

    @pytest.mark.requirement("SYM-06", "TOK-20")
    def test_a_client_with_a_secret_is_none(self, post: Post, cardio: App, poster: App) -> None:
        assert cardio.secret
        assert poster.secret
        for answer in (
            post(TOKEN, GRANT, Authorization=basic(cardio.client_id, cardio.secret)),
            post(TOKEN, {**GRANT, "client_id": poster.client_id, "client_secret": poster.secret}),
        ):
            assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
        assert not AccessToken.objects.exists()

    @pytest.mark.requirement("SYM-06")
    def test_a_service_has_no_secret_that_could_be_right(self, post: Post, bulk_loader: Service) -> None:
        for secret in ("", "x"):
            answer = post(TOKEN, GRANT, Authorization=basic(bulk_loader.client_id, secret))
            assert_refused(answer, "client.auth_method", challenged=True)
        answer = post(TOKEN, {**GRANT, "client_id": bulk_loader.client_id, "client_secret": "x"})
        assert_refused(answer, "client.auth_method", challenged=False)

    @pytest.mark.requirement("SYM-06")
    @pytest.mark.parametrize("name", ["cardio", "poster", "growth_chart"])
    def test_the_database_lets_no_other_client_have_the_grant(self, request: pytest.FixtureRequest, name: str) -> None:
        app: App = request.getfixturevalue(name)
        with pytest.raises(IntegrityError), transaction.atomic():
            Client.objects.filter(client_id=app.client_id).update(
                grant_types=["client_credentials"], updated=timezone.now()
            )


@pytest.mark.requirement("SYM-04")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
def test_the_database_wants_a_secret_where_one_is_shown_and_nowhere_else(tenant: TenantInfo, method: str) -> None:
    app = make_app(web_app(token_endpoint_auth_method=method), tenant)
    mine = Client.objects.filter(client_id=app.client_id)
    for change in ({"client_secret": ""}, {"token_endpoint_auth_method": "none", "client_type": "public"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            mine.update(**change)
