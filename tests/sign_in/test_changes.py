"""What changed in how somebody signs in is told them, since no mail is sent.  NIST SP 800-63B §6.1.2.3."""

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.test import Client as Browser
from django.urls import reverse
from django.utils import timezone

from smartauth.audit.models import AuditRecord
from smartauth.people.changes import ACTIONS, MOST, TITLES, recent
from smartauth.people.models import User
from tests.audit_trail import rewritable
from tests.endpoints.app_launch import PASSWORD, App, launch
from tests.sessions.test_staff import set_up
from tests.spanish import assert_spanish

pytestmark = pytest.mark.usefixtures("small")

ACCOUNT = "/account/"
NEW = "another horse battery staple"
TOLD = "Since you last signed in, this has changed:"


def come(user: User, password: str = PASSWORD, language: str = "en") -> Browser:
    """Sign somebody in with a browser of their own."""
    cache.clear()
    browser = Browser(headers={"Accept-Language": language})
    answer = browser.post("/account/login/", {"login": user.get_username(), "password": password, "next": ACCOUNT})
    assert answer.status_code == 302, answer.content.decode()
    return browser


def page_of(browser: Browser, path: str = ACCOUNT) -> str:
    return " ".join(browser.get(path).content.decode().split())


def change_password(browser: Browser) -> None:
    cache.clear()
    form = {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}
    assert browser.post("/account/password/", form).status_code == 302


def test_a_new_password_is_told_once_after_the_next_sign_in_and_stays_on_the_account_page(ana: User) -> None:
    first = come(ana)
    assert TOLD not in page_of(first)
    change_password(first)
    assert TOLD not in page_of(first)
    second = come(ana, NEW)
    page = page_of(second, "/account/apps")
    assert f"{TOLD} <ul><li>Password changed, on {timezone.now():%-d %B %Y}" in page
    assert "Was it not you?" in page
    assert TOLD not in page_of(second, "/account/apps")
    assert "What changed lately</h2> <ul><li>Password changed, on" in page_of(second)
    assert TOLD not in page_of(come(ana, NEW))


def test_it_is_in_the_audit_trail(ana: User) -> None:
    change_password(come(ana))
    record = AuditRecord.objects.get(action="password-changed")
    assert (record.user_id, record.remote_address, record.details) == (ana.pk, "127.0.0.1", {})


def test_a_password_that_an_administrator_set_is_told(ana: User) -> None:
    come(ana)
    root = User.objects.create_superuser("root", password=PASSWORD)
    form = {"usable_password": "true", "password1": NEW, "password2": NEW}
    path = reverse("admin:auth_user_password_change", args=[ana.pk])
    assert come(root).post(path, form).status_code == 302
    assert "Password changed, on" in page_of(come(ana, NEW), "/account/apps")
    assert AuditRecord.objects.get(action="password-changed").details == {"administrator": root.pk}


def test_factors_are_told_by_their_kind(ana: User, django_capture_on_commit_callbacks: Any) -> None:
    browser = come(ana)
    with django_capture_on_commit_callbacks(execute=True):
        set_up(browser)
        browser.post("/account/second-factor/recovery-codes/generate/")
        browser.post("/account/second-factor/totp/deactivate/")
    page = page_of(browser)
    for title in ("Authenticator app set up", "Recovery codes made anew", "Authenticator app removed"):
        assert f"{title}, on" in page, title
    assert "Authenticator app removed, on" in page_of(come(ana), "/account/apps")


def test_what_others_changed_in_their_own_accounts_is_not_told(ana: User, grey: User) -> None:
    change_password(come(ana))
    assert recent(grey.pk, now=timezone.now()) == ()


def test_long_ago_is_over_and_the_newest_are_told(ana: User) -> None:
    ago = timezone.now() - timedelta(days=91)
    with rewritable():
        for at in [ago, *[timezone.now()] * (MOST + 5)]:
            AuditRecord.objects.create(action="password-changed", user_id=ana.pk, at=at)
    found = recent(ana.pk, now=timezone.now())
    assert len(found) == MOST
    assert all(one.at > ago for one in found)


def test_every_kind_of_factor_has_words_for_what_is_done_to_it() -> None:
    assert ACTIONS == ["password-changed", "second-factor-added", "second-factor-removed", "second-factor-renewed"]
    for kind in ("webauthn", "totp", "recovery_codes"):
        assert {("second-factor-added", kind), ("second-factor-removed", kind)} <= TITLES.keys()


def test_it_is_told_in_spanish(ana: User) -> None:
    change_password(come(ana))
    browser = come(ana, NEW, "es")
    assert_spanish(browser.get(ACCOUNT), "Desde la última vez que inició sesión", "Contraseña cambiada, el")
    assert_spanish(browser.get(ACCOUNT), "Cambios recientes", "elija una contraseña nueva")


@pytest.mark.requirement("CONSENT-11")
def test_the_account_page_reminds_of_apps_that_stay_connected(browser: Browser, growth_chart: App, ana: User) -> None:
    launch(browser, growth_chart, ana, scope="launch/patient patient/Goal.rs")
    assert "without you" not in page_of(browser)
    launch(browser, growth_chart, ana, scope="launch/patient patient/Goal.rs offline_access")
    assert "1 app stays connected without you" in page_of(browser)
    assert "without asking you" not in page_of(browser)
