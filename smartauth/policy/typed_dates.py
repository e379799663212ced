"""Dates as people type them: the year first, then as much as they know. Pure.

A day and a month in another order are not guessed at: 05/12/1984 is two days in two countries.
"""

import re
from datetime import date

PARTS = re.compile(r"([0-9]{4})(?:\s*[-/. ]\s*([0-9]{1,2})(?:\s*[-/. ]\s*([0-9]{1,2}))?)?")
IN_ONE = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})")


def read_date(text: str) -> str:
    """Return the FHIR date (YYYY, YYYY-MM or YYYY-MM-DD) that somebody typed, "" for what is none."""
    found = PARTS.fullmatch(text.strip()) or IN_ONE.fullmatch(text.strip())
    if found is None:
        return ""
    year, *rest = (int(part) for part in found.groups() if part is not None)
    try:
        date(year, *[*rest, 1, 1][:2])
    except ValueError:
        return ""
    return "-".join([f"{year:04}", *(f"{part:02}" for part in rest)])
