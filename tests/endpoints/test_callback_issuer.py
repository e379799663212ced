"""Who issued a code, said on the callback where the operator wants it.  RFC 9207 §2."""

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.people.models import User
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    App,
    _small,
    ana,
    begin,
    callback,
    calm,
    decide,
    growth_chart,
    make_app,
    open_consent,
    small,
)
from tests.factories import phone_app, web_app

__all__ = ["_small", "ana", "calm", "growth_chart", "small"]

pytestmark = [pytest.mark.usefixtures("small"), pytest.mark.requirement("AUTHZ-15", "AUTHZ-18")]

ISSUER = "http://127.0.0.1:8000"


def told(browser: Browser, app: App, user: User, decision: str) -> dict[str, str]:
    path = begin(browser, app)
    page = open_consent(browser, path, user)
    return callback(decide(browser, path, page, decision), app.redirect_uri)


@pytest.mark.parametrize("decision", ["allow", "deny"])
def test_an_answer_names_its_issuer_exactly_where_that_is_switched_on(
    growth_chart: App, ana: User, configure: Configure, decision: str
) -> None:
    assert "iss" not in told(Browser(), growth_chart, ana, decision)
    configure(callback_iss=True)
    answer = told(Browser(), growth_chart, ana, decision)
    assert answer["iss"] == ISSUER
    assert answer.keys() == {"iss", "state"} | ({"code"} if decision == "allow" else {"error", "error_description"})


def test_it_stands_beside_the_query_of_the_app(tenant: TenantInfo, ana: User, configure: Configure) -> None:
    configure(callback_iss=True)
    app = make_app(phone_app(redirect_uris=["https://cardio.example.org/callback?tenant=7"]), tenant)
    assert told(Browser(), app, ana, "allow").keys() == {"code", "state", "iss"}


def test_an_app_on_a_device_is_told_as_well(tenant: TenantInfo, ana: User, configure: Configure) -> None:
    configure(callback_iss=True)
    metadata = web_app(application_type="native", redirect_uris=["com.example.app:/callback"])
    assert told(Browser(), make_app(metadata, tenant), ana, "allow")["iss"] == ISSUER
