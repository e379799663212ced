"""In which language a page speaks: what the person chose, else what the app wished, else what the browser asks for.

Source: OIDC Core §3.1.2.1, `ui_locales`; RFC 9110 §12.5.4; RFC 5646.
"""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import translation
from django.utils.cache import patch_vary_headers
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation.trans_real import parse_accept_lang_header

from smartauth.conf import config

GetResponse = Callable[[HttpRequest], HttpResponse]
CHOSEN = "smartauth_language"
WISHED = "smartauth_ui_locales"  # by the app that began the launch; the person's own choice comes first
A_YEAR = 365 * 24 * 3600
LONGEST_QUERY = 2_000  # characters
# What was sent to these is not sent again to change the language of the answer.
ONCE = re.compile(r"/(?:authorize|logout|apps/stop)/?$")
# Where the query says where to go afterwards, in our own words; elsewhere it is not for repeating.
WITH_QUERY = ("/account/", "/auth/logout/confirm")
# Pages of people at work.
ENGLISH_ONLY = re.compile(r"/(?:admin|developers|launcher|account/signup)(?:/|$)")


def language(get_response: GetResponse) -> GetResponse:
    """Let everything a request leads to speak one language."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if ENGLISH_ONLY.match(request.path_info):
            with translation.override("en"):
                return get_response(request)
        with translation.override(language_of(request)):
            response = get_response(request)
            if response.get("Content-Type", "").startswith("text/html"):
                response.setdefault("Content-Language", translation.get_language() or "en")
                patch_vary_headers(response, ("Accept-Language", "Cookie"))
            return response

    return middleware


def language_of(request: HttpRequest) -> str:
    """Return the language of the pages for a request."""
    for cookie in (CHOSEN, WISHED):
        if request.COOKIES.get(cookie) in supported():
            return request.COOKIES[cookie]
    asked = request.headers.get("Accept-Language", "")[:500]
    return first_supported(tag for tag, _ in parse_accept_lang_header(asked)) or "en"


def supported() -> tuple[str, ...]:
    """Return the codes of the languages there are."""
    return tuple(code for code, _ in settings.LANGUAGES)


def first_supported(tags: Any) -> str:
    """Return the first of some language tags that we speak, whatever the region; "" for none."""
    for tag in tags:
        primary = str(tag).partition("-")[0].lower()
        if primary in supported():
            return primary
    return ""


def note_wish(request: HttpRequest, response: HttpResponse, wished: str) -> None:
    """Remember in the browser which language an app wishes its pages in, "" for none, until it is closed."""
    if wished:
        _set(response, WISHED, wished)
    elif WISHED in request.COOKIES:
        response.delete_cookie(WISHED)


def choices(request: HttpRequest) -> list[dict[str, str]]:
    """Return the languages with the address that changes to each and comes back to the same page."""
    if ENGLISH_ONLY.match(request.path_info) or ONCE.search(request.path_info):
        return []
    query = request.META.get("QUERY_STRING", "") if request.path_info.startswith(WITH_QUERY) else ""
    here = f"{request.path}?{query}" if query and len(query) <= LONGEST_QUERY else request.path
    return [
        {"code": code, "name": name, "href": f"{reverse('language')}?{urlencode({'to': code, 'next': here})}"}
        for code, name in settings.LANGUAGES
    ]


def choose_language(request: HttpRequest) -> HttpResponse:
    """Change the language of the pages in this browser, and go back. Nothing else changes, so it is a GET."""
    to, then = request.GET.get("to", ""), request.GET.get("next", "/")
    inside = then.startswith("/") and url_has_allowed_host_and_scheme(then, allowed_hosts=None)
    response = HttpResponseRedirect(then if inside else "/")
    response["Cache-Control"] = "no-store"
    if to in supported():
        _set(response, CHOSEN, to, max_age=A_YEAR)
    return response


def _set(response: HttpResponse, cookie: str, value: str, *, max_age: int | None = None) -> None:
    secure = config().base_url.startswith("https://")
    response.set_cookie(cookie, value, max_age=max_age, httponly=True, samesite="Lax", secure=secure)
