"""The page on which a partner makes and withdraws tokens of the developer API."""

import re

import pytest
from django.test import Client as Browser

from clients import api_tokens
from clients.models import ApiToken
from smartauth.people.models import User
from tests.api.conftest import Program, make_user

PAGE = "/developers/tokens"


@pytest.fixture
def browser(kim: User) -> Browser:
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(kim)
    return browser


def test_a_token_is_shown_on_the_page_that_made_it_and_on_no_other(browser: Browser) -> None:
    made = browser.post(PAGE, {"label": "<b>CI</b>", "days": "30"})
    (token,) = re.findall(r"devapi_[A-Za-z0-9_-]{43}", made.content.decode())
    assert "<b>CI</b>" not in made.content.decode()
    assert made["Cache-Control"] == "no-store"
    assert Program(token).ask("GET", "clients").status_code == 200
    page = browser.get(PAGE).content.decode()
    assert token not in page
    assert "Last used" in page
    row = ApiToken.objects.get()
    assert (row.expires_at - row.created_at).days == 30
    left = browser.post(f"{PAGE}/{row.pk}/withdraw")
    assert (left.status_code, left["Location"]) == (302, PAGE)
    assert Program(token).ask("GET", "clients").status_code == 401


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"label": "", "days": "30"}, 400),
        ({"label": "a" * 101, "days": "30"}, 400),
        ({"label": "a\0", "days": "30"}, 400),
        ({"label": "Nightly", "days": "31"}, 400),
        ({"label": "Nightly"}, 400),
    ],
)
def test_what_is_wrong_is_said_and_what_was_typed_stays(browser: Browser, form: dict[str, str], status: int) -> None:
    answer = browser.post(PAGE, form)
    assert answer.status_code == status
    assert 'aria-invalid="true"' in answer.content.decode()
    assert form["label"].strip("\0") in answer.content.decode()
    assert not ApiToken.objects.exists()


def test_there_is_a_most_of_them(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api_tokens, "MOST_TOKENS", 0)
    answer = browser.post(PAGE, {"label": "Nightly", "days": "30"})
    assert (answer.status_code, "Nightly" in answer.content.decode()) == (409, True)


def test_somebody_elses_token_is_not_there(browser: Browser, mallorys: Program) -> None:
    row = ApiToken.objects.get()
    assert browser.post(f"{PAGE}/{row.pk}/withdraw").status_code == 404
    assert "tests" not in browser.get(PAGE).content.decode().partition("Your tokens")[2]
    assert ApiToken.objects.filter(pk=row.pk).exists()


def test_a_token_opens_no_page(kims: Program) -> None:
    answer = kims.ask("GET", PAGE)
    assert (answer.status_code, answer["Location"].partition("?")[0]) == (302, "/account/login/")


def test_a_visitor_signs_in_first(db: None) -> None:
    make_user("somebody")
    assert Browser(HTTP_HOST="127.0.0.1:8000").get(PAGE).status_code == 302
