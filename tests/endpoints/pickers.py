"""The patient and the visit picker as a browser meets them: on the way to consent, each with a list to choose from."""

import re
from html import unescape

from django.http import HttpResponse
from django.test import Client as Browser

from smartauth.people.models import User
from tests.endpoints.app_launch import App, begin, sign_in

BUTTON = re.compile(r'<button name="(?:patient|visit)" value="([^"]*)"(?: autofocus)?>')
STATUS = re.compile(r'<p role="status">([^<]*)</p>')


def open_picker(
    browser: Browser, app: App, user: User, picker: str = "patient", **params: str
) -> tuple[str, HttpResponse]:
    """Begin a launch, sign in, and return the path of the consent page and the picker it leads to.

    picker: "patient" or "visit".    params: authorization parameters.
    """
    path = begin(browser, app, **params)
    assert browser.get(path).status_code == 302
    sign_in(browser, user, then=path)
    answer = browser.get(path)
    assert (answer.status_code, answer.headers.get("Location")) == (302, f"{path}/{picker}"), answer.content.decode()
    assert answer.headers["Cache-Control"] == "no-store"
    return path, browser.get(f"{path}/{picker}")


def offered(page: HttpResponse) -> list[str]:
    """Return the ids that can be chosen, in order."""
    assert page.status_code == 200, page.content.decode()
    return [unescape(value) for value in BUTTON.findall(page.content.decode())]


def said(page: HttpResponse) -> str:
    """Return what the page says of the list, which screen readers announce."""
    found = STATUS.search(page.content.decode())
    assert found, page.content.decode()
    return unescape(found[1])


def choose(browser: Browser, path: str, chosen: str, picker: str = "patient") -> HttpResponse:
    """Press the button of one in a list, whether it was there or not."""
    answer = browser.post(f"{path}/{picker}", {picker: chosen})
    assert isinstance(answer, HttpResponse)
    return answer
