"""Guesses at a password stop whoever guesses, and the person hears of them.  NIST SP 800-63B §5.2.2."""

import pytest
from django.core.cache import cache
from django.http import HttpResponse
from django.test import Client as Browser

from smartauth.people.models import User
from tests.endpoints.app_launch import PASSWORD

pytestmark = pytest.mark.django_db

LOGIN = "/account/login/"


@pytest.fixture(autouse=True)
def kim(db: None) -> User:
    cache.clear()
    return User.objects.create_user("kim", password=PASSWORD)


def attempt(address: str, password: str = "wrong", name: str = "kim", browser: Browser | None = None) -> HttpResponse:
    answer = (browser or Browser()).post(LOGIN, {"login": name, "password": password}, REMOTE_ADDR=address)
    assert isinstance(answer, HttpResponse)
    return answer


@pytest.mark.requirement("SEC-07")
def test_five_guesses_stop_the_address_they_came_from_and_not_the_person() -> None:
    for _ in range(5):
        assert attempt("198.51.100.7").status_code == 200
    refused = attempt("198.51.100.7", PASSWORD)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "300")
    assert attempt("203.0.113.9", PASSWORD).status_code == 302


@pytest.mark.requirement("SEC-07")
def test_the_same_name_in_capitals_is_no_way_round(kim: User) -> None:
    for name in ("kim", "Kim", "KIM", "kIm", "kiM"):
        attempt("198.51.100.7", name=name)
    assert attempt("198.51.100.7", PASSWORD).status_code == 429


@pytest.mark.requirement("SEC-07")
def test_good_passwords_in_between_give_no_more_guesses() -> None:
    for _ in range(4):
        attempt("198.51.100.7")
    assert attempt("198.51.100.7", PASSWORD).status_code == 302
    assert attempt("198.51.100.7").status_code == 200
    assert attempt("198.51.100.7", PASSWORD).status_code == 429


@pytest.mark.requirement("SEC-07")
def test_guesses_from_very_many_addresses_stop_for_a_while_too(settings: pytest.FixtureRequest) -> None:
    limits = settings.ACCOUNT_RATE_LIMITS  # type: ignore[attr-defined]
    settings.ACCOUNT_RATE_LIMITS = {**limits, "login_failed_anywhere": "8/3600s/key"}  # type: ignore[attr-defined]
    for last in range(8):
        assert attempt(f"198.51.100.{last}").status_code == 200
    assert attempt("203.0.113.9", PASSWORD).status_code == 429
    assert attempt("203.0.113.9", "wrong", name="lee").status_code == 200


def test_one_address_never_reaches_the_bound_for_all(settings: pytest.FixtureRequest) -> None:
    limits = settings.ACCOUNT_RATE_LIMITS  # type: ignore[attr-defined]
    _, here = limits["login_failed"].split(",")
    assert (here, limits["login_failed_anywhere"]) == ("5/300s/key", "200/3600s/key")
    assert 5 * 3600 / 300 < 200


@pytest.mark.parametrize(("guesses", "told"), [(4, False), (5, True)])
def test_the_person_hears_of_guesses_once_at_the_next_sign_in(guesses: int, told: bool) -> None:
    for last in range(guesses):
        attempt(f"198.51.100.{last}")
    browser = Browser()
    attempt("203.0.113.9", PASSWORD, browser=browser)
    page = browser.get("/account/").content.decode()
    assert (f"Somebody entered {guesses} wrong passwords for your name" in page) == told
    assert "wrong passwords" not in browser.get("/account/").content.decode()
    again = Browser()
    attempt("203.0.113.9", PASSWORD, browser=again)
    assert "wrong passwords" not in again.get("/account/").content.decode()


def test_guesses_at_a_name_nobody_has_are_answered_alike() -> None:
    for _ in range(5):
        assert attempt("198.51.100.7", name="nobody").status_code == 200
    assert attempt("198.51.100.7", name="nobody").status_code == 429
