"""What holds of every request at the token endpoint, whatever its grant.

RFC 6749 §3.2, §4.1.3, §5.1 and §5.2; SMART 2.2 app-launch, "Obtain access token".
"""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser

from clients.models import AssertionId
from smartauth.forms import FORM
from smartauth.models import AccessToken, AuthorizationCode, RefreshToken
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, launch
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.test_token_refresh_token import Refresh, Start
from tests.endpoints.token_requests import Ask, basic, redemption

pytestmark = pytest.mark.usefixtures("small")

PARAMETERS = [
    *("grant_type", "code", "redirect_uri", "code_verifier", "client_id", "client_secret", "client_assertion"),
    *("client_assertion_type", "refresh_token", "scope", "resource", "aud"),
]


@pytest.mark.requirement("TOK-01", "TOK-17")
@pytest.mark.parametrize("name", PARAMETERS)
@pytest.mark.parametrize("values", [("one", "two"), ("one", "one"), ("", "one")])
def test_no_parameter_may_come_twice(
    browser: Browser, client: Any, growth_chart: App, ana: User, name: str, values: tuple[str, str]
) -> None:
    launched = launch(browser, growth_chart, ana)
    good = [(key, value) for key, value in redemption(launched, client_id="growth-chart").items() if key != name]
    body = urlencode([*good, *((name, value) for value in values)])
    answer = client.post(TOKEN, body, content_type=FORM)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.parameter_repeated"
    assert AuthorizationCode.objects.get().spent_at is None


def test_a_parameter_nobody_knows_may_come_twice(browser: Browser, client: Any, growth_chart: App, ana: User) -> None:
    body = urlencode(
        [*redemption(launch(browser, growth_chart, ana), client_id="growth-chart").items(), *[("x", "y")] * 2]
    )
    assert client.post(TOKEN, body, content_type=FORM).status_code == 200


@pytest.mark.requirement("TOK-01")
@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data; boundary=x", "text/plain"])
def test_a_good_code_in_another_kind_of_body_is_refused_and_stays_good(
    browser: Browser, client: Any, ask: Ask, growth_chart: App, ana: User, content_type: str
) -> None:
    launched = launch(browser, growth_chart, ana)
    body = urlencode(redemption(launched, client_id="growth-chart"))
    answer = client.generic("POST", TOKEN, body, content_type=content_type)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")
    assert ask(growth_chart, redemption(launched)).status_code == 200


@pytest.mark.requirement("TOK-01")
def test_a_good_code_in_the_url_is_refused_and_stays_good(
    browser: Browser, client: Any, ask: Ask, growth_chart: App, ana: User
) -> None:
    launched = launch(browser, growth_chart, ana)
    query = urlencode(redemption(launched, client_id="growth-chart"))
    assert client.generic("POST", f"{TOKEN}?{query}", b"", content_type=FORM).status_code == 400
    assert client.get(f"{TOKEN}?{query}").status_code == 405
    assert ask(growth_chart, redemption(launched)).status_code == 200


@pytest.mark.requirement("TOK-03", "TOK-04")
@pytest.mark.parametrize("named", [{}, {"client_id": ""}, {"client_id": "nobody"}, {"client_id": "cardio"}])
def test_a_public_client_must_name_itself_and_a_code_waits_until_it_does(
    browser: Browser, post: Post, growth_chart: App, cardio: App, ana: User, named: dict[str, str]
) -> None:
    launched = launch(browser, growth_chart, ana)
    answer = post(TOKEN, {**redemption(launched), **named})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert not AccessToken.objects.exists()
    assert post(TOKEN, redemption(launched, client_id="growth-chart")).status_code == 200


@pytest.mark.requirement("TOK-02", "T-08")
@pytest.mark.parametrize("grant_type", ["password", "implicit", "urn:ietf:params:oauth:grant-type:device_code", "X"])
@pytest.mark.parametrize("proof", ["good", "bad", "none"])
def test_an_unknown_grant_type_is_told_whoever_asks(
    post: Post, cardio: App, bulk_loader: Service, grant_type: str, proof: str
) -> None:
    credentials = {"good": bulk_loader.credentials(), "bad": bulk_loader.credentials(exp=1), "none": {}}[proof]
    params = {"grant_type": grant_type, "username": "ana", "password": "x", "scope": "system/*.rs", **credentials}
    for answer in (post(TOKEN, params), post(TOKEN, {"grant_type": grant_type}, Authorization=basic("cardio", "x"))):
        assert (answer.status_code, answer.json()["error"]) == (400, "unsupported_grant_type")
    assert not AssertionId.objects.exists()


@pytest.mark.requirement("TOK-12", "TOK-13", "T-12", "T-14")
def test_every_grant_answers_with_the_same_members(
    start: Start, refresh: Refresh, post: Post, bulk_loader: Service
) -> None:
    first = start()
    again = refresh(first["refresh_token"]).json()
    service = post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()
    for body in (first, again, service):
        assert body["access_token"]
        assert isinstance(body["access_token"], str)
        assert body["token_type"] == "Bearer"
        assert type(body["expires_in"]) is int
        assert body["scope"]
        assert isinstance(body["scope"], str)


@pytest.mark.requirement("TOK-25", "T-40", "BACK-05")
def test_no_token_lives_longer_than_an_hour_and_no_app_s_shorter_than_two_minutes(
    browser: Browser, ask: Ask, start: Start, refresh: Refresh, cardio: App, ana: User, post: Post, bulk_loader: Service
) -> None:
    public = start()
    confidential = ask(cardio, redemption(launch(browser, cardio, ana))).json()
    lifetimes = {
        "public": public["expires_in"],
        "refreshed": refresh(public["refresh_token"]).json()["expires_in"],
        "confidential": confidential["expires_in"],
        "service": post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()["expires_in"],
    }
    assert lifetimes == {"public": 1800, "refreshed": 1800, "confidential": 3600, "service": 300}
    for row in AccessToken.objects.all():
        assert (row.expires - row.created).total_seconds() <= 3600


ERRORS = [
    # parameters                                                          status  error
    ({},                                                                  400,    "invalid_request"),
    ({"grant_type": "x"},                                                 400,    "unsupported_grant_type"),
    ({"grant_type": "authorization_code"},                                401,    "invalid_client"),
    ({"grant_type": "authorization_code", "client_id": "growth-chart"},   400,    "invalid_request"),
    ({"grant_type": "authorization_code", "client_id": "growth-chart", "code": "x"}, 400, "invalid_grant"),
    ({"grant_type": "client_credentials", "client_id": "growth-chart"},   400,    "unauthorized_client"),
    ({"grant_type": "refresh_token", "refresh_token": "x"},               400,    "invalid_grant"),
    ({"grant_type": "refresh_token", "client_id": "growth-chart", "resource": "https://x.org"}, 400, "invalid_target"),
    ({"grant_type": "client_credentials", "scope": "openid"},             400,    "invalid_scope"),
]  # fmt: skip


@pytest.mark.requirement("TOK-17", "TOK-18", "T-13")
@pytest.mark.parametrize(("params", "status", "error"), ERRORS)
def test_errors_have_one_form(
    post: Post, growth_chart: App, bulk_loader: Service, params: dict[str, str], status: int, error: str
) -> None:
    proof = bulk_loader.credentials() if error == "invalid_scope" else {}
    answer = post(TOKEN, {**params, **proof})
    body = answer.json()
    assert (answer.status_code, body["error"]) == (status, error)
    assert set(body) == {"error", "error_description", "trace_id"}
    assert body["error_description"]
    assert body["error_description"].isascii()
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    assert not AccessToken.objects.exists()
    assert not RefreshToken.objects.exists()


@pytest.mark.requirement("TOK-26")
def test_neither_csrf_token_nor_cookie_is_asked_for_or_given(browser: Browser, growth_chart: App, ana: User) -> None:
    launched = launch(browser, growth_chart, ana)
    params = urlencode(redemption(launched, client_id="growth-chart"))
    strict = Browser(enforce_csrf_checks=True)
    strict.cookies["sessionid"] = "of another site"
    answer = strict.post(TOKEN, params, content_type=FORM, headers={"Origin": "https://elsewhere.example.org"})
    assert answer.status_code == 200
    assert not answer.cookies
    refused = strict.post(TOKEN, params, content_type=FORM)
    assert refused.status_code == 400
    assert not refused.cookies
