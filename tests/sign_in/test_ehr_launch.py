"""A launch that an EHR began names a person and signs nobody in: only the provider's own session does.

SMART 2.2 app-launch, "Launch App: EHR Launch"; decision 0052.
"""

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.people.models import UpstreamIdentity, User
from tests.endpoints.app_launch import App, begin, make_person
from tests.endpoints.conftest import get_token, post, register
from tests.endpoints.ehr import Begin, begin_answer, begin_launch, chart, ehr
from tests.sign_in.hospital import Hospital, Visitor
from tests.sign_in.test_upstream import assert_signed_in, away, silently, there_and_back

__all__ = ["begin_answer", "begin_launch", "chart", "ehr", "get_token", "post", "register"]
pytestmark = pytest.mark.usefixtures("small")


def launched(browser: Browser, app: App, handle: str) -> str:
    """Return the path on which an app goes on with a launch."""
    return begin(browser, app, scope="launch openid fhirUser patient/*.rs", launch=handle)


def test_who_is_signed_in_at_the_hospital_goes_straight_to_the_apps_question(
    browser: Browser, visitor: Visitor, grey: User, chart: App, begin_launch: Begin
) -> None:
    visitor.go(away(Browser()))
    path = launched(browser, chart, begin_launch())
    assert browser.get(path).headers["Location"] == silently(path)
    there_and_back(browser, visitor, silently(path))
    assert visitor.asked == ""
    assert browser.get(path).status_code == 200
    assert_signed_in(browser, grey)


def test_a_handle_alone_signs_nobody_in(
    browser: Browser, visitor: Visitor, grey: User, chart: App, begin_launch: Begin
) -> None:
    path = launched(browser, chart, begin_launch())
    there_and_back(browser, visitor, browser.get(path).headers["Location"])
    assert browser.get(path).headers["Location"].startswith("/account/login/")
    assert_signed_in(browser, None)


def test_somebody_else_at_the_hospital_does_not_become_the_one_the_launch_names(
    browser: Browser,
    visitor: Visitor,
    grey: User,
    chart: App,
    begin_launch: Begin,
    hospital: Hospital,
    tenant: TenantInfo,
) -> None:
    ana = make_person(tenant, "ana", "Patient/ana")
    UpstreamIdentity.objects.create(user=ana, issuer=hospital.issuer, subject="s-ana")
    visitor.go(away(Browser()), name="s-ana")
    path = launched(browser, chart, begin_launch())
    there_and_back(browser, visitor, silently(path))
    assert_signed_in(browser, ana)
    assert browser.get(path).status_code == 403
    browser.post("/account/logout/")
    assert browser.get(path).headers["Location"].startswith("/account/login/")  # And is not signed in again at once.
