"""People, their apps, and what ends them: launches through Django's client with a FHIR server behind."""

import pytest

from smartauth.people.models import User
from tests.endpoints.app_launch import (
    PASSWORD,
    ana,
    browser,
    calm,
    cardio,
    dr_grey,
    growth_chart,
    load,
    mallory,
    parent,
    small,
)
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
    "load",
    "mallory",
    "parent",
    "post",
    "refresh",
    "register",
    "signing_key",
    "small",
    "start",
    "tenant",
]


@pytest.fixture
def root(db: None) -> User:
    """Somebody who may do everything."""
    return User.objects.create_superuser("root", password=PASSWORD)


@pytest.fixture(autouse=True)
def _signs(signing_key: None) -> None:
    """Have ID tokens signed in every test here."""
