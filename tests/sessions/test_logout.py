"""Signing out at the request of an app.  OIDC RP-Initiated Logout 1.0."""

from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth import endpoints, keys
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.models import Authorization, SigningKey
from smartauth.people.models import User
from smartauth.retention import purge
from tests.endpoints.app_launch import App, launch, page_refusal, sign_in
from tests.endpoints.conftest import Post
from tests.endpoints.test_token_refresh_token import ONLINE, Refresh, Start, reads
from tests.endpoints.token_requests import Ask, body_of, redemption
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small")

LOGOUT = "/auth/sandbox/logout"
SHORT = "/auth/logout"
BYE = "https://cardio.example.org/bye"
TWO = f"{BYE}?from=us"
STATE = "ü 1&2=3"


@pytest.fixture(autouse=True)
def bye(growth_chart: App, cardio: App) -> None:
    """Where the apps want people back."""
    Client.objects.update(post_logout_redirect_uris=f"{BYE} {TWO}")


def ask_to_sign_out(browser: Browser, *, path: str = LOGOUT, method: str = "GET", **params: str) -> HttpResponse:
    """Send an app's request, and follow it to our own page as a browser does."""
    answer = begin(browser, path=path, method=method, **params)
    assert answer.status_code == 303, answer.content.decode()
    return browser.get(answer.headers["Location"])


def begin(browser: Browser, *, path: str = LOGOUT, method: str = "GET", **params: str) -> HttpResponse:
    if method == "GET":
        return browser.get(f"{path}?{urlencode(params)}")
    # A post from another site brings no cookies.
    form = "application/x-www-form-urlencoded"
    return Browser(enforce_csrf_checks=True).post(path, urlencode(params), content_type=form)


def confirm(browser: Browser, page: HttpResponse) -> HttpResponse:
    assert page.status_code == 200, page.content.decode()
    path = page.wsgi_request.get_full_path()  # type: ignore[attr-defined]
    return browser.post(path)


def is_signed_in(browser: Browser) -> bool:
    return "_auth_user_id" in browser.session


def must_be_asked(browser: Browser, page: HttpResponse) -> None:
    assert page.status_code == 200
    assert "Sign out?" in page.content.decode()
    assert is_signed_in(browser)


@pytest.mark.requirement("OIDC-16", "OIDC-17")
@pytest.mark.parametrize("path", [LOGOUT, SHORT])
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("uri", [BYE, TWO])
def test_an_app_that_shows_the_id_token_signs_its_user_out_and_has_them_back(
    browser: Browser, start: Start, path: str, method: str, uri: str
) -> None:
    hint = start()["id_token"]
    params = {"id_token_hint": hint, "post_logout_redirect_uri": uri, "state": STATE, "ui_locales": "es"}
    answer = ask_to_sign_out(browser, path=path, method=method, **params)
    assert answer.status_code == 303
    joined = "&" if "?" in uri else "?"
    assert answer.headers["Location"] == f"{uri}{joined}state=%C3%BC%201%262%3D3"
    assert not is_signed_in(browser)
    assert not Session.objects.exists()
    record = AuditRecord.objects.get(action="sign-out")
    assert record.client_id == "growth-chart"


@pytest.mark.requirement("OIDC-16")
def test_without_a_state_none_comes_back(browser: Browser, start: Start) -> None:
    answer = ask_to_sign_out(browser, id_token_hint=start()["id_token"], post_logout_redirect_uri=BYE)
    assert answer.headers["Location"] == BYE


@pytest.mark.requirement("OIDC-16")
def test_without_a_place_to_go_the_page_says_that_it_is_done(browser: Browser, start: Start) -> None:
    page = ask_to_sign_out(browser, id_token_hint=start()["id_token"])
    assert "You are signed out" in page.content.decode()
    assert not is_signed_in(browser)


@pytest.mark.requirement("OIDC-16")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_the_app_says_in_which_language_to_ask(browser: Browser, start: Start, method: str) -> None:
    start()
    sent = begin(browser, method=method, client_id="growth-chart", ui_locales="fr es-MX en")
    browser.cookies.update(sent.cookies)
    page = browser.get(sent.headers["Location"]).content.decode()
    assert '<html lang="es">' in page
    assert "pide que cierre sesión aquí" in page


@pytest.mark.requirement("OIDC-17")
def test_an_id_token_that_has_expired_is_a_hint(browser: Browser, start: Start, ana: User) -> None:
    start()
    long_ago = timezone.now() - timedelta(days=30)
    claims = {"iss": endpoints.issuer(), "sub": str(ana.subject), "aud": "growth-chart"}
    claims |= {"iat": int(long_ago.timestamp()), "exp": int(long_ago.timestamp()) + 3600}
    hint = keys.id_token_signer("RS256", long_ago).sign(claims, typ="JWT")
    assert ask_to_sign_out(browser, id_token_hint=hint, post_logout_redirect_uri=BYE).headers["Location"] == BYE
    assert not is_signed_in(browser)


@pytest.mark.requirement("OIDC-17")
def test_a_key_that_signs_no_more_still_proves_hints_until_nobody_can_have_one(browser: Browser, start: Start) -> None:
    hint = start()["id_token"]
    retired_at = timezone.now() + timedelta(hours=1)
    keys.rotate("id_token", "RS256", context=new_context(), now=timezone.now())
    keys.rotate("id_token", "RS256", context=new_context(), now=retired_at)
    purge(retired_at + timedelta(days=60))
    retired = SigningKey.objects.get(state="retired")
    assert retired.sealed_private_key == ""
    assert retired.kid not in {key["kid"] for key in keys.published_keys(retired_at + timedelta(days=60))}
    sign_in(browser, User.objects.get(username="ana"))
    answer = ask_to_sign_out(browser, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert answer.headers["Location"] == BYE
    purge(retired_at + timedelta(days=101))
    assert not SigningKey.objects.filter(state="retired").exists()


class TestAsking:
    """Whoever is not shown to be meant is asked.  §2 and §6 there."""

    @pytest.mark.requirement("OIDC-18")
    @pytest.mark.parametrize(
        "params",
        [
            {},
            {"client_id": "growth-chart"},
            {"client_id": "growth-chart", "post_logout_redirect_uri": BYE, "state": STATE},
            {"logout_hint": "ana"},
        ],
    )
    def test_without_an_id_token_the_user_is_asked(
        self, browser: Browser, start: Start, params: dict[str, str]
    ) -> None:
        start()
        page = ask_to_sign_out(browser, **params)
        must_be_asked(browser, page)
        answer = confirm(browser, page)
        assert not is_signed_in(browser)
        if "post_logout_redirect_uri" in params:
            assert answer.headers["Location"].startswith(f"{BYE}?state=")
            assert "form-action 'self' https://cardio.example.org" in page.headers["Content-Security-Policy"]
        else:
            assert "You are signed out" in answer.content.decode()

    @pytest.mark.requirement("OIDC-18")
    def test_an_id_token_about_somebody_else_ends_nothing_unasked(
        self, browser: Browser, start: Start, dr_grey: User
    ) -> None:
        hint = start()["id_token"]
        other = Browser()
        sign_in(other, dr_grey)
        page = ask_to_sign_out(other, id_token_hint=hint, post_logout_redirect_uri=BYE)
        must_be_asked(other, page)
        assert "somebody else" in page.content.decode()
        assert is_signed_in(browser)

    @pytest.mark.requirement("OIDC-18")
    def test_another_site_cannot_answer_for_the_user(self, start: Start, ana: User) -> None:
        careful = Browser(enforce_csrf_checks=True)
        careful.force_login(ana)
        answer = begin(careful)
        assert careful.post(answer.headers["Location"]).status_code == 403
        assert is_signed_in(careful)

    @pytest.mark.requirement("OIDC-18")
    def test_where_nobody_is_signed_in_nobody_is_asked(self, start: Start) -> None:
        hint = start()["id_token"]
        answer = ask_to_sign_out(Browser(), id_token_hint=hint, post_logout_redirect_uri=BYE, state="s")
        assert answer.headers["Location"] == f"{BYE}?state=s"

    @pytest.mark.requirement("OIDC-18")
    def test_the_name_of_the_app_is_shown_as_text(self, browser: Browser, start: Start) -> None:
        Client.objects.filter(client_id="growth-chart").update(name="<b>Chart</b>")
        start()
        page = ask_to_sign_out(browser, client_id="growth-chart").content.decode()
        assert "&lt;b&gt;Chart" in page
        assert "<b>Chart" not in page


def tampered(hint: str) -> str:
    head, payload, signature = hint.split(".")
    return f"{head}.{payload[:-2]}{'AA' if payload[-2:] != 'AA' else 'BB'}.{signature}"


WRONG: list[tuple[dict[str, Any], str]] = [
    # changes to a good request                                      rule
    ({"post_logout_redirect_uri": f"{BYE}/"}, "logout.redirect_uri"),
    ({"post_logout_redirect_uri": f"{BYE}?x=1"}, "logout.redirect_uri"),
    ({"post_logout_redirect_uri": "https://evil.example.org/"}, "logout.redirect_uri"),
    ({"id_token_hint": ...}, "logout.no_client"),
    ({"id_token_hint": tampered}, "logout.hint"),
    ({"id_token_hint": "x.y.z"}, "logout.hint"),
    ({"id_token_hint": "x" * 9_000}, "logout.hint"),
    ({"client_id": "cardio"}, "logout.client"),
    ({"client_id": "nobody", "id_token_hint": ...}, "logout.client_not_active"),
    ({"state": "s" * 2_049}, "logout.state_long"),
]


@pytest.mark.requirement("OIDC-17")
@pytest.mark.parametrize(("changes", "rule"), WRONG)
def test_one_thing_wrong_redirects_nowhere_and_ends_nothing(
    browser: Browser, start: Start, changes: dict[str, Any], rule: str
) -> None:
    good = {"id_token_hint": start()["id_token"], "post_logout_redirect_uri": BYE, "state": "s"}
    params = {}
    for name, value in (good | changes).items():
        if value is not ...:
            params[name] = value(good[name]) if callable(value) else value
    receipt = page_refusal(begin(browser, **params), 400)
    assert receipt.rule == rule
    assert is_signed_in(browser)


@pytest.mark.requirement("OIDC-17")
def test_an_access_token_is_no_hint(browser: Browser, start: Start) -> None:
    answer = begin(browser, id_token_hint=start()["access_token"], post_logout_redirect_uri=BYE)
    assert page_refusal(answer, 400).rule == "logout.hint"


@pytest.mark.requirement("OIDC-17")
def test_a_stopped_app_gets_nobody_back(browser: Browser, start: Start) -> None:
    hint = start()["id_token"]
    Client.objects.update(status=Client.Status.SUSPENDED)
    answer = begin(browser, id_token_hint=hint, post_logout_redirect_uri=BYE)
    assert page_refusal(answer, 400).rule == "logout.client_not_active"


@pytest.mark.requirement("OIDC-17")
@pytest.mark.parametrize("name", ["state", "id_token_hint", "client_id", "post_logout_redirect_uri", "logout_hint"])
def test_a_repeated_parameter_is_refused(browser: Browser, tenant: TenantInfo, name: str) -> None:
    assert page_refusal(browser.get(f"{LOGOUT}?{name}=a&{name}=b"), 400).rule == "http.parameter_repeated"


@pytest.mark.requirement("OIDC-17")
def test_what_was_proven_is_believed_for_a_while_and_only_from_us(browser: Browser, start: Start) -> None:
    start()
    page = browser.get("/auth/logout/confirm?request=made-up")
    assert page_refusal(page, 400).rule == "logout.unknown"
    assert page_refusal(browser.get("/auth/logout/confirm"), 400).rule == "logout.unknown"
    assert is_signed_in(browser)


def test_an_unknown_tenant_is_not_here(browser: Browser, tenant: TenantInfo) -> None:
    assert page_refusal(begin(browser, path="/auth/nowhere/logout"), 404).rule == "tenant.unknown"


@pytest.mark.requirement("OIDC-19", "REFRESH-02")
def test_it_ends_what_lasts_as_long_as_this_session_and_nothing_else(
    browser: Browser, start: Start, refresh: Refresh, call: Caller, ask: Ask, growth_chart: App, ana: User
) -> None:
    offline, online = start(), start(scope=ONLINE)
    elsewhere = Browser()
    there = body_of(ask(growth_chart, redemption(launch(elsewhere, growth_chart, ana, scope=ONLINE))))

    ask_to_sign_out(browser, id_token_hint=online["id_token"])

    assert [reads(call, one) for one in (offline, online, there)] == [True, False, True]
    assert refresh(offline["refresh_token"]).status_code == 200
    assert refresh(online["refresh_token"]).json()["error"] == "invalid_grant"
    assert refresh(there["refresh_token"]).status_code == 200
    assert is_signed_in(elsewhere)
    assert Authorization.objects.filter(revoked_by="session").count() == 1


@pytest.mark.requirement("OIDC-16")
def test_it_is_where_the_openid_configuration_says(browser: Browser, tenant: TenantInfo, post: Post) -> None:
    body = browser.get("/.well-known/openid-configuration").json()
    path = urlsplit(body["end_session_endpoint"]).path
    assert path == LOGOUT
    assert begin(browser, path=path).status_code == 303
    assert begin(browser, path=path).headers["Cache-Control"] == "no-store"
    assert "Access-Control-Allow-Origin" not in browser.get(path, headers={"Origin": "https://x.example"}).headers
