"""The pages of a developer: from an account to an app that works, with everything that may be wrong on the way."""

from playwright.sync_api import Page, expect

from tests.browser.judge import Judge
from tests.browser.test_portal import fill_identity, next_button, sign_in
from tests.browser.walks.people import EVIL, LONG
from tests.world import World

NAME = "developer"


def walk(page: Page, world: World, judge: Judge) -> None:
    """Register an app, break it, and read why it is refused."""
    page.goto(f"{world.base_url}/account/signup/")
    judge(page, "portal, sign-up")
    page.locator("#id_username").fill("developer two")
    page.locator("#id_password1").fill("short")
    page.locator("main form button").click()
    judge(page, "portal, sign-up refused")
    sign_in(page, world, NAME)
    judge(page, "portal, nothing yet")
    client_id = _register(page, world, judge)
    here = f"{world.base_url}/developers/apps/{client_id}"
    page.goto(f"{here}/works/{world.tenant}")
    judge(page, "portal, does it work")
    page.goto(f"{here}/clinic")
    page.get_by_label("Client assertion").fill("eyJhbGciOiJFUzM4NCJ9.e30.AAAA")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("heading", name="The token endpoint refuses it")).to_be_visible()
    judge(page, "portal, clinic")
    body = {"grant_type": "authorization_code", "client_id": client_id, "client_secret": "wrong", "code": "x"}
    page.request.post(world.token_url, form=body)
    page.goto(here)
    page.get_by_role("button", name="Change it").click()
    judge(page, "portal, a change")
    page.goto(f"{world.base_url}/developers/")
    judge(page, "portal, home")
    page.locator(".requests a").first.click()
    expect(page.get_by_role("heading", name="To pass on")).to_be_visible()
    judge(page, "portal, receipt")
    _try_keys_and_tokens(page, world, judge)
    page.goto(f"{world.base_url}/developers/apps/nobody")
    judge(page, "portal, nothing there")


def _register(page: Page, world: World, judge: Judge) -> str:
    """Go through the wizard and return the client_id of the app."""
    page.goto(f"{world.base_url}/developers/new")
    judge(page, "portal, kinds")
    page.get_by_role("button", name="Clinician app").click()
    page.goto(page.url.replace("/identity", "/kind"))
    judge(page, "portal, another kind")
    page.go_back()
    next_button(page).click()
    expect(page.get_by_text("to mend on this page")).to_be_visible()
    judge(page, "portal, identity with findings")
    fill_identity(page)
    page.get_by_label("Name of the app").fill(EVIL)
    page.get_by_label("Publisher").fill(EVIL)
    next_button(page).click()
    for folded in page.locator("details.folded summary").all():
        folded.click()
    page.get_by_role("button", name="Make a key pair").click()
    expect(page.get_by_text("Your key pair is made.")).to_be_visible()
    page.get_by_role("button", name="Test this JWKS").click()
    expect(page.get_by_text("Nothing to mend")).to_be_visible()
    judge(page, "portal, keys made and tested")
    for choice in ("url", "paste", "client_secret_basic"):
        page.locator(f"input[type=radio][value={choice}]").check()
        judge(page, f"portal, keys {choice}")
    page.get_by_label("Redirect URIs").fill(f"https://app.example.org/{LONG}")
    page.get_by_label("Launch URLs").fill(f"https://app.example.org/launch/{LONG}")
    next_button(page).click()
    page.get_by_role("button", name="US Core, to read").click()
    judge(page, "portal, data")
    next_button(page).click()
    judge(page, "portal, review")
    page.get_by_role("button", name="Register the app").click()
    expect(page.get_by_text("shown this once")).to_be_visible()
    for folded in page.locator("details summary").all():
        folded.click()
    judge(page, "portal, app with its secret")
    return page.locator("#client-id").inner_text()


def _try_keys_and_tokens(page: Page, world: World, judge: Judge) -> None:
    page.goto(f"{world.base_url}/developers/keys/test")
    judge(page, "portal, test of keys")
    page.get_by_label("or public keys").fill('{"keys": [{"kty": "RSA"}]}')
    page.get_by_role("button", name="Test it").click()
    expect(page.get_by_role("heading", name="There is something to mend")).to_be_visible()
    judge(page, "portal, report on keys")
    page.goto(f"{world.base_url}/developers/tokens")
    judge(page, "portal, API tokens")
    page.locator("main form [name=label]").fill(EVIL)
    page.locator("main form [name=label]").press("Enter")
    judge(page, "portal, API token made")
