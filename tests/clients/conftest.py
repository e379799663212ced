"""A host of key sets under the control of a test, and an operator in the admin site."""

from collections.abc import Iterator

import pytest
from django.contrib.auth import get_user_model
from django.test import Client as Browser

from clients import key_sets
from tests.clients.jwks_host import JwksHost, run_jwks_host


@pytest.fixture
def jwks_host() -> Iterator[JwksHost]:
    with run_jwks_host() as host:
        yield host
    key_sets._copies.clear()


@pytest.fixture
def browser(db) -> Browser:
    operator = get_user_model().objects.create_superuser("admin", password="not used here")
    browser = Browser(HTTP_HOST="127.0.0.1:8000")
    browser.force_login(operator)
    return browser
