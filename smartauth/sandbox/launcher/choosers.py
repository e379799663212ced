"""Finding whom and what a launch is about: a user of the hospital, a patient as the user sees them, and their visits.

They are suggestions: any id can be typed, so that an app can be shown what is not there.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from smartauth.context import RequestContext
from smartauth.policy.typed_dates import YEAR, read_dates
from smartauth.records import EncounterRecord, PatientRecord, PatientSearch, RecordsUnavailable, records
from smartauth.sandbox.launcher import cast, related
from smartauth.sandbox.launcher.choices import LATEST, Choices, Known
from smartauth.sandbox.launcher.kinds import PORTAL
from smartauth.sandbox.launcher.related import Related

MOST_FOUND = 20
MOST_LISTED = 100  # users in a list to choose from; more are searched
LONGEST = 80  # characters of what is searched for
UNAVAILABLE = "The records do not answer at the moment. An id can be typed."


@dataclass(frozen=True, slots=True)
class Found:
    """What a chooser found. `chooser`: user, patient, encounter or context.  `asked`: what was searched for."""

    chooser: str
    asked: str = ""
    users: tuple[tuple[str, str], ...] = ()
    patients: tuple[PatientRecord, ...] = ()
    visits: tuple[EncounterRecord, ...] = ()
    related: tuple[Related, ...] = ()
    has_more: bool = False
    problem: str = ""

    @property
    def count(self) -> int:
        """Return how many were found."""
        return len(self.users) + len(self.patients) + len(self.visits) + len(self.related)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who and what is chosen now, as the records tell it; None where nothing is chosen, or nothing is there."""

    patient: PatientRecord | None = None
    visit: EncounterRecord | None = None
    problem: str = ""


def find(chooser: str, asked: str, found: Choices, known: Known, context: RequestContext, now: datetime) -> Found:
    """Return what a chooser finds for the words of somebody who has chosen `found` so far."""
    asked = asked.strip()[:LONGEST]
    if chooser == "user":
        return _users(asked, known)
    if chooser == "context":
        return _related(asked, patient_of(found, known), now)
    looker = looker_of(found, known)
    if not looker:
        return Found(chooser, asked, problem="Nobody at this hospital could see a record.")
    try:
        if chooser == "patient":
            return _patients(asked, looker, context, now)
        return _visits(asked, looker, patient_of(found, known), context, now)
    except RecordsUnavailable:
        return Found(chooser, asked, problem=UNAVAILABLE)


def chosen(found: Choices, known: Known, context: RequestContext, now: datetime) -> Chosen:
    """Return whom and what the ids that were chosen mean to the user."""
    looker, patient_id = looker_of(found, known), patient_of(found, known)
    if not looker or not patient_id:
        return Chosen()
    try:
        patient = cast.patient(looker, patient_id, context, now)
        if patient is None:
            problem = f"{looker} sees no patient {patient_id}: the launch would be refused."
            return Chosen(problem=problem if found.patient and found.user else "")
        visit = cast.visit(looker, patient_id, found.encounter, context, now) if _is_id(found.encounter) else None
    except RecordsUnavailable:
        return Chosen(problem=UNAVAILABLE)
    problem = f"{looker} sees no such visit of this patient." if _is_id(found.encounter) and visit is None else ""
    return Chosen(patient if found.patient else None, visit, problem)


def pick(found: Choices, picked: str) -> Choices:
    """Return the choices with one that was picked from a list: the name of a field, a blank and its value.

    Raises ValueError where it cannot be added to what stands in fhirContext.
    """
    name, _, value = picked.partition(" ")
    if name == "context":
        return replace(found, fhir_context=related.added(found.fhir_context, value))
    if name not in ("user", "patient", "encounter"):
        return found
    if name == "patient" and value != found.patient and _is_id(found.encounter):
        found = replace(found, encounter="")  # It was a visit of somebody else.
    return replace(found, **{name: value})


def looker_of(found: Choices, known: Known) -> str:
    """Return with whose eyes records are looked at: the chosen user's, or those of the first clinician."""
    if found.user in known.users:
        return found.user
    return next((name for name in known.users if known.is_clinician(name)), "")


def patient_of(found: Choices, known: Known) -> str:
    """Return the id of the patient a launch would be about, "" for none yet."""
    return found.patient or (known.own_record(found.user) if found.kind == PORTAL else "")


def _is_id(encounter: str) -> bool:
    return encounter not in ("", LATEST)


def _users(asked: str, known: Known) -> Found:
    matches = [(name, who) for name, who in known.users.items() if asked.lower() in f"{name} {who}".lower()]
    return Found("user", asked, users=tuple(matches[:MOST_FOUND]), has_more=len(matches) > MOST_FOUND)


def _patients(asked: str, looker: str, context: RequestContext, now: datetime) -> Found:
    person = cast.person(looker, now)
    if person is None:
        return Found("patient", asked)
    if dates := _dates(asked):
        search = PatientSearch(birth_dates=dates)
    elif any(letter.isdigit() for letter in asked):
        search = PatientSearch(identifier=asked)
    else:
        search = PatientSearch(name=asked)
    page = records().find_patients(person, search, limit=MOST_FOUND, context=context, now=now)
    return Found("patient", asked, patients=page.patients, has_more=page.has_more)


def _dates(asked: str) -> tuple[str, ...]:
    """Return the birth dates that may be meant. A year is one; any other row of figures is the number of a record."""
    return () if asked.isdecimal() and not YEAR.fullmatch(asked) else read_dates(asked)


def _related(resource_type: str, patient_id: str, now: datetime) -> Found:
    if not patient_id:
        return Found("context", resource_type, problem="Choose a patient first.")
    if resource_type not in related.TYPES:
        return Found("context", resource_type, problem=f"Choose one of {', '.join(related.TYPES)}.")
    try:
        return Found("context", resource_type, related=related.find(resource_type, patient_id, now))
    except related.NotFound as error:
        return Found("context", resource_type, problem=str(error))


def _visits(day: str, looker: str, patient_id: str, context: RequestContext, now: datetime) -> Found:
    if not patient_id:
        return Found("encounter", day, problem="Choose a patient first: a visit is one of theirs.")
    person = cast.person(looker, now)
    if person is None:
        return Found("encounter", day)
    days = read_dates(day)
    if day and not days:
        return Found("encounter", day, problem=f"{day} is no date. Type one like 2026, May 2026 or 2026-05-12.")
    if len(days) > 1:
        return Found("encounter", day, problem=f"{day} can be {' or '.join(days)}: type the one you mean.")
    page = records().find_encounters(person, patient_id, "".join(days), limit=MOST_FOUND, context=context, now=now)
    return Found("encounter", day, visits=page.encounters, has_more=page.has_more)
