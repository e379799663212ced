"""What a person recognises a visit by, read out of a checked Encounter.

Source: FHIR R4 encounter, datatypes (CodeableConcept, Period).
"""

from datetime import timedelta

from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.dates import EARLIEST, find_interval
from fhirproxy.shown_texts import is_date, texts
from smartauth.records import EncounterRecord

NEWEST_FIRST = ("_sort", "-date")
DAY = timedelta(days=1)
DATE = 10  # characters of a date with its day


def encounter_of(checked: Checked) -> EncounterRecord:
    """Return an Encounter as people know it."""
    resource = checked.resource
    start, end = (_day(next(iter(texts(resource, "period", one)), "")) for one in ("start", "end"))
    return EncounterRecord(
        id=checked.id,
        kind=_first(
            texts(resource, "type", "text"),
            texts(resource, "type", "coding", "display"),
            texts(resource, "class", "display"),
        ),
        reason=_first(texts(resource, "reasonCode", "text"), texts(resource, "reasonCode", "coding", "display")),
        start=start,
        end=end if end != start else "",
        place=_first(texts(resource, "location", "location", "display"), texts(resource, "serviceProvider", "display")),
    )


def on_day(day: str) -> tuple[tuple[str, str], ...]:
    """Return the criteria for what touches a day, month or year, which must be a date.

    A stay of a week is found by each of its days: it begins before the day after, and ends after the day before.
    """
    interval = find_interval(day)
    if interval is None:
        return ()
    before = max(interval.start, EARLIEST + DAY) - DAY
    return ("date", f"gt{before.date().isoformat()}"), ("date", f"lt{interval.end.date().isoformat()}")


def newest_first(encounter: EncounterRecord) -> tuple[list[int], str]:
    """Return what sorts by the day of the beginning, the newest first and those without one last."""
    return [-int(part) for part in encounter.start.split("-") if part] or [0], encounter.id


def _first(*found: list[str]) -> str:
    return next((texts[0] for texts in found if texts), "")


def _day(moment: str) -> str:
    day = moment[:DATE]
    return day if is_date(day) else ""
