"""Forms of our own pages work although they send no referrer; forms of others do not.  RFC 9700 §4.7."""

import re
from typing import Any

import pytest
from django.test import Client as Browser

from smartauth.people.models import User

PASSWORD = "correct horse battery staple"


@pytest.fixture
def browser(db: None) -> Browser:
    User.objects.create_user("ana", password=PASSWORD)
    return Browser(enforce_csrf_checks=True)


def sign_in(browser: Browser, token: str | None = None, **meta: Any) -> int:
    page = browser.get("/account/login/").content.decode()
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found
    form = {"login": "ana", "password": PASSWORD, "csrfmiddlewaretoken": found[1] if token is None else token}
    return browser.post("/account/login/", form, **meta).status_code


ORIGINS = [
    ({"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-origin"}, 302),
    ({"HTTP_ORIGIN": "null"}, 302),
    ({"HTTP_ORIGIN": "http://127.0.0.1:8000"}, 302),
    ({"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "cross-site"}, 403),
    ({"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-site"}, 403),
    ({"HTTP_ORIGIN": "https://evil.example.org"}, 403),
]


@pytest.mark.parametrize(("meta", "status"), ORIGINS)
def test_a_form_is_accepted_from_our_own_pages_only(browser: Browser, meta: dict[str, str], status: int) -> None:
    assert sign_in(browser, **meta) == status


@pytest.mark.parametrize("meta", [{"HTTP_ORIGIN": "null", "HTTP_SEC_FETCH_SITE": "same-origin"}, {}], ids=str)
def test_without_the_forms_token_nothing_is_accepted(browser: Browser, meta: dict[str, str]) -> None:
    assert sign_in(browser, token="x" * 64, **meta) == 403
