"""What a person recognises a visit by, read out of a checked Encounter.

Source: FHIR R4 encounter, datatypes (CodeableConcept, Period).
"""

from collections.abc import Iterable
from datetime import timedelta
from typing import Literal

from fhirproxy.policy.compartments import Checked, Unchecked
from fhirproxy.policy.dates import EARLIEST, find_interval
from fhirproxy.shown_texts import is_date, text_of, texts
from smartauth.records import EncounterRecord

NEWEST_FIRST = ("_sort", "-date")
CURRENT = frozenset({"arrived", "triaged", "in-progress", "onleave"})
GOING_ON = (("status", ",".join(sorted(CURRENT))),)
# They were no visits: nobody can mean them.
NEVER_WERE = frozenset({"cancelled", "entered-in-error"})
# Classes that have words of ours (v3 ActCode); of others it is told what the record says.
SETTINGS = frozenset({"ACUTE", "AMB", "EMER", "FLD", "HH", "IMP", "NONAC", "OBSENC", "PRENC", "SS", "VR"})
DAY = timedelta(days=1)
DATE = 10  # characters of a date with its day


def encounter_of(checked: Checked) -> EncounterRecord:
    """Return an Encounter as people know it."""
    resource = checked.resource
    setting = next((code for code in texts(resource, "class", "code") if code in SETTINGS), "")
    start, end = (_day(next(iter(texts(resource, "period", one)), "")) for one in ("start", "end"))
    return EncounterRecord(
        id=checked.id,
        kind=_first(
            texts(resource, "type", "text"),
            texts(resource, "type", "coding", "display"),
            [] if setting else texts(resource, "class", "display"),
        ),
        reason=_first(texts(resource, "reasonCode", "text"), texts(resource, "reasonCode", "coding", "display")),
        start=start,
        end=end if end != start else "",
        place=_first(texts(resource, "location", "location", "display"), texts(resource, "serviceProvider", "display")),
        setting=setting,
        state=_state(text_of(resource.get("status"))),
    )


def is_visit(encounter: Unchecked) -> bool:
    """Return whether an Encounter is any visit that somebody can mean."""
    return text_of(encounter.resource.get("status")) not in NEVER_WERE


def visits_in(found: Iterable[Checked]) -> list[EncounterRecord]:
    """Return Encounters as people know them: those that go on first, then the newest, those without a day last."""
    visits = {one.id: encounter_of(one) for one in found}
    return sorted(visits.values(), key=_newest_first)


def on_day(day: str) -> tuple[tuple[str, str], ...]:
    """Return the criteria for what touches a day, month or year, which must be a date.

    A stay of a week is found by each of its days: it begins before the day after, and ends after the day before.
    """
    interval = find_interval(day)
    if interval is None:
        return ()
    before = max(interval.start, EARLIEST + DAY) - DAY
    return ("date", f"gt{before.date().isoformat()}"), ("date", f"lt{interval.end.date().isoformat()}")


def _newest_first(encounter: EncounterRecord) -> tuple[bool, list[int], str]:
    day = [-int(part) for part in encounter.start.split("-") if part] or [0]
    return encounter.state != "current", day, encounter.id


def _state(status: str) -> Literal["", "current", "planned"]:
    if status in CURRENT:
        return "current"
    return "planned" if status == "planned" else ""


def _first(*found: list[str]) -> str:
    return next((texts[0] for texts in found if texts), "")


def _day(moment: str) -> str:
    day = moment[:DATE]
    return day if is_date(day) else ""
