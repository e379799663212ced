"""Wrong passwords: how many may be tried, and what the person is told of them afterwards.

They count per name and address, so that whoever guesses at a name stops themselves and not the person. Only guesses
from many addresses at once stop everybody, at a bound that no single address reaches.
"""

from datetime import UTC, datetime
from typing import TypedDict

from allauth.core.internal import ratelimit
from django.core.cache import cache
from django.http import HttpRequest

APP = "allauth.account"
HERE, ANYWHERE = "login_failed", "login_failed_anywhere"
SESSION_KEY = "wrong_passwords"
WORTH_TELLING = 5  # Fewer are one's own slips.
KEPT = 30 * 24 * 3600  # seconds


class Told(TypedDict):
    """What a person hears: how many wrong passwords there were, and when the last."""

    count: int
    last_at: datetime


def admit(request: HttpRequest, name: str) -> ratelimit.RateLimitUsage | None:
    """Count an attempt to sign in as `name`, or return None when there were too many. Good ones are taken back."""
    address = ratelimit.get_ip(request)
    here = ratelimit.consume(request, app=APP, action=HERE, key=f"{name}:{address}")
    if here is None:
        return None
    anywhere = ratelimit.consume(request, app=APP, action=ANYWHERE, key=name)
    if anywhere is None:
        here.rollback()
        return None
    return ratelimit.RateLimitUsage(here.usage + anywhere.usage)


def note(user: int) -> None:
    """Remember that somebody entered a wrong password for a user."""
    count, _ = cache.get(_key(user), (0, 0.0))
    cache.set(_key(user), (count + 1, datetime.now(UTC).timestamp()), KEPT)


def move_to_session(request: HttpRequest, user: int) -> None:
    """Let the person who has just signed in hear of them, once, if there were more than slips."""
    count, last = cache.get(_key(user), (0, 0.0))
    if count >= WORTH_TELLING:
        request.session[SESSION_KEY] = [count, last]
    if count:
        cache.delete(_key(user))


def take(request: HttpRequest) -> Told | None:
    """Return what is to be told on this page, and forget it."""
    found = request.session.pop(SESSION_KEY, None) if hasattr(request, "session") else None
    return Told(count=found[0], last_at=datetime.fromtimestamp(found[1], UTC)) if found else None


def _key(user: int) -> str:
    return f"wrong-passwords:{user}"
