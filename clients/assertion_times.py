"""The times of a client assertion, and what they say about the clock that signed it. Pure.

Source: RFC 7519 §2 and §4.1; RFC 7523 §3; SMART 2.2 client-confidential-asymmetric, "Authenticating to the Token
Endpoint".
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from clients.assertion_case import Case, Check, refuse
from clients.jwks_rules import shown

NAMES = ("exp", "nbf", "iat")
QUARTER = timedelta(minutes=15)  # Every time zone differs from UTC by a multiple of it.
THIS_CENTURY = range(946_684_800, 4_102_444_800)  # 2000 to 2100, in seconds since 1970
LONGEST_DURATION = 1_000_000_000  # As a time it was in 2001, so as an `exp` it is meant as a duration.


def check_written(case: Case) -> None:
    """Raise InvalidClient unless `exp` is there and every time is a number of seconds."""
    claims = case.assertion.claims
    for name in NAMES:
        if name in claims and case.moment(name) is None:
            _refuse_unreadable(name, claims[name])
    if "exp" not in claims:
        fix = f"Set exp to at most {seconds(case.max_lifetime)} s from now, in seconds since 1970."
        raise refuse("exp_missing", "there is no exp", expected="exp", seen="no exp", fix=fix)


def check_begun(case: Case) -> None:
    """Raise InvalidClient for what was issued, or begins to count, in the future."""
    for name, rule, reason in (
        ("nbf", "nbf", "the assertion is not valid yet"),
        ("iat", "iat_future", "the assertion was issued in the future: the clock that signed is ahead"),
    ):
        at = case.moment(name)
        if at is not None and at > case.now + case.leeway:
            ahead = at - case.now
            raise refuse(
                rule,
                reason,
                expected=f"{name} by {written(case.now)}, our clock; {seconds(case.leeway)} s more are tolerated",
                seen=f"{name} {written(at)}, {seconds(ahead)} s ahead of our clock",
                fix=f"Set the clock of the machine that signs: it is {seconds(ahead)} s ahead.{zone_hint(ahead)}",
            )


def check_alive(case: Case) -> None:
    """Raise InvalidClient for what has expired or is valid for too long. `exp` can be read."""
    expires_at = case.moment("exp")
    if expires_at is None:
        raise refuse("exp_missing", "there is no exp")
    if expires_at <= case.now - case.leeway:
        raise refuse(
            "expired",
            "the assertion has expired",
            expected=f"exp after {written(case.now)}, our clock",
            seen=f"exp {written(expires_at)}, {seconds(case.now - expires_at)} s ago{_beside_iat(case)}",
            fix=_fix_expired(case, expires_at),
        )
    if expires_at > case.now + case.max_lifetime + case.leeway:
        raise refuse(
            "exp_too_far",
            "the assertion is valid for too long",
            expected=f"exp at most {seconds(case.max_lifetime)} s from now",
            seen=f"exp in {seconds(expires_at - case.now)} s{_beside_iat(case)}",
            fix=_fix_too_far(case, expires_at),
        )


def check_young(case: Case) -> None:
    """Raise InvalidClient for what was issued longer ago than any assertion may live."""
    issued_at = case.moment("iat")
    if issued_at is not None and issued_at < case.now - case.max_lifetime - case.leeway:
        age = case.now - issued_at
        raise refuse(
            "iat_old",
            "the assertion was issued too long ago",
            expected=f"iat within the last {seconds(case.max_lifetime)} s",
            seen=f"iat {written(issued_at)}, {seconds(age)} s ago",
            fix="Sign a fresh assertion for each request. "
            f"If it was fresh, the clock that signs is {seconds(age)} s behind.{zone_hint(-age)}",
        )


def zone_hint(ahead: timedelta) -> str:
    """Return a sentence where a difference of clocks is that of a time zone, else ""."""
    quarters = round(ahead / QUARTER)
    if abs(quarters) < 2 or abs(quarters) > 56 or abs(ahead - quarters * QUARTER) > timedelta(seconds=30):
        return ""
    return f" {quarters / 4:+g} h to the minute looks like local time: exp and iat count from 1970 in UTC."


def seconds(span: timedelta) -> int:
    """Return a span in whole seconds."""
    return round(span.total_seconds())


def written(at: datetime) -> str:
    """Return a time as people read it, in UTC."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _refuse_unreadable(name: str, value: object) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if is_number and THIS_CENTURY.start * 1_000 <= value < THIS_CENTURY.stop * 1_000:
        raise refuse(
            f"{name}_milliseconds",
            f"{name} is in milliseconds",
            expected="seconds since 1970",
            seen=shown(value),
            fix=f"Divide {name} by 1000.",
        )
    raise refuse(
        f"{name}_type",
        f"{name} is not a time in seconds since 1970",
        expected="a JSON number",
        seen=shown(value),
        fix=f"Write {name} as a number, without quotes: whole seconds since 1970.",
    )


def _beside_iat(case: Case) -> str:
    """Return how long the assertion was made for, where it says so."""
    issued_at, expires_at = case.moment("iat"), case.moment("exp")
    if issued_at is None or expires_at is None:
        return "; no iat to compare with"
    return f"; {seconds(expires_at - issued_at)} s after iat"


def _fix_expired(case: Case, expires_at: datetime) -> str:
    if expires_at.timestamp() < LONGEST_DURATION:
        return "exp looks like a duration: it is a time, so add it to the time of signing in seconds since 1970."
    issued_at = case.moment("iat")
    behind = case.now - (issued_at or expires_at)
    known = "" if issued_at else "at least "
    return (
        "Sign a fresh assertion for each request. "
        f"If it was fresh, the clock that signs is {known}{seconds(behind)} s behind.{zone_hint(-behind)}"
    )


def _fix_too_far(case: Case, expires_at: datetime) -> str:
    longest = seconds(case.max_lifetime)
    fix = f"Sign for {longest} s at most: libraries often sign for an hour unless they are told."
    if case.moment("iat") is not None:  # The clock is right, or this had been refused before.
        return fix
    ahead = expires_at - case.now - case.max_lifetime
    return f"{fix} If you do, the clock that signs is {seconds(ahead)} s ahead.{zone_hint(ahead)}"


def _show(*names: str) -> Callable[[Case], str]:
    """Return how to show these times of an assertion, where it has them."""

    def show(case: Case) -> str:
        return ", ".join(f"{name} {_away(at, case.now)}" for name in names if (at := case.moment(name)))

    return show


def _away(at: datetime, now: datetime) -> str:
    return f"in {seconds(at - now)} s" if at > now else f"{seconds(now - at)} s ago"


# A clock that is wrong breaks several of them: what follows from the one before is not told again.
TIME_CHECKS = (
    Check("assertion.times", "exp, nbf and iat are seconds since 1970", check_written, show=_show(*NAMES)),
    Check("assertion.iat_future", "It was not issued in the future", check_begun, show=_show("iat", "nbf")),
    Check(
        "assertion.exp",
        "It is alive, and not for too long",
        check_alive,
        ("assertion.times", "assertion.iat_future"),
        _show("exp"),
    ),
    Check("assertion.iat_old", "It was issued lately", check_young, ("assertion.exp",), _show("iat")),
)
