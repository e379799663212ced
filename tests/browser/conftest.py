"""A real browser in front of the running system. Where there is none, these tests are skipped, and the run says so."""

import os
import shutil
from collections.abc import Callable, Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect, sync_playwright

from tests.world import _world, make_partner, world

__all__ = ["_world", "make_partner", "world"]

# That a machine is busy is no finding. What has a limit is measured where it is promised.
expect.set_options(timeout=30_000)

CHROMIUM = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
# A browser that only talks to us: no sandbox of its own as root, nothing in the background.
OPTIONS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
]


def find_chromium() -> str | None:
    return next((path for name in CHROMIUM if (path := shutil.which(name))), None)


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    path = find_chromium()
    if path is None:
        pytest.skip("NO BROWSER: install chromium to run the browser tests")
    # Playwright keeps an event loop in this thread; the ORM is still used one call at a time.
    os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=OPTIONS)
        yield browser
        browser.close()
    del os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"]


@pytest.fixture
def new_page(browser: Browser) -> Iterator[Callable[[], Page]]:
    """Open pages of fresh profiles, which fail the test for whatever a Content-Security-Policy had to block."""
    contexts: list[BrowserContext] = []
    blocked: list[str] = []

    def note(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            blocked.append(message.text)

    def open_page() -> Page:
        context = browser.new_context()
        contexts.append(context)
        context.on("console", note)
        return context.new_page()

    yield open_page
    for context in contexts:
        context.close()
    assert blocked == []


@pytest.fixture
def page(new_page: Callable[[], Page]) -> Page:
    """A page of a fresh profile."""
    return new_page()
