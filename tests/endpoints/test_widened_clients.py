"""What a client may ask for grows, and people's data only after they are asked again.  RFC 9700 §4.14."""

from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser

from clients.models import Client
from smartauth.people.models import User
from tests.endpoints.app_launch import AUTHORIZE, App, authorize_params, launch, open_consent, ticks
from tests.endpoints.test_token_refresh_token import Refresh, refresh
from tests.endpoints.token_requests import Ask, redemption

__all__ = ["refresh"]

pytestmark = pytest.mark.usefixtures("small")

BEFORE = "launch/patient offline_access patient/Observation.rs"
AFTER = f"{BEFORE} patient/Condition.rs"


@pytest.mark.requirement("REG-15")
def test_more_scopes_wait_for_the_next_consent(
    browser: Browser, ask: Ask, refresh: Refresh, growth_chart: App, ana: User
) -> None:
    Client.objects.update(scope=BEFORE)
    tokens = ask(growth_chart, redemption(launch(browser, growth_chart, ana, scope=BEFORE))).json()
    Client.objects.update(scope=AFTER)
    again = refresh(tokens["refresh_token"]).json()
    assert "patient/Condition.rs" not in again["scope"]
    assert refresh(again["refresh_token"], scope=AFTER).json()["error"] == "invalid_scope"

    answer = browser.get(AUTHORIZE, authorize_params(growth_chart, scope=AFTER))
    page = open_consent(browser, urlsplit(answer.headers["Location"]).path, ana)
    assert any(one.startswith("patient/Condition.rs") for one in ticks(page))
