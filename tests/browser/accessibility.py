"""What axe-core, the judge of accessibility most tools build on, says of a page as it is in the browser."""

from pathlib import Path

import pytest
from playwright.sync_api import Page

AXE = Path(__file__).resolve().parent.parent / "node" / "node_modules" / "axe-core" / "axe.min.js"
GRAVE = ("serious", "critical")


def problems(page: Page) -> list[str]:
    """Return the serious and critical violations on a page, each with where it is. Skips the test without axe-core."""
    if not AXE.exists():
        pytest.skip("NO AXE: the npm packages of tests/node could not be had, so pages are not judged")
    # As the developer tools would: the page's own policy lets in no foreign script, and need not.
    if not page.evaluate("() => 'axe' in window"):
        page.evaluate(AXE.read_text())
    found = page.evaluate("async () => (await axe.run(document, {resultTypes: ['violations']})).violations")
    return [
        f"{one['impact']} {one['id']}: {one['help']} at {node['target']}: {node['html'][:200]}"
        for one in found
        if one["impact"] in GRAVE
        for node in one["nodes"]
    ]


def fits(page: Page) -> bool:
    """Return True when nothing makes the page scroll sideways."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))
