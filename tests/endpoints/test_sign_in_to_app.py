"""From a stored request to the person who answers it: signing in, whose browser, whose turn, and for how long.

OIDC Core §3.1.2.1, §3.1.2.3 and §3.1.2.6; RFC 6749 §10.12; RFC 9700 §4.7, §4.11.2 and §4.12.
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import Authorization, AuthorizationCode, PendingAuthorization
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    AUTHORIZE,
    PASSWORD,
    App,
    Behind,
    answer_form,
    assert_no_grant,
    authorize_params,
    begin,
    callback,
    decide,
    launch,
    make_person,
    open_consent,
    page_number,
    page_refusal,
    pending,
    records_away,
    sign_in,
    told_in,
)

pytestmark = pytest.mark.usefixtures("small")

COOKIE = "smartauth_browser"
AGAIN = "/account/reauthenticate/"
CSRF = re.compile(r'<input type="hidden" name="csrfmiddlewaretoken" value="([^"]+)">')


@pytest.fixture
def ben(tenant: TenantInfo) -> User:
    """A patient, and nobody's relation."""
    return make_person(tenant, "ben", "Patient/ben")


def sign_out(browser: Browser) -> None:
    answer = browser.post("/account/logout/")
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def assert_sent_to(answer: HttpResponse, page: str, back_to: str) -> None:
    """Fail unless the browser is sent to sign in and comes back from there."""
    expected = f"{page}?{urlencode({'next': back_to})}"
    assert (answer.status_code, answer.headers["Location"]) == (302, expected)
    assert answer.headers["Cache-Control"] == "no-store"


def signed_in_ago(browser: Browser, **ago: float) -> datetime:
    """Move the moment of the last sign-in back, and return it."""
    session = browser.session
    at = datetime.now(UTC) - timedelta(**ago)
    session["account_authentication_methods"][-1]["at"] = at.timestamp()
    session.save()
    return at


# Signing in


@pytest.mark.requirement("AUTHZ-23")
def test_nobody_signed_in_signs_in_and_comes_back(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    answer = browser.get(path)
    assert_sent_to(answer, "/account/login/", path)
    page = browser.get(answer.headers["Location"]).content.decode()
    assert "An app wants to connect" in page
    assert f'<input type="hidden" name="next" value="{path}">' in page
    assert pending().user is None
    sign_in(browser, ana, then=path)
    assert browser.get(path).status_code == 200
    assert pending().user == ana
    assert_no_grant()


def test_a_wrong_password_leads_nowhere(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    browser.get(path)
    cache.clear()
    answer = browser.post("/account/login/", {"login": "ana", "password": "wrong", "next": path})
    assert answer.status_code == 200
    assert_sent_to(browser.get(path), "/account/login/", path)
    assert pending().user is None


@pytest.mark.requirement("AUTHZ-23")
def test_a_session_begins_with_the_sign_in(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    browser.get(path)
    browser.get(f"/account/login/?{urlencode({'next': path})}")
    planted = SessionStore()  # Somebody else knows its id.
    planted.create()
    browser.cookies["sessionid"] = planted.session_key
    sign_in(browser, ana, then=path)
    assert browser.cookies["sessionid"].value != planted.session_key
    assert SessionStore(planted.session_key).get("_auth_user_id") is None


def test_who_is_signed_in_is_not_asked_again(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana)
    path = begin(browser, growth_chart)
    page = browser.get(path)
    assert page.status_code == 200
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]
    first, second = Authorization.objects.order_by("created_at")
    assert first.auth_time == second.auth_time


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.parametrize("prompt", ["consent", "select_account", "consent select_account"])
def test_the_user_is_asked_at_every_launch_anyway(browser: Browser, growth_chart: App, ana: User, prompt: str) -> None:
    launch(browser, growth_chart, ana)
    assert browser.get(begin(browser, growth_chart, prompt=prompt)).status_code == 200


def test_the_code_remembers_when_the_user_signed_in(browser: Browser, growth_chart: App, ana: User) -> None:
    sign_in(browser, ana)
    at = signed_in_ago(browser, hours=2)
    launch(browser, growth_chart, ana)
    assert Authorization.objects.get().auth_time == at


@pytest.mark.requirement("AUTHZ-02", "T-28")
def test_a_post_from_another_site_brings_no_cookies_and_still_finds_who_is_signed_in(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    launch(browser, growth_chart, ana)
    path = begin(Browser(), growth_chart)
    page = browser.get(path)
    assert page.status_code == 200
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]


def test_somebody_who_may_not_sign_in_any_more_is_not_signed_in(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, ana))
    User.objects.update(is_active=False)
    assert_sent_to(browser.post(path, form), "/account/login/", path)
    assert_sent_to(browser.get(path), "/account/login/", path)
    assert_no_grant()


@pytest.mark.requirement("AUTHZ-29")
def test_a_form_that_comes_after_signing_out_decides_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, ana))
    sign_out(browser)
    for decision in ("allow", "deny"):
        assert_sent_to(browser.post(path, form | {"decision": decision}), "/account/login/", path)
    assert pending().answered_at is None
    assert_no_grant()


# prompt and max_age


def assert_back_at_once(browser: Browser, app: App, error: str, rule: str, **params: str) -> None:
    """Fail unless the app is told `error` without a page, and the request is over."""
    path = begin(browser, app, **params)
    stored = PendingAuthorization.objects.latest("created_at")
    receipt = told_in(browser.get(path), app.redirect_uri, stored.state, error)
    assert (receipt.rule, receipt.client_id, receipt.tenant) == (rule, "growth-chart", "sandbox")
    stored.refresh_from_db()
    assert stored.answered_at is not None
    assert page_refusal(browser.get(path), 409).rule == "pending.answered"
    assert_no_grant()


@pytest.mark.requirement("AUTHZ-24")
def test_without_any_prompt_nobody_is_shown_a_page(browser: Browser, growth_chart: App, ana: User) -> None:
    assert_back_at_once(browser, growth_chart, "login_required", "prompt.none", prompt="none")
    sign_in(browser, ana)
    assert_back_at_once(browser, growth_chart, "consent_required", "prompt.none", prompt="none")
    assert_back_at_once(browser, growth_chart, "consent_required", "prompt.none", prompt="none", max_age="3600")
    signed_in_ago(browser, minutes=2)
    assert_back_at_once(browser, growth_chart, "login_required", "prompt.max_age", prompt="none", max_age="60")


@pytest.mark.requirement("AUTHZ-23", "AUTHZ-24")
@pytest.mark.parametrize("params", [{"prompt": "login"}, {"prompt": "consent login"}, {"max_age": "0"}], ids=str)
def test_the_app_may_ask_for_a_fresh_proof(
    browser: Browser, growth_chart: App, ana: User, params: dict[str, str]
) -> None:
    sign_in(browser, ana)
    before = signed_in_ago(browser, seconds=30)
    path = begin(browser, growth_chart, **params)
    answer = browser.get(path)
    assert_sent_to(answer, AGAIN, path)
    assert "Is it still you?" in browser.get(answer.headers["Location"]).content.decode()
    assert pending().user is None
    wrong = browser.post(AGAIN, {"password": "wrong", "next": path})
    assert wrong.status_code == 200
    assert_sent_to(browser.get(path), AGAIN, path)
    sign_in(browser, ana, then=path)
    page = browser.get(path)
    assert page.status_code == 200
    callback(decide(browser, path, page), growth_chart.redirect_uri)
    auth_time = Authorization.objects.get().auth_time
    assert auth_time is not None
    assert auth_time > before
    assert auth_time >= pending().created_at


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.parametrize("params", [{"prompt": "login"}, {"max_age": "0"}], ids=str)
def test_a_sign_in_for_this_very_request_is_fresh(
    browser: Browser, growth_chart: App, ana: User, params: dict[str, str]
) -> None:
    path = begin(browser, growth_chart, **params)
    assert_sent_to(browser.get(path), "/account/login/", path)
    sign_in(browser, ana, then=path)
    assert browser.get(path).status_code == 200


@pytest.mark.requirement("AUTHZ-23", "AUTHZ-24")
@pytest.mark.parametrize(("max_age", "again"), [("60", True), ("119", True), ("300", False), ("86400", False)])
def test_a_sign_in_gets_too_old_for_an_app(
    browser: Browser, growth_chart: App, ana: User, max_age: str, again: bool
) -> None:
    sign_in(browser, ana)
    signed_in_ago(browser, minutes=2)
    path = begin(browser, growth_chart, max_age=max_age)
    answer = browser.get(path)
    if again:
        assert_sent_to(answer, AGAIN, path)
    else:
        assert answer.status_code == 200


def test_a_form_does_not_get_round_the_fresh_proof(browser: Browser, growth_chart: App, ana: User) -> None:
    sign_in(browser, ana)
    path = begin(browser, growth_chart, prompt="login")
    form = {"page": str(pending().page), "decision": "allow", "scope": ["offline_access"]}
    assert_sent_to(browser.post(path, form), AGAIN, path)
    assert_no_grant()


# Whose browser


def test_the_first_browser_gets_a_cookie_of_this_session_for_these_pages(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    path = begin(browser, growth_chart)
    cookie = browser.get(path).cookies[COOKIE]
    assert (cookie["path"], cookie["samesite"], cookie["httponly"], cookie["secure"]) == ("/auth/", "Lax", True, "")
    assert (cookie["expires"], cookie["max-age"], cookie["domain"]) == ("", "", "")
    assert len(cookie.value) >= 43
    assert pending().browser == digest(cookie.value)
    assert COOKIE not in open_consent(browser, path, ana).cookies


@pytest.mark.requirement("SEC-07")
def test_with_https_the_cookie_is_secure(browser: Browser, growth_chart: App, configure: Configure) -> None:
    configure(base_url="https://auth.example.org")
    path = begin(browser, growth_chart, aud="https://auth.example.org/fhir/sandbox/r4")
    assert browser.get(path).cookies[COOKIE]["secure"]


def test_one_cookie_serves_every_launch_of_a_browser(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana)
    cookie = browser.cookies[COOKIE].value
    path = begin(browser, growth_chart)
    assert COOKIE not in browser.get(path).cookies
    assert {one.browser for one in PendingAuthorization.objects.all()} == {digest(cookie)}


@pytest.mark.requirement("AUTHZ-29")
def test_another_browser_cannot_take_part(browser: Browser, growth_chart: App, ana: User, ben: User) -> None:
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, ana)
    before = PendingAuthorization.objects.values().get()
    stranger = Browser()
    receipt = page_refusal(stranger.get(path), 403)
    assert (receipt.rule, receipt.client_id, receipt.tenant) == ("pending.browser", "growth-chart", "sandbox")
    for user in (ana, ben):
        stranger = Browser()
        launch(stranger, growth_chart, user)
        Authorization.objects.all().delete()
        for target in (path, f"{path}/patient"):
            assert page_refusal(stranger.get(target), 403).rule == "pending.browser"
            form = answer_form(page) | {"patient": "ben"}
            assert page_refusal(stranger.post(target, form), 403).rule == "pending.browser"
    assert PendingAuthorization.objects.filter(pk=before["id"]).values().get() == before
    assert_no_grant()
    assert callback(decide(browser, path, page), growth_chart.redirect_uri)["code"]
    assert Authorization.objects.get().user == ana


def test_a_request_opened_elsewhere_first_is_lost_here(browser: Browser, growth_chart: App, ana: User) -> None:
    sign_in(browser, ana)
    path = begin(browser, growth_chart)
    Browser().get(path)
    answer = browser.get(path)
    assert page_refusal(answer, 403).rule == "pending.browser"
    assert COOKIE not in answer.cookies
    assert pending().user is None


def test_a_browser_that_keeps_no_cookies_is_told_so(growth_chart: App) -> None:
    path = begin(Browser(), growth_chart)
    assert Browser().get(path).status_code == 302
    answer = Browser().get(path)
    assert page_refusal(answer, 403).rule == "pending.browser"
    assert "cookies" in answer.content.decode()


def test_a_forged_cookie_is_another_browser(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    browser.get(path)
    for forged in (pending().browser, "", browser.cookies[COOKIE].value + "x", "\u00e9"):
        browser.cookies[COOKIE] = forged
        assert page_refusal(browser.get(path), 403).rule == "pending.browser"


def test_loading_the_page_again_after_the_records_came_back_goes_on(
    browser: Browser, growth_chart: App, ana: User, small: Behind
) -> None:
    sign_in(browser, ana)
    path = begin(browser, growth_chart)  # The first request of a browser that is signed in already.
    small.fail(kind="status", status=503)
    answer = browser.get(path)
    assert records_away(answer).rule == "records.unavailable"
    small.fail(kind="none")
    assert browser.get(path).status_code == 200


# For how long, and how often


@pytest.mark.parametrize("kind", ["", "/patient"])
def test_an_unknown_request_is_not_here(browser: Browser, growth_chart: App, ana: User, kind: str) -> None:
    path = f"/auth/consent/6f1d3f7e-0f4e-4b57-9d3c-0a4c0a3c6e11{kind}"
    for _ in range(2):
        for answer in (browser.get(path), browser.post(path, {"decision": "allow"})):
            assert page_refusal(answer, 404).rule == "pending.unknown"
        sign_in(browser, ana)


@pytest.mark.parametrize("kind", ["", "/patient"])
def test_what_was_not_answered_in_time_is_over(browser: Browser, growth_chart: App, parent: User, kind: str) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, parent, patient="ana")) | {"patient": "ben"}
    for moment in (timezone.now(), timezone.now() - timedelta(days=1)):
        PendingAuthorization.objects.update(created_at=moment - timedelta(minutes=15), expires_at=moment)
        for answer in (browser.get(path + kind), browser.post(path + kind, form)):
            assert page_refusal(answer, 410).rule == "pending.expired"
            assert "15 minutes" in answer.content.decode()
    assert (pending().answered_at, pending().patient) == (None, "ana")
    assert_no_grant()


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_what_was_answered_is_not_answered_again(
    browser: Browser, growth_chart: App, parent: User, decision: str
) -> None:
    path = begin(browser, growth_chart)
    page = open_consent(browser, path, parent, patient="ana")
    decide(browser, path, page, decision)
    before = PendingAuthorization.objects.values().get()
    records = [*Authorization.objects.values(), *AuthorizationCode.objects.values()]
    audited = AuditRecord.objects.filter(action="consent").count()
    assert before["answered_at"] is not None
    for again in ("allow", "deny"):
        form = answer_form(page, again) | {"patient": "ben"}
        for target in (path, f"{path}/patient"):
            for answer in (browser.get(target), browser.post(target, form)):
                assert page_refusal(answer, 409).rule == "pending.answered"
    assert PendingAuthorization.objects.values().get() == before
    assert [*Authorization.objects.values(), *AuthorizationCode.objects.values()] == records
    assert AuditRecord.objects.filter(action="consent").count() == audited == 1


def test_loading_the_page_again_changes_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    first = open_consent(browser, path, ana)
    before = PendingAuthorization.objects.values().get()
    second = browser.get(path)
    assert page_number(second) == page_number(first)
    assert PendingAuthorization.objects.values().get() == before
    assert callback(decide(browser, path, first), growth_chart.redirect_uri)["code"]


def test_two_requests_in_one_browser_do_not_mix(browser: Browser, growth_chart: App, parent: User) -> None:
    sign_in(browser, parent)
    first, second = (begin(browser, growth_chart) for _ in range(2))
    page_of_first = open_consent(browser, first, parent, patient="ana")
    page_of_second = open_consent(browser, second, parent, patient="ben")
    assert browser.post(second, answer_form(page_of_first)).status_code == 409
    assert_no_grant()
    for path, page, patient in ((first, page_of_first, "ana"), (second, page_of_second, "ben")):
        decide(browser, path, page)
        assert Authorization.objects.latest("created_at").context["patient"] == patient


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
@pytest.mark.parametrize("kind", ["", "/patient"])
def test_other_methods_are_refused(browser: Browser, growth_chart: App, kind: str, method: str) -> None:
    answer = browser.generic(method, begin(browser, growth_chart) + kind)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    assert pending().browser == ""


# Whose turn


@pytest.mark.requirement("AUTHZ-29")
def test_a_form_shown_to_one_user_decides_nothing_for_the_next(
    browser: Browser, growth_chart: App, ana: User, ben: User
) -> None:
    path = begin(browser, growth_chart)
    page_of_ana = open_consent(browser, path, ana)
    sign_out(browser)
    sign_in(browser, ben)
    for decision in ("allow", "deny"):  # Before ben has seen anything.
        answer = browser.post(path, answer_form(page_of_ana, decision))
        receipt = page_refusal(answer, 409)
        assert (receipt.rule, receipt.client_id) == ("consent.outdated", "growth-chart")
    assert (pending().answered_at, pending().user, pending().patient) == (None, ben, "")
    page_of_ben = browser.get(path)
    assert page_number(page_of_ben) != page_number(page_of_ana)
    assert "Ben Okafor" in page_of_ben.content.decode()
    assert "Lindqvist" not in page_of_ben.content.decode()
    for decision in ("allow", "deny"):  # Now it is bound to ben.
        assert page_refusal(browser.post(path, answer_form(page_of_ana, decision)), 409).rule == "consent.outdated"
    assert_no_grant()
    assert not AuditRecord.objects.filter(action="consent").exists()
    assert callback(decide(browser, path, page_of_ben), growth_chart.redirect_uri)["code"]
    granted = Authorization.objects.get()
    assert (granted.user, granted.context["patient"]) == (ben, "ben")
    assert AuthorizationCode.objects.get().user == ben


def test_the_form_of_the_second_user_decides_nothing_for_the_first(
    browser: Browser, growth_chart: App, ana: User, ben: User
) -> None:
    path = begin(browser, growth_chart)
    page_of_ana = open_consent(browser, path, ana)
    sign_out(browser)
    page_of_ben = open_consent(browser, path, ben)
    sign_out(browser)
    sign_in(browser, ana)
    for page in (page_of_ben, page_of_ana):  # Her own page is old as well: she has to look again.
        assert page_refusal(browser.post(path, answer_form(page)), 409).rule == "consent.outdated"
    assert_no_grant()
    assert callback(decide(browser, path, browser.get(path)), growth_chart.redirect_uri)["code"]
    granted = Authorization.objects.get()
    assert (granted.user, granted.context["patient"]) == (ana, "ana")


def test_the_patient_one_user_chose_is_not_the_next_ones(
    browser: Browser, growth_chart: App, parent: User, dr_grey: User
) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, parent, patient="ben"))
    sign_out(browser)
    sign_in(browser, dr_grey)
    answer = browser.get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{path}/patient")
    assert pending().patient == ""
    assert page_refusal(browser.post(path, form), 409).rule == "consent.outdated"
    assert_no_grant()


def test_a_page_number_out_of_thin_air_decides_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    form = answer_form(open_consent(browser, path, ana))
    for page in ("", "x", str(pending().pk), form["page"].upper(), form["page"] + " ", [form["page"], "x"], None):
        forged = {name: value for name, value in {**form, "page": page}.items() if value is not None}
        assert page_refusal(browser.post(path, forged), 409).rule == "consent.outdated"
    assert pending().answered_at is None
    assert_no_grant()


# What changes meanwhile: see also test_changed_midway.py


def test_a_stopped_app_is_not_even_told_that_nobody_is_signed_in(browser: Browser, growth_chart: App) -> None:
    path = begin(browser, growth_chart, prompt="none")
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert page_refusal(browser.get(path), 403).rule == "client.suspended"


# Forms are posted from our own pages only


def form_token(page: HttpResponse) -> str:
    found = CSRF.search(page.content.decode())
    assert found, page.content.decode()
    return found[1]


def sign_in_strictly(browser: Browser, user: User, path: str) -> None:
    """Sign in in a browser whose forms need the token of the page."""
    cache.clear()
    page = browser.get(f"/account/login/?{urlencode({'next': path})}")
    form = {"login": user.get_username(), "password": PASSWORD, "next": path, "csrfmiddlewaretoken": form_token(page)}
    assert browser.post("/account/login/", form).headers["Location"] == path


OF_OURS = {"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-origin"}
FORGED: list[tuple[dict[str, Any], str | None]] = [
    # what the browser says of where the form stood, its token (None: the right one)
    (OF_OURS, ""),
    (OF_OURS, "x" * 64),
    ({}, ""),
    ({"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "cross-site"}, None),
    ({"HTTP_ORIGIN": "https://evil.example"}, None),
    ({"HTTP_ORIGIN": "https://cardio.example.org"}, None),
]


@pytest.mark.requirement("AUTHZ-29")
@pytest.mark.parametrize(("meta", "token"), FORGED, ids=str)
def test_a_form_from_elsewhere_neither_chooses_nor_decides(
    growth_chart: App, parent: User, meta: dict[str, Any], token: str | None
) -> None:
    browser = Browser(enforce_csrf_checks=True)
    path = begin(browser, growth_chart)
    browser.get(path)
    sign_in_strictly(browser, parent, path)
    browser.get(path)
    shown = form_token(browser.get(f"{path}/patient"))
    forged = shown if token is None else token
    choice = {"patient": "ben", "csrfmiddlewaretoken": forged}
    receipt = page_refusal(browser.post(f"{path}/patient", choice, **meta), 403)
    assert receipt.rule == "page.403"
    assert pending().patient == ""
    browser.post(f"{path}/patient", choice | {"csrfmiddlewaretoken": shown}, **OF_OURS)
    assert pending().patient == "ben"
    page = browser.get(path)
    for decision in ("allow", "deny"):
        form = answer_form(page, decision) | {"csrfmiddlewaretoken": forged}
        assert page_refusal(browser.post(path, form, **meta), 403).rule == "page.403"
    assert pending().answered_at is None
    assert not AuditRecord.objects.filter(action="consent").exists()
    assert_no_grant()
    good = answer_form(page) | {"csrfmiddlewaretoken": form_token(page)}
    assert callback(browser.post(path, good, **OF_OURS), growth_chart.redirect_uri)["code"]


@pytest.mark.requirement("AUTHZ-02")
def test_an_app_has_no_token_and_needs_none_to_begin(growth_chart: App) -> None:
    browser = Browser(enforce_csrf_checks=True)
    answer = browser.post(
        AUTHORIZE,
        urlencode(authorize_params()),
        content_type="application/x-www-form-urlencoded",
        headers={"Origin": "https://cardio.example.org", "Sec-Fetch-Site": "cross-site"},
    )
    assert answer.status_code == 303
    assert not Receipt.objects.exists()
    assert PendingAuthorization.objects.count() == 1
