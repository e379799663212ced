"""Pages judged by axe-core, in light and dark, wide and narrow."""

import re

import pytest
from playwright.sync_api import Page, expect

from smartauth.people.models import User
from tests.browser.accessibility import fits, problems
from tests.browser.test_app_launch import allow, cast, connect, sign_in
from tests.world import World

__all__ = ["cast"]


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_everybody_can_use_the_pages_of_a_launch(
    page: Page, world: World, cast: dict[str, User], width: int, scheme: str
) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": width, "height": 800})
    found: dict[str, list[str]] = {}

    def judge(name: str) -> None:
        found[name] = problems(page) + ([] if fits(page) else ["it scrolls sideways"])

    page.goto(world.base_url)
    judge("landing")
    page.goto(f"{world.base_url}/nowhere")
    judge("error")
    connect(page, world)
    expect(page.get_by_label("Password")).to_be_visible()
    judge("sign-in")
    sign_in(page, "ana")
    expect(page.get_by_role("button", name="Allow")).to_be_visible()
    judge("consent")
    allow(page)
    page.wait_for_url(re.compile("/launcher/app/"))
    judge("app")
    page.goto(f"{world.base_url}/account/apps")
    judge("my apps")
    assert {name: one for name, one in found.items() if one} == {}
