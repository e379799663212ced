"""The page of a person about themselves, and the one for a new password."""

import pytest
from django.core.cache import cache
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.endpoints.app_launch import PASSWORD, App, launch, sign_in
from tests.sign_in.hospital import Hospital, Visitor, path_of

pytestmark = pytest.mark.usefixtures("small")

NEW = "another horse battery staple"


@pytest.mark.parametrize("path", ["/account/", "/account/password/", "/account/second-factor/"])
def test_nobody_sees_it_who_is_not_signed_in(tenant: TenantInfo, path: str) -> None:
    answer = Browser().get(path)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"/account/login/?next={path}")


def test_it_leads_to_all_that_is_a_persons_own(browser: Browser, ana: User) -> None:
    sign_in(browser, ana)
    page = browser.get("/account/").content.decode()
    for path in ("/account/password/", "/account/second-factor/", "/account/apps", "/account/logout/"):
        assert f'"{path}"' in page
    assert "None yet" in page


def test_who_signs_in_elsewhere_has_no_password_to_change(
    browser: Browser, visitor: Visitor, grey: User, hospital: Hospital
) -> None:
    browser.get(path_of(visitor.go(browser.get("/account/upstream/").headers["Location"])))
    page = browser.get("/account/").content.decode()
    assert "You sign in with City Hospital" in page
    assert "/account/password/" not in page
    assert browser.get("/account/password/").headers["Location"] == "/account/"


@pytest.mark.requirement("REVOKE-11")
def test_a_new_password_keeps_the_session_and_ends_what_was_granted(
    browser: Browser, ana: User, growth_chart: App
) -> None:
    launch(browser, growth_chart, ana)
    cache.clear()
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    answer = browser.post("/account/password/", form)
    assert (answer.status_code, answer.headers["Location"]) == (302, "/account/")
    assert browser.get("/account/").status_code == 200
    ana.refresh_from_db()
    assert ana.check_password(NEW)
    assert Authorization.objects.get().revoked_by == "password"


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ({"oldpassword": "wrong"}, "current password"),
        ({"password1": "short", "password2": "short"}, "at least 12 characters"),
        ({"password2": "something else entirely"}, "same password"),
    ],
)
def test_a_password_that_cannot_be_changed_says_why(
    browser: Browser, ana: User, form: dict[str, str], problem: str
) -> None:
    sign_in(browser, ana)
    cache.clear()
    good = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    page = browser.post("/account/password/", good | form)
    assert page.status_code == 200
    assert problem in page.content.decode()
    ana.refresh_from_db()
    assert ana.check_password(PASSWORD)


def test_without_a_domain_name_no_passkey_is_offered_and_the_page_says_why(browser: Browser, ana: User) -> None:
    assert "passkey" not in browser.get("/account/login/").content.decode()
    sign_in(browser, ana)
    page = browser.get("/account/second-factor/", SERVER_PORT="8123").content.decode()
    assert "Add a passkey" not in page
    assert "browsers make passkeys only for names" in page
    assert "SMARTAUTH_BASE_URL=http://localhost:8123 make run PORT=8123" in page
    assert browser.get("/account/second-factor/webauthn/add/").status_code == 404
