"""Somebody at the launcher's form, over real HTTP."""

import re
from collections.abc import Iterator
from html import unescape
from typing import Any

import pytest
import requests

from smartauth.sandbox.models import Run
from tests.world import World

FORM = {"kind": "provider-ehr", "client": "growth-chart", "user": "dr-grey", "patient": "ana", "minutes": "10"}


class Visitor:
    """Somebody at the launcher's form."""

    def __init__(self, world: World) -> None:
        self.base_url = world.base_url
        self.browser = requests.Session()
        self.browser.trust_env = False

    def press(self, path: str, **fields: str) -> requests.Response:
        """Load the form, and post it with these fields."""
        page = self.browser.get(f"{self.base_url}{path}", timeout=20)
        token = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        assert token, page.text
        action = {"csrfmiddlewaretoken": token[1], **fields}
        target = re.findall(r'<form method="post" action="([^"]+)"', page.text)[-1]
        return self.browser.post(f"{self.base_url}{target}", action, timeout=30)

    def launch(self, **changes: str) -> requests.Response:
        return self.press("/launcher/", **(FORM | {"do": "launch"} | changes))

    def seen(self, run: Run) -> list[dict[str, Any]]:
        steps: list[dict[str, Any]] = self.browser.get(
            f"{self.base_url}/launcher/run/{run.pk}/steps", timeout=20
        ).json()["steps"]
        return steps


@pytest.fixture
def visitor(hospital: World) -> Iterator[Visitor]:
    somebody = Visitor(hospital)
    yield somebody
    somebody.browser.close()


def opened_in(page: requests.Response) -> str:
    """Return the address at which the page of a launch opens the app in a window of its own."""
    link = re.search(r'href="([^"]+launch=[^"]+)" target="_blank" rel="noopener noreferrer"', page.text)
    assert link, page.text
    return unescape(link[1])


def latest() -> Run:
    return Run.objects.latest("begun_at")
