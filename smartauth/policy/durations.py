"""How long an app may stay connected, as somebody chooses it on the consent page. Pure.

An app that asks for offline_access asks for as long as it is used. People may give it less; the tenant and the operator
may have set the most there is.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

OFFERED = (1, 7, 30, 90, 365)  # days


@dataclass(frozen=True, slots=True)
class Choice:
    """One length that can be chosen. `value` is how a form says it, "" for what was asked.

    `days` is 0 and `ends_at` None where there is no end.
    """

    value: str
    days: int
    ends_at: datetime | None


def longest(*limits: timedelta | None) -> timedelta | None:
    """Return the shortest of several limits, None where there is none. A limit of no length is none."""
    return min((one for one in limits if one), default=None)


def choices(limit: timedelta | None, now: datetime) -> tuple[Choice, ...]:
    """Return what can be chosen, the shortest first, and last what is granted when nothing is: all there is."""
    shorter = [days for days in OFFERED if limit is None or timedelta(days=days) < limit]
    asked = Choice("", limit.days if limit else 0, now + limit if limit else None)
    return (*(Choice(str(days), days, now + timedelta(days=days)) for days in shorter), asked)


def find_choice(value: str, limit: timedelta | None, now: datetime) -> Choice | None:
    """Return the choice that a form names, or None for one that was not offered."""
    return next((one for one in choices(limit, now) if one.value == value), None)
