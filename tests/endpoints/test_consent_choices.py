"""What people choose on the consent page besides ticks: how long, and what becomes of what they allowed before.

Ticks of what a tenant counts as sensitive start empty. SMART 2.2 best-practices; RFC 6749 §6; RFC 7662 §2.2.
"""

import re
from collections.abc import Callable
from datetime import datetime, timedelta
from html import unescape
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Tenant
from smartauth.audit.models import AuditRecord
from smartauth.models import AccessToken, Authorization, RefreshToken
from smartauth.people.models import User
from smartauth.policy.advertising import CATEGORIES
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    SCOPE,
    App,
    Pkce,
    answer_form,
    assert_no_grant,
    begin,
    callback,
    launch,
    open_consent,
    page_number,
    page_refusal,
)
from tests.endpoints.token_requests import Ask

pytestmark = pytest.mark.usefixtures("small")

RADIO = re.compile(r'<input type="radio" name="duration" value="([^"]*)"( checked)?>')
BOX = re.compile(r'<input type="checkbox" name="scope" value="([^"]*)"( checked)?>')
OFFLINE = "patient/Goal.rs offline_access"
DAY = timedelta(days=1)
SOCIAL = CATEGORIES["Observation"][2]


@pytest.fixture
def policy() -> Callable[..., None]:
    """Set switches of every tenant."""

    def set_switches(**switches: Any) -> None:
        Tenant.objects.update(policy=switches)

    return set_switches


def offered(page: HttpResponse) -> list[str]:
    """Return the lengths on a page in order; the last one, which is what was asked, must be the one that is chosen."""
    found = RADIO.findall(page.content.decode())
    assert [value for value, checked in found if checked] == ([""] if found else [])
    return [value for value, _ in found]


def answer(browser: Browser, path: str, page: HttpResponse, **said: Any) -> HttpResponse:
    sent = browser.post(path, answer_form(page) | said)
    assert isinstance(sent, HttpResponse)
    return sent


def connect(browser: Browser, app: App, user: User, *, scope: str = OFFLINE, **said: Any) -> Authorization:
    path = begin(browser, app, scope=scope)
    callback(answer(browser, path, open_consent(browser, path, user), **said), app.redirect_uri)
    return Authorization.objects.latest("created_at")


def in_days(moment: datetime | None) -> float:
    assert moment is not None
    return round((moment - timezone.now()) / DAY, 2)


# How long


def test_whoever_chooses_nothing_grants_what_was_asked(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, ana)
    assert offered(page) == ["1", "7", "30", "90", "365", ""]
    callback(answer(browser, path, page), growth_chart.redirect_uri)
    granted = Authorization.objects.get()
    assert (granted.scope, granted.ends_at) == (OFFLINE, None)


@pytest.mark.requirement("CONSENT-06")
@pytest.mark.parametrize("days", [1, 7, 30, 90, 365])
def test_a_length_that_is_chosen_ends_everything(
    browser: Browser, growth_chart: App, ana: User, ask: Ask, days: int
) -> None:
    pkce = Pkce()
    path = begin(browser, growth_chart, scope=OFFLINE, code_challenge=pkce.challenge)
    page = open_consent(browser, path, ana)
    end = timezone.now() + days * DAY
    assert f"On {end.day} {end:%B %Y}" in unescape(page.content.decode())
    told = callback(answer(browser, path, page, duration=str(days)), growth_chart.redirect_uri)
    assert in_days(Authorization.objects.get().ends_at) == days
    body = ask(
        growth_chart,
        {
            "grant_type": "authorization_code",
            "code": told["code"],
            "redirect_uri": growth_chart.redirect_uri,
            "code_verifier": pkce.verifier,
        },
    ).json()
    assert in_days(RefreshToken.objects.get().expires) == min(days, 100)
    granted = Authorization.objects.get()
    assert granted.expires_at == RefreshToken.objects.get().expires
    # Nearly at its end, nothing that is issued outlives it.
    soon = timezone.now() + timedelta(minutes=10)
    Authorization.objects.update(ends_at=soon, expires_at=soon)
    RefreshToken.objects.update(expires=soon)
    refreshed = ask(growth_chart, {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}).json()
    assert 590 <= refreshed["expires_in"] <= 600
    assert max(AccessToken.objects.values_list("expires", flat=True).order_by("-created")[:1]) == soon
    assert RefreshToken.objects.get(rotated_at__isnull=True).expires == soon
    # And past it, nothing is.
    past = timezone.now() - timedelta(minutes=1)
    Authorization.objects.update(created_at=past - DAY, ends_at=past, expires_at=past)
    RefreshToken.objects.update(expires=past)
    answered = ask(growth_chart, {"grant_type": "refresh_token", "refresh_token": refreshed["refresh_token"]})
    assert (answered.status_code, answered.json()["error"]) == (400, "invalid_grant")


def test_my_apps_says_when_it_ends(browser: Browser, growth_chart: App, ana: User) -> None:
    end = connect(browser, growth_chart, ana, duration="30").ends_at
    assert end is not None
    page = browser.get("/account/apps").content.decode()
    assert f"on {end.day} {end:%B %Y} it ends in any case" in page


@pytest.mark.parametrize("value", ["2", "-30", "30.0", "x" * 50, "365000", "<b>"])
def test_a_length_that_was_not_offered_is_refused_and_nothing_is_granted(
    browser: Browser, growth_chart: App, ana: User, value: str
) -> None:
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, ana)
    receipt = page_refusal(answer(browser, path, page, duration=value), 400)
    assert (receipt.rule, receipt.seen) == ("consent.duration", value[:20])
    assert receipt.expected == "1, 7, 30, 90, 365"
    assert_no_grant()
    callback(answer(browser, path, page, duration="7"), growth_chart.redirect_uri)


def test_the_tenant_says_how_long_at_most(
    browser: Browser, growth_chart: App, ana: User, policy: Callable[..., None]
) -> None:
    policy(max_consent_days=60)
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, ana)
    assert offered(page) == ["1", "7", "30", ""]
    assert "at the latest" in page.content.decode()
    assert page_refusal(answer(browser, path, page, duration="90"), 400).rule == "consent.duration"
    callback(answer(browser, path, page), growth_chart.redirect_uri)
    assert in_days(Authorization.objects.get().ends_at) == 60


def test_the_operator_says_how_long_at_most(
    browser: Browser, growth_chart: App, ana: User, configure: Configure
) -> None:
    configure(grant_lifetime=timedelta(days=10))
    path = begin(browser, growth_chart, scope=OFFLINE)
    assert offered(open_consent(browser, path, ana)) == ["1", "7", ""]


@pytest.mark.parametrize(("scope", "ends"), [("patient/Goal.rs", None), ("patient/Goal.rs online_access", 60)])
def test_what_ends_by_itself_has_no_length_to_choose(
    browser: Browser, growth_chart: App, ana: User, policy: Callable[..., None], scope: str, ends: int | None
) -> None:
    policy(max_consent_days=60)
    path = begin(browser, growth_chart, scope=scope)
    page = open_consent(browser, path, ana)
    assert offered(page) == []
    callback(answer(browser, path, page), growth_chart.redirect_uri)
    granted = Authorization.objects.get()
    assert (granted.ends_at and in_days(granted.ends_at)) == ends


def test_whoever_does_not_let_it_stay_connected_chooses_no_length(
    browser: Browser, growth_chart: App, ana: User
) -> None:
    granted = connect(browser, growth_chart, ana, scope=OFFLINE, duration="365")
    assert granted.ends_at is not None
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, ana)
    said = answer_form(page, untick=["offline_access"]) | {"duration": "365"}
    callback(browser.post(path, said), growth_chart.redirect_uri)
    assert Authorization.objects.latest("created_at").ends_at is None


def test_the_end_is_in_the_audit_trail(browser: Browser, growth_chart: App, ana: User) -> None:
    granted = connect(browser, growth_chart, ana, duration="7")
    assert granted.ends_at is not None
    details = AuditRecord.objects.get(action="consent").details
    assert details["until"] == granted.ends_at.isoformat(timespec="seconds")


# What was allowed before


def test_what_was_allowed_before_stays_unless_somebody_ends_it(browser: Browser, growth_chart: App, ana: User) -> None:
    first = connect(browser, growth_chart, ana)
    path = begin(browser, growth_chart, scope="patient/Goal.rs")
    page = open_consent(browser, path, ana)
    assert "End what you allowed before" in page.content.decode()
    callback(answer(browser, path, page), growth_chart.redirect_uri)
    first.refresh_from_db()
    assert first.revoked_at is None


def test_what_is_allowed_now_takes_the_place_of_what_was(browser: Browser, growth_chart: App, ana: User) -> None:
    earlier = [connect(browser, growth_chart, ana) for _ in range(2)]
    now = connect(browser, growth_chart, ana, replace="yes")
    for one in earlier:
        one.refresh_from_db()
        assert (one.revoked_by, one.revoked_at is None) == ("replaced", False)
    now.refresh_from_db()
    assert now.revoked_at is None
    consented = AuditRecord.objects.filter(action="consent").latest("pk")
    assert consented.details["replaced"] == 2
    assert AuditRecord.objects.filter(action="revoke", rule="authorization.replaced").count() == 2


def test_another_record_s_and_another_app_s_are_left_alone(
    browser: Browser, growth_chart: App, cardio: App, parent: User
) -> None:
    launch(browser, growth_chart, parent, scope=OFFLINE, patient="ben")
    launch(browser, cardio, parent, scope=OFFLINE, patient="ana")
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, parent, patient="ana")
    assert "End what you allowed before" not in page.content.decode()
    callback(answer(browser, path, page, replace="yes"), growth_chart.redirect_uri)
    assert not Authorization.objects.filter(revoked_at__isnull=False).exists()


def test_what_was_denied_ends_nothing(browser: Browser, growth_chart: App, ana: User) -> None:
    connect(browser, growth_chart, ana)
    path = begin(browser, growth_chart, scope=OFFLINE)
    page = open_consent(browser, path, ana)
    answer(browser, path, page, decision="deny", replace="yes")
    assert Authorization.objects.get().revoked_at is None


# What is sensitive


@pytest.mark.parametrize(
    ("sensitive", "unticked"),
    [
        (
            ["Observation.social-history", "FamilyMemberHistory"],
            {f"patient/Observation.rs?category={SOCIAL}", "patient/FamilyMemberHistory.rs"},
        ),
        # US Core does not name it, but the wildcard would bring it.
        (["ImagingStudy"], {"patient/ImagingStudy.rs"}),
    ],
)
def test_sensitive_groups_start_without_ticks(
    browser: Browser,
    growth_chart: App,
    ana: User,
    policy: Callable[..., None],
    sensitive: list[str],
    unticked: set[str],
) -> None:
    policy(sensitive_categories=sensitive)
    path = begin(browser, growth_chart, scope=SCOPE)
    page = open_consent(browser, path, ana)
    boxes = [(unescape(value), bool(checked)) for value, checked in BOX.findall(page.content.decode())]
    empty = {value for value, checked in boxes if not checked}
    assert empty == unticked
    assert "counts this as sensitive" in page.content.decode()
    ticked = [value for value, checked in boxes if checked]
    form = {"page": page_number(page), "decision": "allow"}
    callback(browser.post(path, form | {"scope": ticked}), growth_chart.redirect_uri)
    granted = Authorization.objects.get().scope.split()
    assert "patient/*.rs" not in granted
    assert empty.isdisjoint(granted)
    assert "patient/Goal.rs" in granted
    assert set(AuditRecord.objects.get(action="consent").details["declined"].split()) == empty


def test_whoever_ticks_what_is_sensitive_grants_it(
    browser: Browser, growth_chart: App, ana: User, policy: Callable[..., None]
) -> None:
    policy(sensitive_categories=["Goal"])
    path = begin(browser, growth_chart, scope="patient/Goal.rs patient/CarePlan.rs")
    page = open_consent(browser, path, ana)
    form = {"page": page_number(page), "decision": "allow", "scope": ["patient/Goal.rs", "patient/CarePlan.rs"]}
    callback(browser.post(path, form), growth_chart.redirect_uri)
    assert Authorization.objects.get().scope == "patient/Goal.rs patient/CarePlan.rs"


def test_nothing_is_sensitive_until_the_tenant_says_so(browser: Browser, growth_chart: App, ana: User) -> None:
    path = begin(browser, growth_chart)
    assert "sensitive" not in open_consent(browser, path, ana).content.decode()
