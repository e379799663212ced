"""Looks at one page after the other as everybody might have it: wide and light, narrow and dark, with larger spacing.

Source: WCAG 2.2, above all 1.4.10 Reflow, 1.4.12 Text Spacing, 2.4.2 Page Titled, 2.4.7 Focus Visible and 3.1.1.
"""

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Dialog, Page, Request, Response

from smartauth.browser import page_policy_text
from tests.browser.accessibility import fits, problems
from tests.browser.told import MADE_OF, ROUTE

CHECKS = (Path(__file__).parent / "judging.js").read_text()
WIDE, NARROW = 1280, 360
NARROWEST = 320  # 1280 at four times the size
# What WCAG 1.4.12 lets people set for themselves. Constructed in the page, it is not for the page's policy to block.
SPACED = """() => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`* { line-height: 1.5 !important; letter-spacing: 0.12em !important }
    * { word-spacing: 0.16em !important } p { margin-bottom: 2em !important }`);
  document.adoptedStyleSheets.push(sheet);
}"""
# A colour on its way from light to dark is neither.
AT_REST = "() => document.getAnimations().forEach((one) => one.effect?.getTiming().iterations === 1 && one.finish())"
NO_SPACING = "() => document.adoptedStyleSheets.pop()"
# Say where pictures go, to look at the pages that are judged.
PICTURES = os.environ.get("PICTURES", "")
PICTURED = ((WIDE, "light"), (WIDE, "dark"), (NARROW, "light"))


@dataclass(slots=True)
class Judge:
    """What was found on the pages of one server, and which templates and routes they came from."""

    base_url: str
    found: dict[str, list[str]] = field(default_factory=dict)
    templates: set[str] = field(default_factory=set)
    routes: set[str] = field(default_factory=set)
    titles: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    _documents: dict[Page, dict[str, str]] = field(default_factory=dict)
    _noises: dict[Page, list[str]] = field(default_factory=lambda: defaultdict(list))

    def watch(self, context: BrowserContext) -> Page:
        """Open a page whose requests, errors and documents are noted."""
        page = context.new_page()
        page.set_default_timeout(60_000)

        def on_response(response: Response) -> None:
            if response.frame == page.main_frame and response.request.is_navigation_request():
                self._documents[page] = response.headers

        def on_request(request: Request) -> None:
            parts = urlsplit(request.url)
            if parts.scheme not in ("data", "blob") and f"{parts.scheme}://{parts.netloc}" != self.base_url:
                self._noises[page].append(f"it asks elsewhere: {request.url}")

        def on_console(message: ConsoleMessage) -> None:
            # That the page itself is an error page is no error of the page.
            is_of_document = message.text.startswith("Failed to load") and message.location.get("url") == page.url
            # axe-core puts a style in, and so does who takes a picture.
            is_of_judge = not message.location.get("url") or (PICTURES and "inline style" in message.text)
            if message.type == "error" and not is_of_document and not is_of_judge:
                self._noises[page].append(f"its console says: {message.text}")

        page.on("response", on_response)
        page.on("request", on_request)
        page.on("console", on_console)

        def on_dialog(dialog: Dialog) -> None:
            self._noises[page].append(f"something was executed: {dialog.message}")
            dialog.dismiss()

        page.on("dialog", on_dialog)
        page.on("pageerror", lambda error: self._noises[page].append(f"its script fails: {error}"))
        return page

    def __call__(self, page: Page, name: str, *, language: str = "en", brief: bool = False) -> None:
        """Judge the page as it is now, and leave it as it was: wide and light, with the focus nowhere.

        brief: axe-core looks at it narrow and dark only. For pages that are seen in another language too, or are made
        of the same parts as many others.
        """
        page.wait_for_load_state()
        document = self._documents.get(page, {})
        self.templates |= set(document.get(MADE_OF, "").split())
        self.routes.add(document.get(ROUTE, ""))
        self.titles[page.title()].add(f"{document.get(ROUTE, '')} {name}")
        found = self._noises.pop(page, [])
        if page.locator("html").get_attribute("lang") != language:
            found.append("its language is not told")
        if PICTURES:
            _take_pictures(page, name)
        found += [] if brief else problems(page)
        self._be(page, NARROW, "dark")
        found += [f"narrow and dark, {one}" for one in problems(page)]
        if not fits(page):
            found.append("narrow, it scrolls sideways")
        page.evaluate(SPACED)
        self._be(page, NARROWEST, "dark")
        if not fits(page):
            found.append("with larger spacing on the narrowest screen, it scrolls sideways")
        page.evaluate(NO_SPACING)
        self._be(page, WIDE, "light")
        page.keyboard.press("Shift")  # Now whoever sits here uses the keyboard, so the focus is shown.
        found += page.evaluate(CHECKS)
        self.found[name] = found

    def show(self, page: Page, content: str | bytes, template: str, name: str, *, language: str = "en") -> None:
        """Judge a page that has no address where it could be found at the moment: by its markup, under our policy."""
        url = f"{self.base_url}/account/moment/"
        headers = {"Content-Type": "text/html; charset=utf-8", MADE_OF: f"base.html {template}"}
        headers["Content-Security-Policy"] = page_policy_text()
        page.route(url, lambda route: route.fulfill(body=content, headers=headers))
        page.goto(url)
        page.unroute(url)
        self(page, name, language=language)

    def _be(self, page: Page, width: int, scheme: str) -> None:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        page.evaluate(AT_REST)


def _take_pictures(page: Page, name: str) -> None:
    folder = Path(PICTURES)
    folder.mkdir(parents=True, exist_ok=True)
    for width, scheme in PICTURED:
        page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
        page.set_viewport_size({"width": width, "height": 800})
        file = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
        page.screenshot(path=folder / f"{file}.{width}-{scheme}.png", full_page=True)
    page.emulate_media(color_scheme="light")
    page.set_viewport_size({"width": WIDE, "height": 800})
