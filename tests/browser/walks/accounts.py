"""The pages of somebody's account: password, second factors, proving it again. In any language."""

from allauth.mfa.models import Authenticator
from playwright.sync_api import Page

from tests.browser.judge import Judge
from tests.browser.walks.people import LONG, enter, make_user
from tests.hospital import PASSWORD
from tests.world import World

NAME = "kim"
FACTORS = "/account/second-factor/"


def give_authenticator(page: Page) -> None:
    """Give the browser a built-in authenticator whose owner always agrees."""
    session = page.context.new_cdp_session(page)
    session.send("WebAuthn.enable")
    options = {"protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True}
    options |= {"isUserVerified": True, "automaticPresenceSimulation": True}
    session.send("WebAuthn.addVirtualAuthenticator", {"options": options})


def walk(page: Page, world: World, judge: Judge, language: str) -> None:
    """Set up a passkey and an authenticator app, use both, and take them away again."""
    give_authenticator(page)
    user = make_user(NAME)
    base = world.base_url

    def see(name: str) -> None:
        judge(page, f"{name} ({language})", language=language)

    def go(path: str, name: str) -> None:
        page.goto(f"{base}{path}")
        see(name)

    page.goto(f"{base}/account/")
    enter(page, NAME)
    see("account, new")
    go("/account/password/", "password")
    page.locator("#id_oldpassword").fill("wrong")
    page.locator("#id_password1").fill("short")
    page.locator("#id_password2").fill("other")
    page.locator("main button").click()
    page.locator("main [role=alert]").first.wait_for()
    see("password, refused")
    go(FACTORS, "second factors, none")
    page.goto(f"{base}{FACTORS}webauthn/add/")
    see("prove it again")
    page.locator("#id_password").fill(PASSWORD)
    page.locator("main form button").click()
    page.locator("#id_name").wait_for()
    see("add a passkey")
    page.locator("#id_name").fill(LONG[:60])
    page.locator("main form button").click()
    page.locator(".codes").wait_for()
    see("recovery codes, shown")
    go(f"{FACTORS}recovery-codes/", "recovery codes")
    go(f"{FACTORS}recovery-codes/generate/", "new recovery codes")
    go(f"{FACTORS}totp/activate/", "authenticator app")
    # As if somebody had scanned it; the code is not what these pages are looked at for.
    Authenticator.objects.create(user=user, type="totp", data={"secret": "none"})
    go(FACTORS, "second factors")
    for number, name in enumerate(("rename a passkey", "remove a passkey")):
        page.locator(".rows .acts a").nth(number).click()
        see(name)
        page.go_back()
    go(f"{FACTORS}totp/deactivate/", "remove the authenticator app")
    go(f"{FACTORS}reauthenticate/", "prove it again with a code")
    go(f"{FACTORS}webauthn/reauthenticate/", "prove it again with a passkey")
    go("/account/", "account")
    page.locator("main form button").first.click()
    page.goto(f"{base}/account/login/?next=/account/")
    page.locator("#id_login").fill(NAME)
    page.locator("#id_password").fill(PASSWORD)
    page.locator("#id_password").press("Enter")
    page.locator("#id_code").wait_for()
    see("one more proof")
    page.locator("[data-passkey] button").click()
    page.wait_for_url(f"{base}/account/")
    go("/account/upstream/", "the provider is not there")
