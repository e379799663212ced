"""What becomes of a refresh token that is shown: rotate it, forgive a repetition, or take it for stolen. Pure.

Source: RFC 9700 §4.14.2.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Outcome = Literal["rotate", "sibling", "late", "reuse"]


@dataclass(frozen=True, slots=True)
class Shown:
    """A refresh token of a family, and the one that is live in it now, if there is one.

    `rotated_at`: when a successor was issued. `superseded_at`: when a sibling took its place before it was used.
    """

    pk: int
    rotated_at: datetime | None
    superseded_at: datetime | None
    live: int | None
    predecessor_of_live: int | None


def decide_rotation(shown: Shown, *, now: datetime, grace: timedelta) -> Outcome:
    """Say what to do with a token.

    rotate: it is the live one.    sibling: it was rotated a moment ago and its successor is unused, so the answer got
    lost; the successor dies and a sibling is issued.    late: it lost that race itself a moment ago; it is refused, and
    that is all.    reuse: everything is to be revoked.
    """
    if shown.pk == shown.live:
        return "rotate"
    if shown.rotated_at is not None:
        is_recent = now - shown.rotated_at <= grace
        return "sibling" if is_recent and shown.predecessor_of_live == shown.pk else "reuse"
    if shown.superseded_at is not None and now - shown.superseded_at <= grace:
        return "late"
    return "reuse"
