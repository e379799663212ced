"""What a person said on the consent page, read from its form."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.http import HttpRequest

from smartauth.browser import PageRefused
from smartauth.conf import config
from smartauth.errors import Refusal
from smartauth.policy.consent import OFFLINE, ONLINE, choose
from smartauth.policy.durations import Choice, choices, find_choice, longest
from smartauth.policy.scopes import Scope
from smartauth.views.continuing import Open


@dataclass(frozen=True, slots=True)
class Answer:
    """What was allowed. `ends_at`: when it is over however often it is used. `replaces`: what was before ends."""

    granted: tuple[Scope, ...]
    ends_at: datetime | None
    replaces: bool


def read_answer(request: HttpRequest, opened: Open, asked: tuple[Scope, ...]) -> Answer:
    """Return what was ticked and chosen of what could be. Raises PageRefused for a length that was not offered."""
    chosen = find_choice(request.POST.get("duration", ""), limit_of(opened), opened.now)
    if chosen is None:
        raise PageRefused(
            Refusal(
                "consent.duration",
                "the form names a length of time that was not offered",
                expected=", ".join(one.value for one in lengths(opened) if one.value),
                seen=request.POST["duration"][:20],
                fix="Choose one of the lengths on the page.",
            ),
            title="This length of time is not offered",
            advice="Go back, and choose one of the lengths on the page. Nothing was shared.",
        )
    granted = choose(asked, frozenset(request.POST.getlist("scope")))
    return Answer(granted, _end(granted, chosen, opened), request.POST.get("replace") == "yes")


def lengths(opened: Open) -> tuple[Choice, ...]:
    """Return how long the app may be allowed to stay connected."""
    return choices(limit_of(opened), opened.now)


def limit_of(opened: Open) -> timedelta | None:
    """Return how long a consent lasts at most, by word of the tenant or the operator."""
    return longest(timedelta(days=opened.tenant.policy.max_consent_days), config().grant_lifetime)


def _end(granted: tuple[Scope, ...], chosen: Choice, opened: Open) -> datetime | None:
    """Return when it ends. Without staying connected it ends by itself, with its token or the session."""
    if OFFLINE in granted:
        return chosen.ends_at
    limit = limit_of(opened)
    return opened.now + limit if limit and ONLINE in granted else None
