"""Dates as the intervals they stand for: `2021-03` is all of March.  Source: FHIR R4 search.html#date."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

_DATE = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<hour>\d\d):(?P<minute>\d\d)(?::(?P<second>\d\d)(?:\.(?P<fraction>\d+))?)?(?P<zone>Z|[+-]\d\d:\d\d)?)?)?)?"
)

EARLIEST = datetime.min.replace(tzinfo=UTC)
LATEST = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` on, up to but not including `high`; aware datetimes in UTC."""

    low: datetime
    high: datetime


def parse_date(text: str) -> Interval:
    """Return the interval a FHIR date, dateTime or instant stands for. Raises ValueError for anything else."""
    matched = _DATE.fullmatch(text)
    if matched is None:
        raise ValueError(f"not a FHIR date: {text}")
    year, month, day = int(matched["year"]), int(matched["month"] or 1), int(matched["day"] or 1)
    hour, minute, second = (int(matched[part] or 0) for part in ("hour", "minute", "second"))
    microsecond = int((matched["fraction"] or "")[:6].ljust(6, "0"))
    low = datetime(year, month, day, hour, minute, second, microsecond, tzinfo=UTC)
    if matched["month"] is None:
        return Interval(low, LATEST if year == LATEST.year else low.replace(year=year + 1))
    if matched["day"] is None:
        year, month = (year + 1, 1) if month == 12 else (year, month + 1)
        return Interval(low, LATEST if year > LATEST.year else low.replace(year=year, month=month))
    low = _shifted(low, -_offset(matched["zone"]))
    return Interval(low, _shifted(low, _precision(matched)))


def intervals_of(value: Any) -> list[Interval]:
    """Return the intervals of a date, dateTime, instant, Period or Timing; none for what cannot be read."""
    try:
        if isinstance(value, str):
            return [parse_date(value)]
        if not isinstance(value, dict):
            return []
        if "event" in value or "repeat" in value:
            events = [parse_date(event) for event in value.get("event", ())]
            bounds = (value.get("repeat") or {}).get("boundsPeriod")
            return events + (intervals_of(bounds) if bounds else [])
        if "start" in value or "end" in value:
            low = parse_date(value["start"]).low if "start" in value else EARLIEST
            high = parse_date(value["end"]).high if "end" in value else LATEST
            return [Interval(low, high)]
    except (ValueError, TypeError, AttributeError):
        return []
    return []


def _offset(zone: str | None) -> timedelta:
    if zone in (None, "Z"):
        return timedelta()
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    return (timedelta(hours=hours, minutes=minutes)) * (-1 if zone[0] == "-" else 1)


def _precision(matched: re.Match[str]) -> timedelta:
    if matched["hour"] is None:
        return timedelta(days=1)
    if matched["second"] is None:
        return timedelta(minutes=1)
    if matched["fraction"] is None:
        return timedelta(seconds=1)
    return timedelta(microseconds=max(10 ** (6 - len(matched["fraction"])), 1))


def _shifted(at: datetime, by: timedelta) -> datetime:
    try:
        return at + by
    except OverflowError:
        return EARLIEST if by < timedelta() else LATEST
