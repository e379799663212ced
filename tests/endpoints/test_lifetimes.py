"""Tokens of a client whose operator set their lifetimes last just so long.  RFC 6749 §5.1; RFC 9700 §4.14."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Client
from smartauth.models import AccessToken, Authorization, RefreshToken
from smartauth.people.models import User
from tests.endpoints.app_launch import App
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.test_token_refresh_token import Refresh, Start, refresh, start

__all__ = ["refresh", "start"]

pytestmark = [pytest.mark.usefixtures("small"), pytest.mark.requirement("REG-11")]


def about(moment: datetime, lifetime: timedelta) -> bool:
    """Return True where `moment` is that far from now, give or take what a request takes."""
    return abs(moment - timezone.now() - lifetime) < timedelta(seconds=20)


@pytest.mark.parametrize(("seconds", "told"), [(None, 300), (60, 60), (120, 120), (3_600, 300)])
def test_tokens_of_a_service(post: Post, bulk_loader: Service, seconds: int | None, told: int) -> None:
    Client.objects.update(access_token_lifetime=seconds)
    answer = post(TOKEN, {**GRANT, **bulk_loader.credentials()})
    assert answer.json()["expires_in"] == told
    assert about(AccessToken.objects.get().expires, timedelta(seconds=told))


@pytest.mark.parametrize("seconds", [60, 900, 3_600])
def test_access_tokens_of_an_app(start: Start, refresh: Refresh, seconds: int) -> None:
    Client.objects.update(access_token_lifetime=seconds)
    tokens = start()
    assert tokens["expires_in"] == seconds
    assert refresh(tokens["refresh_token"]).json()["expires_in"] == seconds
    assert all(about(row.expires, timedelta(seconds=seconds)) for row in AccessToken.objects.all())


def test_refresh_tokens_of_an_app(start: Start, refresh: Refresh) -> None:
    Client.objects.update(refresh_token_days=7)
    tokens = start()
    refresh(tokens["refresh_token"])
    assert all(about(row.expires, timedelta(days=7)) for row in RefreshToken.objects.all())
    assert about(Authorization.objects.get().expires_at, timedelta(days=7))


def test_people_are_told_how_long_an_app_stays(
    start: Start, growth_chart: App, ana: User, browser: Browser, tenant: Any
) -> None:
    Client.objects.update(refresh_token_days=1)
    start()
    browser.force_login(ana)
    page = browser.get("/account/apps/").content.decode()
    assert "another 1 day begins." in page
    Client.objects.update(refresh_token_days=2)
    assert "another 2 days begin." in browser.get("/account/apps/").content.decode()
