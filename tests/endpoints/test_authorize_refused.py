"""To whom a refused authorization request is told, and when: at once, after sign-in, or by way of a page.

RFC 9700 §4.11.2; RFC 6749 §4.1.2.1; OIDC Core §3.1.2.1 and §3.1.2.6; RFC 9207 §2.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from html import unescape
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import DatabaseError, OperationalError, connection
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from smartauth.models import PendingAuthorization, RefusedAuthorization
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import AUTHORIZE, App, authorize_params, callback, page_refusal, sign_in, told_in

pytestmark = pytest.mark.requirement("AUTHZ-30")

FORM = "application/x-www-form-urlencoded"
LINK = re.compile(r'<a href="([^"]*)" rel="noreferrer">')
NATIVE = "com.example.app:/callback"


@pytest.fixture
def unverified(growth_chart: App) -> App:
    """An approved app that no operator vouches for."""
    Client.objects.update(is_operator_verified=False)
    return growth_chart


def send(browser: Browser, params: dict[str, str], method: str = "GET") -> HttpResponse:
    if method == "GET":
        return browser.get(f"{AUTHORIZE}?{urlencode(params)}")
    return browser.post(AUTHORIZE, urlencode(params), content_type=FORM)


def page_for(answer: HttpResponse) -> str:
    """Return the path of the page that a refused request goes on to."""
    assert answer.status_code == 303, answer.content.decode()
    stored = RefusedAuthorization.objects.get()
    path: str = answer.headers["Location"]
    assert path == f"/auth/refused/{stored.pk}"
    return path


def linked(page: HttpResponse) -> str:
    """Return where the page lets its reader go on."""
    assert page.status_code == 200, page.content.decode()
    assert "Location" not in page.headers
    [target] = LINK.findall(page.content.decode())
    return unescape(target)


WRONG: list[tuple[dict[str, Any], str, str]] = [
    ({"aud": "https://fhir.evil.example/r4"}, "invalid_request", "aud.unknown"),
    ({"scope": "nonsense"}, "invalid_scope", "scope.nothing_granted"),
    ({"scope": ""}, "invalid_scope", "scope.missing"),
    ({"response_type": "token"}, "unsupported_response_type", "authorize.response_type"),
    ({"code_challenge_method": "plain"}, "invalid_request", "pkce.method"),
    ({"launch": "x"}, "unauthorized_client", "launch.not_registered"),
    ({"request": "a.b.c"}, "request_not_supported", "authorize.request_object"),
    ({"prompt": "none login"}, "invalid_request", "authorize.prompt_none"),
]


@pytest.mark.requirement("T-24")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(("changes", "error", "rule"), WRONG, ids=lambda value: str(value)[:60])
def test_an_app_nobody_vouches_for_is_told_by_a_user_who_knows_where_it_leads(
    browser: Browser, unverified: App, ana: User, method: str, changes: dict[str, Any], error: str, rule: str
) -> None:
    asked = authorize_params(**changes)
    answer = send(browser, asked, method)
    path = page_for(answer)
    receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
    assert (receipt.rule, receipt.error, receipt.client_id) == (rule, error, "growth-chart")

    to_sign_in = browser.get(path)
    assert to_sign_in.status_code == 302
    assert to_sign_in.headers["Location"] == f"/account/login/?{urlencode({'next': path})}"
    sign_in(browser, ana, then=path)
    page = browser.get(path)

    target = linked(page)
    text = page.content.decode()
    assert target.startswith(f"{unverified.redirect_uri}?")
    told = dict(parse_qsl(urlsplit(target).query, strict_parsing=True))
    assert told.keys() == {"error", "error_description", "state"}
    assert (told["error"], told["state"]) == (error, asked["state"])
    assert told["error_description"].endswith(f"(trace {answer.headers['X-Trace-Id']})")
    for shown in ("Growth Chart", "cardio.example.org", "Not checked", "Nothing was shared"):
        assert shown in text
    assert re.findall(r"<code>([0-9a-f-]{36})</code>", text) == [answer.headers["X-Trace-Id"]]  # Not that of the page.
    assert (page.headers["Referrer-Policy"], page.headers["Cache-Control"]) == ("no-referrer", "no-store")
    assert "frame-ancestors 'none'" in page.headers["Content-Security-Policy"]
    assert "http-equiv" not in text  # Nothing goes on by itself.
    assert not PendingAuthorization.objects.exists()


def test_who_is_signed_in_already_sees_the_page_at_once(browser: Browser, unverified: App, ana: User) -> None:
    sign_in(browser, ana)
    linked(browser.get(page_for(send(browser, authorize_params(aud=...)))))


def test_a_good_request_of_such_an_app_goes_on_as_any_other(browser: Browser, unverified: App) -> None:
    answer = send(browser, authorize_params())
    assert answer.headers["Location"] == f"/auth/consent/{PendingAuthorization.objects.get().pk}"
    assert not RefusedAuthorization.objects.exists()


def test_an_app_on_a_device_is_named_by_its_scheme(browser: Browser, pocket: App, ana: User) -> None:
    Client.objects.update(is_operator_verified=False)
    for uri, shown in ((NATIVE, "com.example.app"), ("http://127.0.0.1:49152/callback", "127.0.0.1:49152")):
        path = page_for(send(browser, authorize_params(pocket, redirect_uri=uri, aud=...)))
        if "_auth_user_id" not in browser.session:
            sign_in(browser, ana, then=path)
        page = browser.get(path)
        assert linked(page).startswith(f"{uri}?error=invalid_request&")
        assert f"<strong>{shown}</strong>" in page.content.decode()
        RefusedAuthorization.objects.all().delete()


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.parametrize("verified", [True, False])
def test_with_prompt_none_no_page_is_shown_to_anybody(browser: Browser, growth_chart: App, verified: bool) -> None:
    Client.objects.update(is_operator_verified=verified)
    for prompt in ("none", " none "):
        asked = authorize_params(prompt=prompt, aud=...)
        told_in(send(browser, asked), growth_chart.redirect_uri, asked["state"], "invalid_request")
    asked = authorize_params(prompt="none", scope="openid")
    continuation = send(browser, asked).headers["Location"]
    told_in(browser.get(continuation), growth_chart.redirect_uri, asked["state"], "login_required")
    assert not RefusedAuthorization.objects.exists()


def test_a_verified_app_is_told_at_once(browser: Browser, growth_chart: App) -> None:
    asked = authorize_params(aud=...)
    told_in(send(browser, asked), growth_chart.redirect_uri, asked["state"], "invalid_request")
    assert not RefusedAuthorization.objects.exists()


def test_a_strict_server_tells_even_a_verified_app_after_sign_in_only(
    browser: Browser, growth_chart: App, ana: User, configure: Configure
) -> None:
    configure(errors_after_sign_in=True)
    asked = authorize_params(aud=...)
    answer = send(browser, asked)
    path = page_for(answer)
    assert browser.get(path).headers["Location"].startswith("/account/login/?")
    sign_in(browser, ana, then=path)
    told = callback(browser.get(path), growth_chart.redirect_uri)
    assert (told["error"], told["state"]) == ("invalid_request", asked["state"])
    assert told["error_description"].endswith(f"(trace {answer.headers['X-Trace-Id']})")


def test_the_page_is_gone_after_a_while_and_the_row_is_purged(browser: Browser, unverified: App, ana: User) -> None:
    sign_in(browser, ana)
    path = page_for(send(browser, authorize_params(aud=...)))
    RefusedAuthorization.objects.update(expires_at=timezone.now() - timedelta(seconds=1))
    assert page_refusal(browser.get(path), 404).rule == "refused.unknown"
    call_command("purge")
    assert not RefusedAuthorization.objects.exists()
    assert page_refusal(browser.get(f"/auth/refused/{uuid4()}"), 404).rule == "refused.unknown"


ENDED: list[dict[str, Any]] = [{"status": Client.Status.SUSPENDED}, {"redirect_uris": "https://elsewhere.example.org/"}]


@pytest.mark.parametrize("change", ENDED, ids=str)
def test_nobody_is_sent_to_what_is_no_longer_registered(
    browser: Browser, unverified: App, ana: User, change: dict[str, Any]
) -> None:
    sign_in(browser, ana)
    path = page_for(send(browser, authorize_params(aud=...)))
    Client.objects.update(**change)
    receipt = page_refusal(browser.get(path), 403)
    assert (receipt.rule, receipt.client_id) == ("client.not_active", "growth-chart")


@pytest.mark.parametrize("method", ["POST", "PUT", "HEAD"])
def test_the_page_is_only_read(browser: Browser, unverified: App, method: str) -> None:
    path = page_for(send(browser, authorize_params(aud=...)))
    assert browser.generic(method, path).status_code == 405


@pytest.mark.requirement("AUTHZ-15", "AUTHZ-18")
def test_an_error_says_who_answers_where_that_is_switched_on(
    browser: Browser, growth_chart: App, ana: User, configure: Configure
) -> None:
    configure(callback_iss=True)
    told = callback(send(browser, authorize_params(aud=...)), growth_chart.redirect_uri)
    assert told["iss"] == "http://127.0.0.1:8000"
    silent = send(browser, authorize_params(prompt="none", scope="openid")).headers["Location"]
    assert callback(browser.get(silent), growth_chart.redirect_uri)["iss"] == "http://127.0.0.1:8000"
    Client.objects.update(is_operator_verified=False)
    sign_in(browser, ana)
    page = browser.get(page_for(send(browser, authorize_params(aud=...))))
    assert "&iss=http%3A%2F%2F127.0.0.1%3A8000" in linked(page)
    configure(callback_iss=False)
    assert "iss" not in callback(send(browser, authorize_params(prompt="none", aud=...)), growth_chart.redirect_uri)


# When it is us who fail


@contextmanager
def storing_fails(failure: Exception) -> Iterator[None]:
    """Let the database refuse to store authorization requests."""

    def refuse(execute: Any, sql: str, *args: Any) -> Any:
        if "pendingauthorization" in sql.lower():
            raise failure
        return execute(sql, *args)

    with connection.execute_wrapper(refuse):
        yield


FAILURES = [
    (OperationalError("the connection is gone"), "temporarily_unavailable", "server.database"),
    (DatabaseError("the table is not as we know it"), "server_error", "server.failure"),
]


@pytest.mark.django_db(transaction=True)
@pytest.mark.requirement("AUTHZ-17")
@pytest.mark.parametrize(("failure", "error", "rule"), FAILURES, ids=lambda value: str(value)[:30])
def test_what_fails_on_our_side_is_told_to_the_app(
    browser: Browser,
    growth_chart: App,
    caplog: pytest.LogCaptureFixture,
    failure: Exception,
    error: str,
    rule: str,
) -> None:
    asked = authorize_params()
    with storing_fails(failure):
        answer = send(browser, asked)
    receipt = told_in(answer, growth_chart.redirect_uri, asked["state"], error)
    assert receipt.rule == rule
    assert str(failure) not in answer.headers["Location"]
    assert answer.headers["X-Trace-Id"] in caplog.text  # The traceback stays with us.


@pytest.mark.django_db(transaction=True)
@pytest.mark.requirement("AUTHZ-17")
def test_nobody_is_sent_to_an_unverified_app_because_we_fail(browser: Browser, unverified: App) -> None:
    with storing_fails(OperationalError("the connection is gone")):
        answer = send(browser, authorize_params())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "Location" not in answer.headers
