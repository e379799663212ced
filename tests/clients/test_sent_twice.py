"""A form that is pressed twice without scripts: it does its work once, and what is secret is seen all the same.

RFC 7591 §3.2.1: a secret is told when it is made, and kept as a digest.
"""

from functools import partial

import pytest
from django.core.cache import cache
from django.test import Client as Browser

from clients.models import Client, Draft
from clients.portal import once
from smartauth.digests import digest
from smartauth.people.models import User
from smartauth.sealing import decrypt
from tests.clients.at_once import at_once
from tests.clients.portal_pages import HOST, IDENTITY, Texts, begin, partner, step_url
from tests.factories import make_client, make_tenant, web_app

CONNECTION = {
    "application_type": "web",
    "redirect_uris": "https://app.example.org/callback",
    "token_endpoint_auth_method": "client_secret_basic",
}
DATA = {"data": ["Patient.r"], "named": ["launch/patient"], "tenants": ["sandbox"]}


@pytest.fixture
def kim() -> Browser:
    make_tenant()
    return partner()[1]


def filled(browser: Browser, **connection: str) -> Draft:
    draft = begin(browser, "patient")
    for name, form in (("identity", IDENTITY), ("connection", CONNECTION | connection), ("data", DATA)):
        browser.post(step_url(draft, name), form)
    return draft


def number_on(browser: Browser, path: str) -> str:
    [found] = Texts(browser.get(path)).values("form")
    return found


def secret_in(answer: object) -> str:
    return Texts(answer).by_id["secret"]  # type: ignore[arg-type]


@pytest.mark.django_db
@pytest.mark.requirement("REG-10")
def test_the_second_press_shows_the_same_secret_and_registers_nothing_more(kim: Browser) -> None:
    draft = filled(kim)
    form = {"form": number_on(kim, step_url(draft, "review"))}
    first, second = (kim.post(step_url(draft, "submit"), form) for _ in range(2))
    assert (first.status_code, second.status_code) == (200, 200)
    assert secret_in(first) == secret_in(second)
    assert digest(secret_in(first)) == Client.objects.get().client_secret


@pytest.mark.django_db
def test_the_second_press_for_an_app_without_a_secret_comes_to_the_app(kim: Browser) -> None:
    draft = filled(kim, token_endpoint_auth_method="none")
    form = {"form": number_on(kim, step_url(draft, "review"))}
    answers = [kim.post(step_url(draft, "submit"), form) for _ in range(2)]
    page = f"/developers/apps/{Client.objects.get().client_id}"
    assert [(one.status_code, one.headers["Location"]) for one in answers] == [(302, page)] * 2


@pytest.mark.django_db
def test_the_second_press_makes_no_third_secret_and_leaves_the_former_good() -> None:
    user, browser = partner("lee")
    made = make_client(web_app(), owner=user.pk)
    path = f"/developers/apps/{made.client.client_id}"
    form = {"form": number_on(browser, path), "former": "stays"}
    first, second = (secret_in(browser.post(f"{path}/secret", form)) for _ in range(2))
    assert first == second
    client = Client.objects.get()
    assert (client.client_secret, client.previous_client_secret) == (digest(first), digest(str(made.secret)))


def other_form(browser: Browser, user: User) -> tuple[Browser, dict[str, str]]:
    return browser, {"form": "another"}


def no_form(browser: Browser, user: User) -> tuple[Browser, dict[str, str]]:
    return browser, {}


def other_session(browser: Browser, user: User) -> tuple[Browser, dict[str, str]]:
    other = Browser(HTTP_HOST=HOST)
    other.force_login(user)
    return other, {}


def a_minute_later(browser: Browser, user: User) -> tuple[Browser, dict[str, str]]:
    cache.clear()  # What the database does with what has expired.
    return browser, {}


@pytest.mark.django_db
@pytest.mark.parametrize("ask", [other_form, other_session, no_form, a_minute_later])
def test_nobody_else_and_no_other_form_is_shown_it(ask: object) -> None:
    make_tenant()
    user, browser = partner()
    draft = filled(browser)
    form = {"form": number_on(browser, step_url(draft, "review"))}
    secret = secret_in(browser.post(step_url(draft, "submit"), form))
    who, changed = ask(browser, user)  # type: ignore[operator]
    sent = changed if ask in (no_form, other_form) else form | changed
    answer = who.post(step_url(draft, "submit"), sent)
    assert answer.status_code == 404
    assert secret not in answer.content.decode()


@pytest.mark.django_db
def test_what_is_kept_for_the_minute_opens_with_the_number_of_the_form_alone(
    kim: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept: list[tuple[str, str, int]] = []
    monkeypatch.setattr(cache, "set", lambda *stored: kept.append(stored))
    draft = filled(kim)
    number = number_on(kim, step_url(draft, "review"))
    secret = secret_in(kim.post(step_url(draft, "submit"), {"form": number}))
    [(name, sealed, seconds)] = [one for one in kept if one[0].startswith("sent:")]
    assert seconds == once.ANSWERS.kept == 60
    assert number not in name
    assert secret not in decrypt(sealed, purpose=once.ANSWERS.purpose).decode()


@pytest.mark.django_db(transaction=True)
def test_two_presses_at_once_register_once_and_both_show_the_secret() -> None:
    make_tenant()
    user, browser = partner()
    draft = filled(browser)
    form = {"form": number_on(browser, step_url(draft, "review"))}
    answers = at_once(*[partial(browser.post, step_url(draft, "submit"), form)] * 2)
    assert len({secret_in(one) for one in answers}) == 1
    client = Client.objects.get(user=user)
    path = f"/developers/apps/{client.client_id}"
    form = {"form": number_on(browser, path), "former": "stays"}
    again = {secret_in(one) for one in at_once(*[partial(browser.post, f"{path}/secret", form)] * 2)}
    assert len(again) == 1
    former, client = client.client_secret, Client.objects.get()
    assert (client.client_secret, client.previous_client_secret) == (digest(again.pop()), former)
