"""What comes back to our callback through the browser: everything but one right answer ends on a page, or at the app.

OIDC Core §3.1.2.5 and §3.1.2.6; RFC 6749 §4.1.2 and §10.12; RFC 9207 §2.4.
"""

from collections.abc import Callable
from datetime import timedelta
from threading import Barrier
from typing import TypeVar
from urllib.parse import quote

import pytest
from django.contrib.sessions.backends.db import SessionStore
from django.contrib.sessions.middleware import SessionMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import Client as Browser
from django.test import RequestFactory
from django.utils import timezone

from smartauth.people.models import User
from smartauth.people.upstream import attempts
from smartauth.receipts.models import Receipt
from tests.clients.at_once import at_once
from tests.endpoints.app_launch import App, callback, page_refusal, sign_in
from tests.endpoints.app_launch import begin as begin_app
from tests.sign_in.odd_provider import (
    MARKUP,
    METADATA,
    START,
    Answer,
    Odd,
    answered,
    begin,
    come_back,
    hang,
    nobody_in,
    promise,
)

T = TypeVar("T")
CALLBACK = "/account/upstream/callback"

# With ours standing for the right state and issuer.    status, rule
ANSWERS = [
    ("", 400, "upstream.state"),
    ("code=c", 400, "upstream.state"),
    ("state=&code=c", 400, "upstream.state"),
    ("state=x&code=c", 400, "upstream.state"),
    ("state={state}x&code=c", 400, "upstream.state"),
    ("state={state}%00&code=c", 400, "upstream.state"),
    ("state={state}&state={state}&code=c", 400, "http.parameter_repeated"),
    ("state=x&state={state}&code=c", 400, "http.parameter_repeated"),
    ("STATE={state}&code=c", 400, "upstream.state"),
    ("state[]={state}&code=c", 400, "upstream.state"),
    ("state={state}&code=c&x=\xff", 400, "http.encoding"),
    ("state={state}&code=%ff", 400, "http.encoding"),
    ("state={state}&code=c%00", 400, "http.encoding"),
    ("state={state}&code=c&code=d", 400, "http.parameter_repeated"),
    ("state={state}&code=c&iss={iss}&iss=https://evil.example", 400, "http.parameter_repeated"),
    ("state={state}&error=access_denied&error=x", 400, "http.parameter_repeated"),
    ("state={state}", 502, "upstream.code"),
    ("state={state}&code=", 502, "upstream.code"),
    ("state={state}&code=c&iss=https://evil.example", 502, "upstream.iss"),
    ("state={state}&code=c&iss={iss}/", 502, "upstream.iss"),
    ("state={state}&code=c&iss={markup}", 502, "upstream.iss"),
    ("state={state}&error=access_denied&iss=https://evil.example", 502, "upstream.iss"),
    ("state={state}&error=access_denied", 403, "upstream.error"),
    ("state={state}&error=access_denied&code=c", 403, "upstream.error"),
    ("state={state}&error={markup}&error_description={markup}&error_uri=javascript:alert(1)", 403, "upstream.error"),
    ("state={state}&error=x&error_description={long}", 403, "upstream.error"),
]


@pytest.mark.parametrize(("query", "status", "rule"), ANSWERS)
def test_every_answer_but_the_right_one_ends_on_a_page(
    odd: Odd, user: User, browser: Browser, query: str, status: int, rule: str
) -> None:
    asked = begin(browser)
    promise(odd, asked)
    put = {"state": asked["state"], "iss": odd.issuer, "markup": quote(MARKUP), "long": "x" * 3_000}
    page = browser.get(CALLBACK, QUERY_STRING=query.format(**put))
    receipt = page_refusal(page, status)
    assert receipt.rule == rule
    assert receipt.fix
    assert "alert(" not in page.content.decode() + receipt.reason + receipt.fix
    assert nobody_in(browser)
    assert odd.asked("/token") == 0


@pytest.mark.parametrize(("iss", "is_good"), [("&iss={iss}", True), ("", False), ("&iss=", False), ("&iss=x", False)])
def test_a_provider_that_promised_to_name_itself_does(
    odd: Odd, user: User, browser: Browser, iss: str, is_good: bool
) -> None:
    odd.publish(authorization_response_iss_parameter_supported=True)
    asked = begin(browser)
    promise(odd, asked)
    page = answered(browser, asked, "&code=c" + iss.format(iss=quote(odd.issuer)))
    if not is_good:
        assert page_refusal(page, 502).rule == "upstream.iss"
    assert nobody_in(browser) is not is_good


@pytest.mark.parametrize("path", [START, CALLBACK])
def test_neither_page_takes_a_form(odd: Odd, user: User, path: str) -> None:
    for checks in (False, True):  # Of the origin: forms of others are stopped before.
        browser = Browser(enforce_csrf_checks=checks)
        asked = begin(browser)
        promise(odd, asked)
        page = browser.post(path, {"state": asked["state"], "code": "c"}, headers={"Origin": odd.issuer})
        assert page.status_code == (403 if checks else 405)
        assert "Location" not in page.headers
        assert nobody_in(browser)
        assert answered(browser, asked).status_code == 302  # And nothing was used up.


def test_an_answer_counts_in_the_browser_that_asked_and_once(odd: Odd, user: User, browser: Browser) -> None:
    asked = begin(browser)
    promise(odd, asked)
    stranger = Browser()
    begin(stranger)
    assert page_refusal(answered(stranger, asked), 400).rule == "upstream.state"
    assert nobody_in(stranger)
    assert answered(browser, asked).status_code == 302
    assert page_refusal(answered(browser, asked), 400).rule == "upstream.state"
    assert odd.asked("/token") == 1


def test_an_answer_after_a_quarter_of_an_hour_is_too_late(odd: Odd, user: User, browser: Browser) -> None:
    asked = begin(browser)
    session = browser.session
    session["upstream_attempts"][asked["state"]]["at"] -= timedelta(minutes=15).total_seconds()
    session.save()
    assert page_refusal(come_back(browser, odd, asked), 400).rule == "upstream.state"


def test_several_tabs_may_sign_in_and_one_too_many_makes_the_first_forgotten(
    odd: Odd, user: User, browser: Browser
) -> None:
    tabs = [begin(browser) for _ in range(attempts.MOST + 1)]
    assert page_refusal(come_back(browser, odd, tabs[0]), 400).rule == "upstream.state"
    for tab in tabs[1:3]:
        assert come_back(browser, odd, tab).status_code == 302
        assert not nobody_in(browser)


def test_an_answer_that_meets_somebody_else_signed_in_meanwhile_changes_nothing(
    odd: Odd, user: User, browser: Browser, ana: User
) -> None:
    asked = begin(browser)
    sign_in(browser, ana)
    assert page_refusal(come_back(browser, odd, asked), 403).rule == "upstream.other_user"
    assert browser.session["_auth_user_id"] == str(ana.pk)


def test_what_was_begun_ends_with_the_session(odd: Odd, user: User, browser: Browser) -> None:
    come_back(browser, odd, begin(browser))
    asked = begin(browser)
    browser.post("/account/logout/")
    assert page_refusal(come_back(browser, odd, asked), 400).rule == "upstream.state"
    assert nobody_in(browser)


@pytest.mark.usefixtures("small")
def test_tabs_that_ask_silently_at_once_ask_once_each(odd: Odd, browser: Browser, growth_chart: App) -> None:
    tabs = [begin_app(browser, growth_chart) for _ in range(3)]
    answers = [begin(browser, browser.get(tab).headers["Location"]) for tab in tabs]
    for tab, asked in zip(tabs, answers, strict=True):
        assert answered(browser, asked, "&error=login_required").headers["Location"] == tab
        assert browser.get(tab).headers["Location"].startswith("/account/login/")


@pytest.mark.django_db(transaction=True)
def test_tabs_at_the_same_moment_keep_each_others_attempts_and_an_answer_counts_once(rf: RequestFactory) -> None:
    shared = SessionStore()
    shared.create()

    def in_tabs(count: int, do: Callable[[HttpRequest], T]) -> list[T | Exception]:
        """Do something in as many requests of one browser, each of which has read its session before any writes it."""
        have_read = Barrier(count)

        def one_tab() -> T:
            done: list[T] = []

            def view(request: HttpRequest) -> HttpResponse:
                request.session.get("anything")
                have_read.wait(10)
                done.append(do(request))
                return HttpResponse()

            request = rf.get(START)
            request.COOKIES["sessionid"] = shared.session_key
            SessionMiddleware(view)(request)
            return done[0]

        return at_once(*[one_tab] * count)

    now = timezone.now()
    begun = in_tabs(3, lambda request: attempts.begin(request, then="", prompt="none", max_age=60, now=now)[0])
    assert set(SessionStore(shared.session_key)["upstream_attempts"]) == set(begun)
    state = str(begun[0])
    taken = in_tabs(3, lambda request: attempts.take(request, state, now=now))
    assert sorted(one is not None for one in taken) == [False, False, True]
    assert set(SessionStore(shared.session_key)["upstream_attempts"]) == set(begun[1:])


def test_a_session_that_ends_at_this_moment_takes_what_was_begun_with_it(rf: RequestFactory, db: None) -> None:
    request = rf.get(CALLBACK)
    request.session = SessionStore()
    state, _ = attempts.begin(request, then="", prompt="", max_age=60, now=timezone.now())
    request.session.save()
    assert state in request.session["upstream_attempts"]
    SessionStore(request.session.session_key).delete()
    assert attempts.take(request, state, now=timezone.now()) is None
    assert request.session.is_empty()


# What an app is told that forbids pages


SILENT: list[tuple[str, str, Answer]] = [
    ("metadata that hang", METADATA, hang),
    ("metadata that are none", METADATA, (200, b"<html>")),
    ("keys that are none", "/keys", (200, {"keys": []})),
]


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(("path", "answer"), [pytest.param(path, said, id=name) for name, path, said in SILENT])
def test_an_app_that_forbids_pages_is_told_to_have_the_person_sign_in(
    odd: Odd,
    browser: Browser,
    growth_chart: App,
    path: str,
    answer: Answer,
    lose_patience: Callable[[], None],
) -> None:
    lose_patience()
    odd.answers[path] = answer
    ours = begin_app(browser, growth_chart, prompt="none")
    back = browser.get(browser.get(ours).headers["Location"])
    assert (back.status_code, back.headers["Location"]) == (302, ours)
    assert Receipt.objects.latest("at").rule.startswith("upstream.")
    assert callback(browser.get(ours), growth_chart.redirect_uri)["error"] == "login_required"


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    ("do", "more"),
    [
        (lambda odd, asked: odd.answers.update({"/token": hang}), "&code=c"),
        (lambda odd, asked: odd.answers.update({"/token": (400, {"error": MARKUP})}), "&code=c"),
        (lambda odd, asked: promise(odd, asked, nonce="x"), "&code=c"),
        (lambda odd, asked: promise(odd, asked, sub="nobody here"), "&code=c"),
        (lambda odd, asked: promise(odd, asked, sub="nobody-here"), "&code=c"),
        (lambda odd, asked: User.objects.update(is_active=False), "&code=c"),
        (lambda odd, asked: None, ""),
        (lambda odd, asked: None, "&code=c&code=d"),
        (lambda odd, asked: None, "&code=c%00"),
        (lambda odd, asked: None, "&code=c&iss=https://evil.example"),
        (lambda odd, asked: None, f"&error={quote(MARKUP)}"),
    ],
)
def test_nor_is_it_shown_a_page_when_the_answer_is_bad(
    odd: Odd,
    user: User,
    browser: Browser,
    growth_chart: App,
    do: Callable[[Odd, dict[str, str]], None],
    more: str,
    lose_patience: Callable[[], None],
) -> None:
    ours = begin_app(browser, growth_chart, prompt="none")
    asked = begin(browser, browser.get(ours).headers["Location"])
    assert asked["prompt"] == "none"
    promise(odd, asked)
    do(odd, asked)
    lose_patience()
    back = answered(browser, asked, more)
    assert (back.status_code, back.headers["Location"]) == (302, ours)
    assert callback(browser.get(ours), growth_chart.redirect_uri)["error"] == "login_required"
    assert nobody_in(browser)


@pytest.mark.requirement("AUTHZ-24")
@pytest.mark.usefixtures("small")
def test_nor_when_the_provider_names_somebody_else_than_who_is_signed_in(
    odd: Odd, user: User, browser: Browser, growth_chart: App
) -> None:
    User.objects.create_user("lee").upstream_identities.create(issuer=odd.issuer, subject="s-lee")
    come_back(browser, odd, begin(browser))
    session = browser.session
    session["account_authentication_methods"][-1]["at"] -= 7200
    session.save()
    ours = begin_app(browser, growth_chart, prompt="none", max_age="3600")
    asked = begin(browser, browser.get(ours).headers["Location"])
    assert (asked["prompt"], asked["max_age"]) == ("none", "3600")
    assert come_back(browser, odd, asked, sub="s-lee").headers["Location"] == ours
    assert callback(browser.get(ours), growth_chart.redirect_uri)["error"] == "login_required"
    assert browser.session["_auth_user_id"] == str(user.pk)
