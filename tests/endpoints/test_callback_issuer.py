"""Who issued a code, said on the callback where the operator wants it.  RFC 9207 §2."""

from typing import Any
from urllib.parse import urlencode

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.people.models import User
from tests.conftest import Configure
from tests.endpoints.app_launch import App, begin, callback, decide, make_app, open_consent
from tests.factories import phone_app, web_app
from tests.flows.javascript import Library, Refused, oauth4webapi, start_library

__all__ = ["oauth4webapi", "start_library"]

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


@pytest.mark.requirement("META-02")
@pytest.mark.parametrize("switched_on", [False, True])
def test_oauth4webapi_takes_what_the_metadata_promises_and_nothing_else(
    growth_chart: App, ana: User, configure: Configure, oauth4webapi: Library, switched_on: bool
) -> None:
    configure(callback_iss=switched_on)
    metadata = Browser().get("/.well-known/oauth-authorization-server").json()
    answer = told(Browser(), growth_chart, ana, "allow")

    def judged(parameters: dict[str, str]) -> Any:
        url = f"{growth_chart.redirect_uri}?{urlencode(parameters)}"
        known = {"metadata": metadata, "client_id": growth_chart.client_id, "state": answer["state"]}
        return oauth4webapi.ask("callback", session="callbacks", url=url, **known)

    assert judged(answer) == answer
    without = {name: value for name, value in answer.items() if name != "iss"}
    for broken in (answer | {"iss": "https://mallory.example.org"}, *([without] if switched_on else [])):
        with pytest.raises(Refused) as refused:
            judged(broken)
        assert refused.value.code == "OAUTH_INVALID_RESPONSE"
