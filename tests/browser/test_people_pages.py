"""Pickers, consent and My apps by keyboard and in two tabs."""

from datetime import UTC, datetime, timedelta

import pytest
from playwright.sync_api import Page, expect

from clients.models import Client, Tenant
from smartauth.models import Authorization
from smartauth.people.models import ProxyRelation, User
from tests.browser.test_app_launch import SCOPE, authorize_url, cast, sign_in
from tests.world import World

__all__ = ["cast"]

ASKED = "openid fhirUser offline_access launch/patient launch/encounter patient/*.rs"


@pytest.fixture(autouse=True)
def may_ask_for_visits(cast: dict[str, User]) -> None:
    Client.objects.filter(client_id="growth-chart").update(scope=f"{SCOPE} launch/encounter")
    Authorization.objects.all().delete()


@pytest.mark.parametrize("locale", ["en", "es"])
def test_a_parent_chooses_and_allows_with_the_keyboard(
    page: Page, world: World, cast: dict[str, User], locale: str
) -> None:
    tenant = Tenant.objects.get(slug=world.tenant)
    since = datetime.now(UTC) - timedelta(days=1)
    born = datetime.now(UTC).date() - timedelta(days=3_000)
    values = {"kind": "parent", "patient_born": born, "starts_at": since}
    ProxyRelation.objects.update_or_create(user=cast["ana"], tenant=tenant, patient="ben", defaults=values)
    page.goto(authorize_url(world, scope=ASKED))
    sign_in(page, "ana")
    if locale == "es":
        here = page.url
        page.get_by_role("link", name="Español").press("Enter")
        page.wait_for_url(here)
    expect(page.get_by_text("Usted es su madre o padre" if locale == "es" else "You are a parent")).to_be_visible()
    page.locator("button[name=patient]").first.press("Enter")
    expect(page.locator("button[name=visit]").first).to_be_visible()
    page.locator("button[name=visit]").first.press("Enter")
    expect(page.locator("button[value=allow]")).to_be_visible()
    chosen = page.locator("input[name=duration]:checked")
    chosen.press("ArrowUp")
    assert page.locator("input[name=duration]:checked").input_value() == "365"
    page.locator("button[value=allow]").press("Enter")
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    granted = Authorization.objects.get()
    assert granted.ends_at is not None
    assert round((granted.ends_at - granted.created_at) / timedelta(days=1)) == 365
    assert granted.context["encounter"]
    ProxyRelation.objects.all().delete()


def test_going_back_after_an_answer_decides_nothing_more(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world, scope="openid patient/Goal.rs"))
    sign_in(page, "ana")
    page.get_by_role("button", name="Deny").click()
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    page.go_back()
    if page.get_by_role("button", name="Allow").count():
        page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="You have already answered")).to_be_visible()
    assert not Authorization.objects.exists()


def test_a_choice_in_another_tab_makes_the_first_one_old(page: Page, world: World, cast: dict[str, User]) -> None:
    page.goto(authorize_url(world, scope="openid launch/patient patient/Goal.rs"))
    sign_in(page, "dr-grey")
    page.get_by_label("Name", exact=True).fill("ana")
    page.get_by_role("button", name="Search").click()
    page.locator("button[name=patient]").first.click()
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    other = page.context.new_page()
    other.goto(page.url + "/patient")
    other.get_by_label("Name", exact=True).fill("okafor")
    other.get_by_role("button", name="Search").click()
    other.locator("button[name=patient]").first.click()
    expect(other.get_by_role("button", name="Allow")).to_be_visible()
    page.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("heading", name="This page is out of date")).to_be_visible()
    assert not Authorization.objects.exists()
    other.get_by_role("button", name="Allow").click()
    other.wait_for_url(f"{world.base_url}/launcher/app/**")
    assert Authorization.objects.get().context["patient"] == "ben"
