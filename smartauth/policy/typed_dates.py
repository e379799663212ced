"""Dates as people type them, in figures or with the month's name in English or Spanish. Pure.

The order of day and month is not guessed at: 05/12/1984 is two days in two countries, and both are told. Parsers of
free text lost: they fill in what is missing with today's day and choose an order without saying so.
"""

import re
from datetime import date

# Each month by its names, the short ones too.
NAMES = """
jan january ene enero
feb february febrero
mar march marzo
apr april abr abril
may mayo
jun june junio
jul july julio
aug august ago agosto
sep sept september septiembre set setiembre
oct october octubre
nov november noviembre
dec december dic diciembre
"""
MONTHS = {name: number for number, names in enumerate(NAMES.split("\n")[1:-1], start=1) for name in names.split()}
SEPARATOR = re.compile(r"\s*[-/,\u2010-\u2014]\s*|\s*\.\s*|\s+(?:(?:de|del|of)\s+)?")
DAY = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|º|ro)?")
YEAR = re.compile(r"[0-9]{4}")
ONE_NUMBER = re.compile(r"[0-9]{8}")


def read_dates(text: str) -> tuple[str, ...]:
    """Return the FHIR dates (YYYY, YYYY-MM or YYYY-MM-DD) that somebody may mean; none for what is no date.

    Points stand in dates whose day comes first, wherever points are used; with other signs both orders are.
    """
    text = text.strip().casefold()
    if ONE_NUMBER.fullmatch(text):
        in_order = _valid(text[:4], text[4:6], text[6:])
        return in_order or _either(text[:2], text[2:4], text[4:])
    parts = SEPARATOR.split(text.removesuffix("."))
    match "".join(map(_kind, parts)), parts:
        case "Y" | "YN" | "YM" | "YNN" | "YMN", _:
            return _valid(*parts)
        case "NY" | "MY", [month, year]:
            return _valid(year, month)
        case "NMY", [day, month, year]:
            return _valid(year, month, day)
        case "MNY", [month, day, year]:
            return _valid(year, month, day)
        case "NNY", [first, second, year]:
            return (_valid(year, second, first) if "." in text else ()) or _either(first, second, year)
    return ()


def _kind(part: str) -> str:
    if YEAR.fullmatch(part):
        return "Y"
    return "M" if part in MONTHS else "N" if DAY.fullmatch(part) else "?"


def _either(first: str, second: str, year: str) -> tuple[str, ...]:
    return tuple(dict.fromkeys(_valid(year, second, first) + _valid(year, first, second)))


def _valid(year: str, *rest: str) -> tuple[str, ...]:
    """Return the date of a year, perhaps a month and perhaps a day, none where there is no such."""
    numbers = [MONTHS.get(part) or int(DAY.sub(r"\1", part)) for part in rest]
    try:
        date(int(year), *[*numbers, 1, 1][:2])
    except ValueError:
        return ()
    return ("-".join([year, *(f"{number:02}" for number in numbers)]),)
