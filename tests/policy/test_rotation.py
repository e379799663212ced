"""What a refresh token that is shown is worth.  REFRESH-14, REFRESH-15, REFRESH-21; RFC 9700 §4.14.2."""

from datetime import UTC, datetime, timedelta

import pytest

from smartauth.policy.rotation import Outcome, Shown, decide_rotation

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
GRACE = timedelta(seconds=10)
JUST, LATER = timedelta(microseconds=1), timedelta(hours=1)


def ago(seconds: float) -> datetime:
    return NOW - timedelta(seconds=seconds)


# In every family the token shown is number 1.
OUTCOMES = [
    # rotated     superseded  live  predecessor   outcome
    # The live one, young or old.
    (None,        None,       1,    None,         "rotate"),
    (None,        None,       1,    0,            "rotate"),
    # Rotated, and its successor is live and unused: the answer got lost, or somebody was not fast enough.
    (ago(0),      None,       2,    1,            "sibling"),
    (ago(3),      None,       2,    1,            "sibling"),
    (ago(10),     None,       2,    1,            "sibling"),
    (NOW - GRACE - JUST, None, 2,   1,            "reuse"),
    (ago(11),     None,       2,    1,            "reuse"),
    (ago(86_400), None,       2,    1,            "reuse"),
    # Rotated, and its successor was used: whoever shows it now is not the one who went on.
    (ago(0),      None,       3,    2,            "reuse"),
    (ago(3),      None,       3,    2,            "reuse"),
    # A sibling is live whose predecessor is the same: a second retry is as good as the first.
    (ago(3),      None,       9,    1,            "sibling"),
    # Lost the race against a sibling before it was used.
    (None,        ago(0),     3,    0,            "late"),
    (None,        ago(10),    3,    0,            "late"),
    (None,        ago(3),     4,    3,            "late"),
    (None,        NOW - GRACE - JUST, 3, 0,       "reuse"),
    (None,        ago(86_400), 3,   0,            "reuse"),
    # A rotated token is judged by its rotation, whatever else is noted.
    (ago(3),      ago(3),     3,    2,            "reuse"),
    # No token of the family is live: it was revoked, and nothing brings it back.
    (None,        None,       None, None,         "reuse"),
    (ago(3),      None,       None, None,         "reuse"),
    (ago(11),     None,       None, None,         "reuse"),
    # Neither live nor accounted for.
    (None,        None,       2,    1,            "reuse"),
]  # fmt: skip


@pytest.mark.parametrize(("rotated", "superseded", "live", "predecessor", "outcome"), OUTCOMES)
def test_a_repetition_is_forgiven_for_a_moment_and_only_while_nobody_went_on(
    rotated: datetime | None, superseded: datetime | None, live: int | None, predecessor: int | None, outcome: Outcome
) -> None:
    shown = Shown(1, rotated, superseded, live, predecessor)
    assert decide_rotation(shown, now=NOW, grace=GRACE) == outcome


# Two workers need not agree on the time, and clocks are set back: what happened "in a moment" happened just now.
BACKWARDS = [
    # rotated         superseded      live  predecessor   outcome
    (NOW + JUST,      None,           2,    1,            "sibling"),
    (ago(-3),         None,           2,    1,            "sibling"),
    (NOW + LATER,     None,           2,    1,            "sibling"),
    (None,            NOW + JUST,     3,    0,            "late"),
    (None,            NOW + LATER,    3,    0,            "late"),
    # Theft is still seen by what happened in the family.
    (NOW + LATER,     None,           3,    2,            "reuse"),
    (NOW + LATER,     None,           None, None,         "reuse"),
]  # fmt: skip


@pytest.mark.parametrize(("rotated", "superseded", "live", "predecessor", "outcome"), BACKWARDS)
def test_a_clock_that_goes_backwards_makes_no_lost_answer_look_like_theft(
    rotated: datetime | None, superseded: datetime | None, live: int | None, predecessor: int | None, outcome: Outcome
) -> None:
    shown = Shown(1, rotated, superseded, live, predecessor)
    assert decide_rotation(shown, now=NOW, grace=GRACE) == outcome


def test_without_grace_every_repetition_a_moment_later_is_theft() -> None:
    shown = Shown(1, NOW - JUST, None, 2, 1)
    assert decide_rotation(shown, now=NOW, grace=timedelta(0)) == "reuse"
    superseded = Shown(1, None, NOW - JUST, 2, 0)
    assert decide_rotation(superseded, now=NOW, grace=timedelta(0)) == "reuse"


@pytest.mark.parametrize("grace", [timedelta(0), GRACE, timedelta(days=1)])
def test_the_live_token_rotates_whatever_the_grace(grace: timedelta) -> None:
    assert decide_rotation(Shown(7, None, None, 7, 6), now=NOW, grace=grace) == "rotate"
