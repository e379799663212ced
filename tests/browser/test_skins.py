"""A launch at a hospital that has a look of its own, in a real browser, with two workers."""

import hashlib
import time

import pytest
from playwright.sync_api import Page, expect

from clients.models import Skin, Tenant
from smartauth.people.models import User
from tests.browser.accessibility import fits, problems
from tests.browser.test_app_launch import authorize_url, cast, sign_in
from tests.clients.picture_files import png
from tests.world import World

__all__ = ["cast"]

NAME = "St. Brigid Hospital"
TEXTS = {
    "en": {
        "greeting": "Welcome to the patient portal of St. Brigid.",
        "help": "Questions? Call the portal desk.",
        "phone": "+1 617 555 0100",
        "email": "portal@brigid.example.org",
        "help_url": "https://brigid.example.org/help",
        "privacy_url": "https://brigid.example.org/privacy",
    }
}


@pytest.fixture
def skin(world: World) -> Skin:
    """The colours have hardly more contrast than they must."""
    picture = png(600, 200)
    logo = {"logo": picture, "logo_type": "image/png", "logo_digest": hashlib.sha256(picture).hexdigest()}
    values = {"name": NAME, "accent_light": "#ad5c00", "accent_dark": "#428dd7", "texts": TEXTS, "is_active": True}
    tenant = Tenant.objects.get(slug=world.tenant)
    row, _ = Skin.objects.update_or_create(
        tenant=tenant, defaults=values | logo | {"logo_width": 600, "logo_height": 200}
    )
    return row


@pytest.mark.clocked
def test_it_is_readable_everywhere_and_every_worker_follows_a_change_within_a_second(
    page: Page, world: World, cast: dict[str, User], skin: Skin
) -> None:
    found: dict[str, list[str]] = {}

    def judge(name: str) -> None:
        for width in (1280, 360):
            for scheme, accent in (("light", "rgb(173, 92, 0)"), ("dark", "rgb(66, 141, 215)")):
                page.set_viewport_size({"width": width, "height": 800})
                page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                expect(page.locator(".top")).to_have_css("border-top-color", accent)
                seen = problems(page) + ([] if fits(page) else ["it scrolls sideways"])
                found[f"{name} {width} {scheme}"] = seen

    try:
        time.sleep(1)  # The workers had a second to hear of it.
        page.goto(authorize_url(world))
        expect(page.get_by_role("banner").get_by_text(NAME)).to_be_visible()
        expect(page.get_by_text("Welcome to the patient portal")).to_be_visible()
        shown = page.locator(".skinned img")
        assert shown.evaluate("one => [one.complete, one.naturalWidth, one.height < 60]") == [True, 600, True]
        judge("sign-in")
        sign_in(page, "ana")
        expect(page.get_by_role("button", name="Allow")).to_be_visible()
        expect(page.get_by_role("banner").get_by_text(NAME)).to_be_visible()
        judge("consent")
        assert {name: one for name, one in found.items() if one} == {}
        Skin.objects.update(name="Another Name")
        time.sleep(1)
        for _ in range(8):  # Whichever worker answers.
            assert "Another Name" in page.request.get(page.url).text()
        Skin.objects.update(is_active=False)
        time.sleep(1)
        for _ in range(8):
            text = page.request.get(page.url).text()
            assert '<a class="brand" href="/">' in text
            assert "Another Name" not in text
    finally:
        Skin.objects.all().delete()  # Others' pages have our look.
