"""Dates as people type them: what is read, what can be two days, and what is not guessed at."""

import pytest

from smartauth.policy.typed_dates import MONTHS, read_dates

BOTH = ("1984-12-05", "1984-05-12")  # the day first, then the month first

READ: list[tuple[str, tuple[str, ...]]] = [
    # The year first.
    ("1984-05-12", ("1984-05-12",)),
    ("1984-05", ("1984-05",)),
    ("1984", ("1984",)),
    (" 1984/5/2 ", ("1984-05-02",)),
    ("1984.5.2", ("1984-05-02",)),
    ("1984 5", ("1984-05",)),
    ("1984 - 05 - 12", ("1984-05-12",)),
    ("1984\u201305\u201312", ("1984-05-12",)),
    ("19840512", ("1984-05-12",)),
    ("2024-02-29", ("2024-02-29",)),
    ("1984 May 12", ("1984-05-12",)),
    ("1984, mayo", ("1984-05",)),
    # The month by its name.
    ("12 May 1984", ("1984-05-12",)),
    ("12-MAY-1984", ("1984-05-12",)),
    ("12. May 1984.", ("1984-05-12",)),
    ("12th of May, 1984", ("1984-05-12",)),
    ("May 12, 1984", ("1984-05-12",)),
    ("May 1st 1984", ("1984-05-01",)),
    ("Sept. 3, 1984", ("1984-09-03",)),
    ("12 de mayo de 1984", ("1984-05-12",)),
    ("12 de Mayo del 1984", ("1984-05-12",)),
    ("1º de enero de 1984", ("1984-01-01",)),
    ("3 setiembre 1984", ("1984-09-03",)),
    ("12\u00a0dic.\u00a01984", ("1984-12-12",)),
    ("May 1984", ("1984-05",)),
    ("mayo de 1984", ("1984-05",)),
    # In figures, the year last: one reading, or two.
    ("12.05.1984", ("1984-05-12",)),
    ("5. 12. 1984", ("1984-12-05",)),
    ("05.13.1984", ("1984-05-13",)),
    ("05/1984", ("1984-05",)),
    ("25/12/1984", ("1984-12-25",)),
    ("12/25/1984", ("1984-12-25",)),
    ("05/05/1984", ("1984-05-05",)),
    ("05/12/1984", BOTH),
    ("5-12-1984", BOTH),
    ("05 12 1984", BOTH),
    ("05121984", BOTH),
    ("05131984", ("1984-05-13",)),
    # Which century?
    *((text, ()) for text in ("84-05-12", "05/12/84", "12 May 84", "May 12", "84")),
    # No such day.
    *((text, ()) for text in ("1984-13", "1984-00", "2023-02-29", "0000", "31 June 1984", "13/13/1984", "30/02/1984")),
    # No date.
    *((text, ()) for text in ("1984-05-12T10:00:00Z", "ge1984", "1984,1985", "-1984", "1984-", "12 Mai 1984", "de")),
    *((text, ()) for text in ("\u0661\u0669\u0668\u0664", "1984-05-12-01", "may be 1984", "1 2 3 4", "'x'", " ", "")),
]


@pytest.mark.parametrize(("typed", "read"), READ)
def test_a_date_is_read_as_whatever_it_can_mean(typed: str, read: tuple[str, ...]) -> None:
    assert read_dates(typed) == read


def test_every_name_of_a_month_is_known_once() -> None:
    assert set(MONTHS.values()) == set(range(1, 13))
    assert (MONTHS["january"], MONTHS["marzo"], MONTHS["may"], MONTHS["diciembre"]) == (1, 3, 5, 12)
