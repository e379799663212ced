"""The protocol by which the picker and the consent page ask for patients, always within the signed-in user's rights
and what the app may reach.

The authorization server knows no FHIR server; whoever stands behind it implements this and is named in the settings.
"""

from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Literal, Protocol, cast

from django.conf import settings
from django.utils.module_loading import import_string

from smartauth.context import RequestContext
from smartauth.policy.access import UNRESTRICTED, Restrictions


class RecordsUnavailable(Exception):
    """The records cannot be read at the moment. The text is for the officer; a page never shows it."""


class PlaceLost(Exception):
    """A list does not go on from there: for this person, question and flow there is no such place any more."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody is in a list. `following` is what the page before said, "" for the first page.

    `flow` is what the list is shown for: pages of one flow lead on in that flow only. Without one they lead nowhere.
    """

    flow: str = ""
    following: str = field(default="", repr=False)


START = Place()


@dataclass(frozen=True, slots=True)
class Person:
    """The signed-in user at one tenant, as far as rights to records hang on it.

    `fhir_user` is relative to the tenant's FHIR base, or None. `related_patients` are logical ids of the patients the
    user may act for by proxy relation now. `client_id` is the app that asks, for the audit trail. `restrictions`: what
    it may reach at most.
    """

    user: int
    tenant: str
    subject: str
    fhir_user: str | None
    related_patients: frozenset[str]
    client_id: str
    restrictions: Restrictions = UNRESTRICTED


@dataclass(frozen=True, slots=True)
class PatientRecord:
    """What a person recognises a patient by. Texts are as the record has them and may hold anything; "" is unknown."""

    id: str  # logical id
    name: str
    birth_date: str  # a FHIR date: YYYY, YYYY-MM or YYYY-MM-DD
    sex: str  # administrative gender: male, female, other, unknown
    identifier: str  # one identifier, the medical record number where there is one
    other_names: tuple[str, ...] = ()  # by which they may be searched for, too
    has_died: bool = False
    death_date: str = ""  # a FHIR date
    standing: Literal["", "replaced", "inactive"] = ""  # "": the record is in use


@dataclass(frozen=True, slots=True)
class PatientSearch:
    """What the user means; empty members do not restrict."""

    name: str = ""
    birth_dates: tuple[str, ...] = ()  # any of them: YYYY, YYYY-MM or YYYY-MM-DD
    identifier: str = ""


@dataclass(frozen=True, slots=True)
class PatientPage:
    """Patients that match, and whether there are more. `first`: which the first of these is in the list, from 1.

    `following`: for the Place of what follows; "" where there is no more, or it can be had by another search only.
    """

    patients: tuple[PatientRecord, ...]
    has_more: bool = False
    first: int = 1
    following: str = ""


@dataclass(frozen=True, slots=True)
class EncounterRecord:
    """What a person recognises a visit by. Texts are as the record has them and may hold anything; "" is unknown."""

    id: str  # logical id
    kind: str  # what sort of visit it was
    reason: str
    start: str  # a FHIR date: YYYY, YYYY-MM or YYYY-MM-DD
    end: str  # another one, "" where it ended on the day it began
    place: str
    setting: str = ""  # the code of its class, of those that have words: AMB, IMP, EMER, …
    state: Literal["", "current", "planned"] = ""


@dataclass(frozen=True, slots=True)
class EncounterPage:
    """Encounters that match, those that go on first and then the newest. The rest is as in PatientPage."""

    encounters: tuple[EncounterRecord, ...]
    has_more: bool = False
    first: int = 1
    following: str = ""


class Records(Protocol):
    """Patients as the signed-in user may see them. Every method raises RecordsUnavailable."""

    def find_patients(
        self,
        person: Person,
        search: PatientSearch,
        *,
        limit: int,
        context: RequestContext,
        now: datetime,
        place: Place = START,
    ) -> PatientPage:
        """Return at most `limit` patients the person may act for through the app that match, ordered by name.

        Whom an earlier page showed is not shown again. Raises PlaceLost.
        """
        ...

    def find_patient(
        self, person: Person, patient_id: str, *, context: RequestContext, now: datetime
    ) -> PatientRecord | None:
        """Return one patient, or None when there is none or the person may not act for them here: not told apart."""
        ...

    def find_encounters(
        self,
        person: Person,
        patient_id: str,
        day: str,
        *,
        limit: int,
        context: RequestContext,
        now: datetime,
        place: Place = START,
    ) -> EncounterPage:
        """Return at most `limit` encounters of one patient that the person may see through the app.

        Those that go on come first, on the first page and beside the `limit`, then the newest; those that were
        cancelled or written down by mistake are left out.
        day: YYYY, YYYY-MM or YYYY-MM-DD in which an encounter must fall; "" does not restrict. Raises PlaceLost.
        """
        ...

    def find_encounter(
        self, person: Person, patient_id: str, encounter_id: str, *, context: RequestContext, now: datetime
    ) -> EncounterRecord | None:
        """Return one encounter of that patient which the person may see through the app, or None: not told apart."""
        ...

    def find_user_name(self, person: Person, *, context: RequestContext, now: datetime) -> str:
        """Return the name on the person's own FHIR record, "" when there is none."""
        ...


@cache
def records() -> Records:
    """Return the configured implementation."""
    return cast(Records, import_string(settings.SMARTAUTH_RECORDS)())
