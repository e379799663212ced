"""Signing in with a real browser, which knows about referrers, cookies and content security policies."""

import pytest
from playwright.sync_api import Page, expect

from smartauth.people.models import User
from tests.world import World

PASSWORD = "correct horse battery staple"


@pytest.fixture
def admin(world: World) -> User:
    """An administrator, made beside the running system and by its own command."""
    done = world.server.command("create_user", "--username", "root", "--staff", stdin=f"{PASSWORD}\n")
    assert done.returncode == 0 or "already" in done.stderr, done.stderr
    return User.objects.get(username="root")


def sign_in(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill("root")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


def test_an_administrator_reaches_the_admin_through_the_sign_in_page(page: Page, world: World, admin: User) -> None:
    page.goto(f"{world.base_url}/admin")
    sign_in(page)
    expect(page).to_have_url(f"{world.base_url}/admin/")
    page.get_by_role("link", name="Tenants").first.click()
    expect(page.get_by_role("link", name="sandbox")).to_be_visible()


def test_a_wrong_password_says_so_and_keeps_the_name(page: Page, world: World, admin: User) -> None:
    page.goto(f"{world.base_url}/account/login/")
    sign_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(page.get_by_label("User name")).to_have_value("root")


def test_signing_out_ends_the_session(page: Page, world: World, admin: User) -> None:
    page.goto(f"{world.base_url}/account/login/")
    sign_in(page)
    page.goto(world.base_url)
    page.get_by_role("button", name="Sign out").click()
    page.goto(f"{world.base_url}/admin/")
    expect(page.get_by_label("User name")).to_be_visible()
