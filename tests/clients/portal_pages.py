"""A partner with a browser, for tests of the portal: fills in the pages as they are, hidden fields included."""

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse
from django.test import Client as Browser

from clients.models import Draft
from smartauth.people.models import User

HOST = "127.0.0.1:8000"


class SecureBrowser(Browser):
    """A browser that comes by https, as production wants it."""

    def generic(self, *args: Any, **kwargs: Any) -> Any:
        return super().generic(*args, **{**kwargs, "secure": True})


def partner(name: str = "kim") -> tuple[User, Browser]:
    """Return somebody who may use the portal, signed in."""
    user = User.objects.create_user(name, password="not used here")
    browser = Browser(HTTP_HOST=HOST)
    browser.force_login(user)
    return user, browser


def begin(browser: Browser, kind: str = "service") -> Draft:
    """Answer the first question and return the draft it begins."""
    answer = browser.post("/developers/new", {"kind": kind})
    assert answer.status_code == 302, answer.content
    return Draft.objects.latest("pk")


def step_url(draft: Draft, name: str) -> str:
    return f"/developers/drafts/{draft.pk}/{name}"


IDENTITY = {
    "client_name": "Night Export",
    "publisher": "Kim Inc",
    "purpose": "Counts vaccinations.",
    "contacts": "kim@example.org",
}


class Texts(HTMLParser):
    """What a page shows as text, by the id of the element it stands in, and every tag with its attributes."""

    def __init__(self, answer: HttpResponse) -> None:
        super().__init__()
        self.by_id: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.text = ""
        self._open: list[str] = []
        self.feed(answer.content.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = {name: value or "" for name, value in attrs}
        self.tags.append((tag, values))
        if tag not in ("input", "br", "img", "link", "meta"):
            self._open.append(values.get("id", ""))

    def handle_endtag(self, tag: str) -> None:
        if self._open:
            self._open.pop()

    def handle_data(self, data: str) -> None:
        self.text += data
        for one in self._open:
            if one:
                self.by_id[one] = self.by_id.get(one, "") + data

    def values(self, name: str) -> list[str]:
        """Return the values of the controls called `name` that would be sent."""
        return [
            values.get("value", "on")
            for tag, values in self.tags
            if tag == "input"
            and values.get("name") == name
            and (values.get("type") not in ("checkbox", "radio") or "checked" in values)
        ]


def answers_of(draft: Draft) -> dict[str, Any]:
    draft.refresh_from_db()
    found: dict[str, Any] = draft.answers
    return found
