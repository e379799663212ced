"""The cookie by which the launcher knows a browser again: a launch has a sign-in inside, which begins a new session."""

from django.http import HttpRequest, HttpResponse

from smartauth.conf import config
from smartauth.digests import new_secret

COOKIE = "smartauth_launcher"
LASTS = 12 * 3600  # seconds


def browser_of(request: HttpRequest) -> str:
    """Return what the browser is known by, "" for one that was never here."""
    return request.COOKIES.get(COOKIE, "")


def remember(request: HttpRequest, response: HttpResponse) -> str:
    """Return what the browser is known by, and tell it if it is new. Whoever has no cookie owns no launch."""
    known = browser_of(request)
    if not known:
        known = new_secret()
        response.set_cookie(
            COOKIE,
            known,
            max_age=LASTS,
            path="/",  # The authorization endpoint is told, too, when an app begins by itself.
            httponly=True,
            samesite="Lax",
            secure=config().base_url.startswith("https://"),
        )
    return known
