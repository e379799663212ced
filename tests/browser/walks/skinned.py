"""Pages that wear the look of a hospital, and the administration that makes it."""

import hashlib
import time

from playwright.sync_api import Page, expect

from clients.models import Skin
from tests.browser.judge import Judge
from tests.browser.test_app_launch import authorize_url
from tests.browser.walks.people import EVERYTHING, EVIL, enter, make_user
from tests.clients.picture_files import png
from tests.world import HEARD, World, tenant_of

NAME = "St. Brigid<svg/onload=alert(1)>"


def walk(page: Page, world: World, judge: Judge) -> None:
    """Look at a skin before it is worn, and at the pages that wear it; afterwards nothing does."""
    row = _make_skin(world)
    try:
        _look_before(page, world, judge, row)
        Skin.objects.filter(pk=row.pk).update(is_active=True)
        time.sleep(HEARD)
        page.goto(authorize_url(world, scope=EVERYTHING))
        expect(page.get_by_role("banner").get_by_text(NAME)).to_be_visible()
        judge(page, "skinned sign-in")
        enter(page, "ben")
        page.locator("button[name=visit]").first.click()
        page.locator("button[value=allow]").wait_for()
        judge(page, "skinned consent")
    finally:
        row.delete()
        time.sleep(HEARD)


def _make_skin(world: World) -> Skin:
    picture = png(600, 200)
    said = {"greeting": EVIL, "help": EVIL, "phone": "+1 617 555 0100", "help_url": "https://brigid.example.org/help"}
    row: Skin = Skin.objects.create(
        tenant_id=tenant_of(world).pk,
        is_active=False,
        name=NAME,
        logo=picture,
        logo_type="image/png",
        logo_digest=hashlib.sha256(picture).hexdigest(),
        logo_width=600,
        logo_height=200,
        logo_alt=EVIL[-60:],
        accent_light="#ad5c00",
        accent_dark="#428dd7",
        texts={"en": said},
    )
    return row


def _look_before(page: Page, world: World, judge: Judge, row: Skin) -> None:
    make_user("designer", is_staff=True, is_superuser=True)
    here = f"{world.base_url}/admin/clients/skin/{row.pk}"
    page.goto(f"{here}/change/")
    enter(page, "designer")
    judge(page, "admin, skin")
    preview = page.get_by_role("button", name="Look at it in a new window")
    preview.evaluate("one => one.removeAttribute('formtarget')")  # The judge looks at this window.
    preview.click()
    page.get_by_role("heading", name="How pages of").wait_for()
    judge(page, "admin, skin before it is stored")
    page.goto(f"{here}/change/")
    page.get_by_label("Colour in light mode").fill("#ffff00")
    preview.evaluate("one => one.removeAttribute('formtarget')")
    preview.click()
    page.get_by_role("heading", name="This cannot be shown yet").wait_for()
    judge(page, "admin, skin that cannot be shown")
    page.goto(f"{here}/preview/")
    judge(page, "admin, skin that is stored")
    page.context.clear_cookies()
