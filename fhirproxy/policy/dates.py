"""FHIR dates as intervals of instants, and the comparisons a date search means.

Source: FHIR R4 datatypes, date and dateTime; FHIR R4 search, "date" and "prefixes".
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone

from fhirproxy.policy.bodies import Json

DATE = re.compile(
    r"(?P<year>[0-9]{4})(?:-(?P<month>0[1-9]|1[0-2])(?:-(?P<day>0[1-9]|[12][0-9]|3[01])"
    r"(?:T(?P<hour>[01][0-9]|2[0-3]):(?P<minute>[0-5][0-9])(?::(?P<second>[0-5][0-9]|60)(?P<fraction>\.[0-9]{1,9})?)?"
    r"(?P<zone>Z|[+-](?:0[0-9]|1[0-4]):[0-5][0-9])?)?)?)?"
)
PREFIXED = re.compile(r"(?P<prefix>eq|ne|gt|lt|ge|le|sa|eb|ap)?(?P<date>[0-9].*)")
EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `start`, included, to `end`, excluded; both aware."""

    start: datetime
    end: datetime


def find_interval(text: str) -> Interval | None:
    """Return the interval a FHIR date, dateTime or instant covers, or None. Without a zone it is read as UTC."""
    found = DATE.fullmatch(text)
    if found is None:
        return None
    try:
        return _interval(found)
    except (ValueError, OverflowError):  # The thirtieth of February, the year nought, the end of time.
        return None


def _interval(found: re.Match[str]) -> Interval:
    year = int(found["year"])
    if found["month"] is None:
        return Interval(datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC))
    month = int(found["month"])
    if found["day"] is None:
        following = (year + 1, 1) if month == 12 else (year, month + 1)
        return Interval(datetime(year, month, 1, tzinfo=UTC), datetime(*following, 1, tzinfo=UTC))
    day = datetime(year, month, int(found["day"]), tzinfo=_zone(found["zone"]))
    if found["hour"] is None:
        return Interval(day, day + timedelta(days=1))
    start = day + timedelta(hours=int(found["hour"]), minutes=int(found["minute"]))
    if found["second"] is None:
        return Interval(start, start + timedelta(minutes=1))
    start += timedelta(seconds=int(found["second"]))
    if found["fraction"] is None:
        return Interval(start, start + timedelta(seconds=1))
    start += timedelta(seconds=float(found["fraction"]))
    return Interval(start, start + timedelta(microseconds=1))


def _zone(text: str | None) -> timezone:
    if text is None or text == "Z":
        return UTC
    sign = -1 if text[0] == "-" else 1
    return timezone(sign * timedelta(hours=int(text[1:3]), minutes=int(text[4:6])))


def interval_of(value: Json) -> Interval | None:
    """Return the interval of a date value or a Period in a resource, or None for anything else."""
    if isinstance(value, str):
        return find_interval(value)
    if not isinstance(value, dict) or not ({"start", "end"} & set(value)):
        return None
    start, end = value.get("start"), value.get("end")
    first = find_interval(start) if isinstance(start, str) else Interval(EARLIEST, EARLIEST)
    last = find_interval(end) if isinstance(end, str) else Interval(LATEST, LATEST)
    return Interval(first.start, last.end) if first and last else None


def split_prefix(text: str) -> tuple[str, str] | None:
    """Return (prefix, date) of a date search value, "eq" when none is written, or None when it is not one."""
    found = PREFIXED.fullmatch(text)
    if found is None or find_interval(found["date"]) is None:
        return None
    return found["prefix"] or "eq", found["date"]


def date_matches(value: Interval, prefix: str, wanted: Interval) -> bool:
    """Say whether a resource's interval meets a search. "ap" has no exact meaning and never matches."""
    match prefix:
        case "eq":
            return wanted.start <= value.start and value.end <= wanted.end
        case "ne":
            return not (wanted.start <= value.start and value.end <= wanted.end)
        case "gt":
            return value.end > wanted.end
        case "lt":
            return value.start < wanted.start
        case "ge":
            return value.end > wanted.end or (wanted.start <= value.start and value.end <= wanted.end)
        case "le":
            return value.start < wanted.start or (wanted.start <= value.start and value.end <= wanted.end)
        case "sa":
            return value.start >= wanted.end
        case "eb":
            return value.end <= wanted.start
    return False
