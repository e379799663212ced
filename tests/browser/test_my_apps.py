"""My apps and signing out by an app, with a real browser in front of running workers."""

import time

import pytest
from playwright.sync_api import Page, expect

from clients.models import Client
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.browser.test_app_launch import allow, cast, connect, sign_in, status
from tests.world import World

__all__ = ["cast"]


@pytest.fixture(autouse=True)
def nothing_connected(world: World) -> None:
    Authorization.objects.all().delete()


@pytest.mark.clocked
@pytest.mark.requirement("ONC-14", "ONC-19")
@pytest.mark.requirement("REVOKE-07", "REVOKE-08")
def test_a_person_stops_an_app_and_it_is_out_within_a_second(page: Page, world: World, cast: dict[str, User]) -> None:
    connect(page, world)
    sign_in(page, "ana")
    allow(page)
    expect(page.get_by_role("heading", name="Ana Lindqvist")).to_be_visible()
    app = page.context.new_page()
    app.goto(f"{world.base_url}/account/apps")
    expect(app.get_by_role("heading", name="Growth Chart")).to_be_visible()
    expect(app.get_by_text("Ana Lindqvist")).to_be_visible()
    expect(app.get_by_text("The whole record").first).to_be_visible()
    assert status(page, world, "Patient/ana") == 200
    app.get_by_role("button", name="Stop now: Growth Chart").click()
    stopped_at = time.monotonic()
    expect(app.get_by_role("status")).to_contain_text("Growth Chart is stopped")
    while status(page, world, "Patient/ana") != 401:
        assert time.monotonic() - stopped_at < 2, "a stopped app still reads"
        time.sleep(0.1)
    page.get_by_role("button", name="Refresh token").click()
    expect(page.get_by_text("There is a new token.")).to_have_count(0)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
def test_the_page_fits(page: Page, world: World, cast: dict[str, User], width: int, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    connect(page, world)
    sign_in(page, "ana")
    allow(page)
    page.wait_for_url(f"{world.base_url}/launcher/app/**")
    page.goto(f"{world.base_url}/account/apps")
    expect(page.get_by_role("button", name="Stop now: Growth Chart")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.requirement("OIDC-18")
def test_a_post_from_the_app_asks_the_person_and_sends_them_back(
    page: Page, world: World, cast: dict[str, User]
) -> None:
    bye = f"{world.base_url}/launcher/app/"
    Client.objects.filter(client_id="growth-chart").update(post_logout_redirect_uris=bye)
    connect(page, world)
    sign_in(page, "ana")
    allow(page)
    page.wait_for_url(bye)
    fields = {"client_id": "growth-chart", "post_logout_redirect_uri": bye, "state": "s"}
    inputs = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in fields.items())
    form = f'<form method="post" action="{world.base_url}/auth/sandbox/logout">{inputs}<button>Bye</button></form>'
    # The same server under its other name is another site to the browser, and its form brings no cookies along.
    elsewhere = world.base_url.replace("127.0.0.1", "localhost")
    page.route(f"{elsewhere}/elsewhere", lambda route: route.fulfill(body=form, content_type="text/html"))
    page.goto(f"{elsewhere}/elsewhere")
    page.get_by_role("button", name="Bye").click()
    expect(page.get_by_role("heading", name="Sign out?")).to_be_visible()
    expect(page.get_by_text("You are signed in as ana")).to_be_visible()
    page.get_by_role("main").get_by_role("button", name="Sign out").click()
    page.wait_for_url(f"{bye}?state=s")
    page.goto(f"{world.base_url}/account/apps")
    expect(page.get_by_label("User name")).to_be_visible()
