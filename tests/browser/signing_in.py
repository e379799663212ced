"""What people do between an app's request and its answer."""

from playwright.sync_api import Page

from tests.hospital import PASSWORD


def sign_in(page: Page, name: str) -> None:
    page.get_by_label("User name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("main").get_by_role("button", name="Sign in").click()


def allow(page: Page) -> None:
    page.get_by_role("button", name="Allow").click()
