"""What a person said on the consent page, read from its form."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.http import HttpRequest
from django.utils.translation import gettext_noop as _

from smartauth import tokens
from smartauth.browser import PageRefused
from smartauth.conf import config
from smartauth.errors import Refusal
from smartauth.policy.consent import OFFLINE, ONLINE, choose, declined
from smartauth.policy.durations import Choice, choices, find_choice, longest
from smartauth.policy.scopes import Scope
from smartauth.policy.unasked import as_text, may_be_remembered
from smartauth.views.continuing import Open
from smartauth.views.leading_on import NOTHING_SHARED


@dataclass(frozen=True, slots=True)
class Answer:
    """What was allowed, on which terms, and what was not.

    `replaces`: what was allowed before ends. `follows`: the answer it repeats.
    """

    granted: tuple[Scope, ...]
    terms: tokens.Terms
    rule: str = "consent.allowed"
    replaces: bool = False
    follows: UUID | None = None
    declined: tuple[Scope, ...] = ()


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
            title=_("This length of time is not offered"),
            advice=(_("Go back, and choose one of the lengths on the page."), NOTHING_SHARED),
        )
    granted = choose(asked, frozenset(request.POST.getlist("scope")))
    ends_at = _end(granted, chosen, opened)
    remembered = request.POST.get("remember") == "yes" and remember_days(opened) > 0
    until = [opened.now + timedelta(days=remember_days(opened)), *([ends_at] if ends_at else [])]
    terms = tokens.Terms(
        ends_at=ends_at,
        remembered_scope=as_text(asked) if remembered else "",
        remembered_until=min(until) if remembered else None,
    )
    replaces = request.POST.get("replace") == "yes"
    return Answer(granted, terms, replaces=replaces, declined=declined(asked, granted))


def remember_days(opened: Open) -> int:
    """Return for how many days an answer may stand for later requests like it, 0 where it may not."""
    stored = opened.pending
    possible = may_be_remembered(
        is_public=opened.client.is_public, redirect_uri=stored.redirect_uri, prompts=stored.prompts
    )
    return opened.tenant.policy.remember_days if possible else 0


def lengths(opened: Open) -> tuple[Choice, ...]:
    """Return how long the app may be allowed to stay connected."""
    return choices(limit_of(opened), opened.now)


def limit_of(opened: Open) -> timedelta | None:
    """Return how long a consent lasts at most, by word of the tenant or the operator."""
    return longest(timedelta(days=opened.tenant.policy.max_consent_days), config().grant_lifetime)


def longest_end(granted: tuple[Scope, ...], opened: Open) -> datetime | None:
    """Return when it ends at the latest, None for never or by itself: with its only token."""
    limit = limit_of(opened)
    return opened.now + limit if limit and (OFFLINE in granted or ONLINE in granted) else None


def _end(granted: tuple[Scope, ...], chosen: Choice, opened: Open) -> datetime | None:
    return chosen.ends_at if OFFLINE in granted else longest_end(granted, opened)
