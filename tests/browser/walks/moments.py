"""Pages that come when something is wrong, also those that a sandbox in good order never shows."""

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from urllib.parse import urlencode
from uuid import uuid4

from django.conf import settings
from django.contrib.auth.models import AnonymousUser
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import RequestFactory
from django.test.utils import override_settings
from django.utils import translation
from playwright.sync_api import Page

from smartauth import browser, pages
from smartauth.context import new_context
from tests.browser.judge import Judge
from tests.browser.walks.people import EVIL
from tests.world import World

View = Callable[[HttpRequest], HttpResponse]


def walk(page: Page, world: World, judge: Judge, language: str) -> None:
    """Go where nothing is, come as nobody may, and find the server in trouble."""
    base = world.base_url

    def see(name: str) -> None:
        judge(page, f"{name} ({language})", language=language, brief=language != "en")

    if language == "en":
        page.goto(f"{base}/")
        see("landing")
    page.goto(f"{base}/account/nowhere/{'long' * 60}")
    see("404")
    page.goto(f"{base}/auth/sandbox/authorize?{urlencode({'client_id': '<b>nobody', 'aud': world.fhir_base})}")
    see("400, no such app")
    page.goto(f"{base}/account/apps/stop")
    see("405")
    page.goto(f"{base}/account/login/?next=/account/")
    page.context.clear_cookies()
    page.locator("#id_login").fill("ana")
    page.locator("#id_password").fill("ana")
    page.locator("#id_password").press("Enter")
    page.locator("h1:not(form *)").wait_for()
    see("403, no cookie")
    moments: dict[str, tuple[View, str]] = {
        "429": (pages.too_many, "error.html"),
        "500": (pages.server_error, "bare.html"),
        "503": (browser._unavailable, "bare.html"),
        "no accounts here": (pages.sign_up, "account/signup_closed.html"),
        "records away": (_records_away, "consent/records_away.html"),
    }
    for name, (view, template) in moments.items():
        judge.show(page, _answer(view, language), template, f"{name} ({language})", language=language)


def _records_away(request: HttpRequest) -> HttpResponse:
    request.method = "POST"  # What was sent is sent again.
    waiting = SimpleNamespace(pk=uuid4(), page=uuid4())
    opened = SimpleNamespace(pending=waiting)
    return render(request, "consent/records_away.html", {"opened": opened, "sent": [("name", EVIL)]}, status=503)


def _answer(view: View, language: str) -> bytes:
    """Return what a view answers in this process, which for the moment is in production."""
    request = RequestFactory().get("/account/moment/")
    request.user, request.session, request.context = AnonymousUser(), SessionStore(), new_context()  # type: ignore[attr-defined]
    in_production = replace(settings.SMARTAUTH, mode="production")
    with override_settings(SMARTAUTH=in_production), translation.override(language):
        answer = view(request)
        getattr(answer, "render", lambda: None)()
    return bytes(answer.content)
