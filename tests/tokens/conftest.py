"""Apps, services and people with tokens in their hands, in front of the small FHIR server."""

from collections.abc import Iterator

import pytest

from clients import key_sets
from tests.clients.conftest import jwks_host
from tests.endpoints.app_launch import ana, browser, calm, cardio, dr_grey, growth_chart, parent, small
from tests.endpoints.conftest import bulk_loader, get_token, post, register, tenant
from tests.endpoints.test_introspect import auditor
from tests.endpoints.test_token_refresh_token import refresh, start
from tests.endpoints.token_requests import _rsa_key, ask, atlas, signing_key
from tests.proxy.conftest import call

__all__ = [
    "_rsa_key",
    "ana",
    "ask",
    "atlas",
    "auditor",
    "browser",
    "bulk_loader",
    "call",
    "calm",
    "cardio",
    "dr_grey",
    "get_token",
    "growth_chart",
    "jwks_host",
    "parent",
    "post",
    "refresh",
    "register",
    "signing_key",
    "small",
    "start",
    "tenant",
]


@pytest.fixture(autouse=True)
def no_copies() -> Iterator[None]:
    """Leave no key set behind that a test published."""
    yield
    key_sets._copies.clear()


@pytest.fixture(autouse=True)
def _signs(signing_key: None) -> None:
    """Have ID tokens signed in every test here."""
