"""Dates as people type them: what is read, and what is not guessed at."""

import pytest

from smartauth.policy.typed_dates import read_date

READ = [
    ("1984-05-12", "1984-05-12"),
    ("1984-05", "1984-05"),
    ("1984", "1984"),
    (" 1984/5/2 ", "1984-05-02"),
    ("1984.5.2", "1984-05-02"),
    ("1984 5", "1984-05"),
    ("1984 - 05 - 12", "1984-05-12"),
    ("19840512", "1984-05-12"),
    ("2024-02-29", "2024-02-29"),
    # Nobody knows which is the month.
    ("05/12/1984", ""),
    ("12.05.1984", ""),
    ("12 May 1984", ""),
    ("1984-13", ""),
    ("1984-00", ""),
    ("2023-02-29", ""),
    ("0000", ""),
    ("84-05-12", ""),
    ("1984-05-12T10:00:00Z", ""),
    ("ge1984", ""),
    ("1984,1985", ""),
    ("\u0661\u0669\u0668\u0664", ""),
    ("", ""),
]


@pytest.mark.parametrize(("typed", "read"), READ)
def test_a_date_is_read_with_the_year_first_or_not_at_all(typed: str, read: str) -> None:
    assert read_date(typed) == read
