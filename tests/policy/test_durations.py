"""How long somebody may let an app stay connected: what is offered within which limits, and what a form may say."""

from datetime import UTC, datetime, timedelta

import pytest

from smartauth.policy.durations import choices, find_choice, longest

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def days(number: int | None) -> timedelta | None:
    return None if number is None else timedelta(days=number)


LIMITS = [
    # limit in days   offered, the last one being what was asked
    (None,            ["1", "7", "30", "90", "365", ""]),
    (3_650,           ["1", "7", "30", "90", "365", ""]),
    (365,             ["1", "7", "30", "90", ""]),
    (100,             ["1", "7", "30", "90", ""]),
    (7,               ["1", ""]),
    (1,               [""]),
]  # fmt: skip


@pytest.mark.parametrize(("limit", "values"), LIMITS)
def test_only_what_is_shorter_than_the_limit_is_offered(limit: int | None, values: list[str]) -> None:
    offered = choices(days(limit), NOW)
    assert [one.value for one in offered] == values
    for one in offered[:-1]:
        assert one.ends_at == NOW + timedelta(days=int(one.value))
    assert offered[-1].ends_at == (None if limit is None else NOW + timedelta(days=limit))


SAID = [("", True), ("30", True), ("365", False), ("30 ", False), ("031", False), ("-1", False), ("for ever", False)]


@pytest.mark.parametrize(("value", "is_offered"), SAID)
def test_a_form_may_say_what_was_offered_and_nothing_else(value: str, is_offered: bool) -> None:
    assert (find_choice(value, timedelta(days=100), NOW) is not None) is is_offered


def test_of_several_limits_the_shortest_counts() -> None:
    assert longest(None, timedelta(0)) is None
    assert longest(days(30), None, days(7)) == days(7)
