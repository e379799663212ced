"""What can be chosen on the launcher, read strictly from a form or from a link. Pure.

A link is a suggestion: what is good of it fills the form, the rest is said and left out. Nothing is done with either
before somebody presses a button.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any
from urllib.parse import urlencode

from clients.uri_rules import web_url_problem
from smartauth.errors import InvalidScope
from smartauth.policy.launch import FHIR_ID, fhir_context_problem
from smartauth.policy.scopes import parse_scope
from smartauth.sandbox.launcher import faults, habits
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS
from smartauth.sandbox.launcher.kinds import KINDS, PORTAL, PROVIDER, Launchable

LONGEST = 2_000  # characters of one field
LONGEST_INTENT = 255
MOST_MINUTES = 60
MOST_DELAY = 60  # seconds
LATEST = "latest"  # instead of the id of an encounter
PORTAL_IS_FOR_PATIENTS = "a portal is for patients and those who act for them, and this user is neither"


@dataclass(frozen=True, slots=True)
class Choices:
    """Every field of the form under its own name. All are text, as they are typed; "" leaves one to the launcher."""

    kind: str = PROVIDER
    client: str = ""
    user: str = ""
    patient: str = ""
    encounter: str = ""
    intent: str = ""
    need_patient_banner: str = "no"  # "yes" or "no"
    smart_style_url: str = ""
    fhir_context: str = ""
    scope: str = ""
    habit: str = ""
    fault: str = ""
    delay: str = "4"  # seconds by which a slow FHIR server is slower
    minutes: str = "10"
    place: str = ""  # "frame", "window", or "" for what suits the app

    def as_query(self) -> str:
        """Return what differs from an untouched form, for a link."""
        return urlencode(self.as_pairs())

    def as_pairs(self) -> list[tuple[str, str]]:
        """Return what differs from an untouched form: names and values."""
        untouched = asdict(Choices())
        return [(name, value) for name, value in asdict(self).items() if value != untouched[name]]

    @property
    def entries(self) -> list[Any]:
        """Return fhirContext as the array it is. The text has been checked."""
        found: list[Any] = json.loads(self.fhir_context) if self.fhir_context else []
        return found


@dataclass(frozen=True, slots=True)
class Known:
    """Who can be chosen: clients by client_id, and users by name with the FHIR resource each is."""

    clients: Mapping[str, Launchable]
    users: Mapping[str, str]

    def is_clinician(self, user: str) -> bool:
        """Return True for somebody who works here, and so has no business in a portal."""
        return self.users.get(user, "").startswith("Practitioner")

    def own_record(self, user: str) -> str:
        """Return the id of the patient the user is, "" for anybody else, as parents who act for a child."""
        kind, _, own = self.users.get(user, "").partition("/")
        return own if kind == "Patient" else ""


NAMES = tuple(one.name for one in fields(Choices))


def read(given: Mapping[str, str], known: Known) -> tuple[Choices, dict[str, str]]:
    """Return the fields as they were given, and what is wrong with each that is not good: name to sentence.

    Fields that nobody gave have their default. Names that are none of ours are a mistake of the field "".
    """
    found = Choices(**{name: given[name].strip()[: LONGEST + 1] for name in NAMES if name in given})
    found = replace(found, kind=found.kind or PROVIDER, need_patient_banner=found.need_patient_banner or "no")
    wrong = {name: problem for name in NAMES if (problem := _problem(name, found, known))}
    strange = sorted(set(given) - set(NAMES))
    if strange:
        wrong[""] = f"there is no such choice: {', '.join(name[:40] for name in strange[:5])}"
    return found, wrong


def forget(found: Choices, wrong: Mapping[str, str]) -> Choices:
    """Return the choices without those that are wrong."""
    untouched = asdict(Choices())
    return replace(found, **{name: untouched[name] for name in wrong if name})


def _problem(name: str, found: Choices, known: Known) -> str:
    value = getattr(found, name)
    if len(value) > LONGEST:
        return f"it is longer than {LONGEST} characters"
    if not value.isprintable() and name != "fhir_context":
        return "it has a character that cannot be printed"
    check = CHECKS.get(name)
    return check(value, found, known) if check and value else ""


def _kind(value: str, found: Choices, known: Known) -> str:
    return "" if value in KINDS else f"there is no such kind; choose one of {', '.join(KINDS)}"


def _client(value: str, found: Choices, known: Known) -> str:
    client = known.clients.get(value)
    if client is None:
        return "no client with this id is active here"
    return client.misfit(found.kind) if found.kind in KINDS else ""


def _user(value: str, found: Choices, known: Known) -> str:
    if value not in known.users:
        return "nobody of this name is somebody at this hospital"
    return PORTAL_IS_FOR_PATIENTS if found.kind == PORTAL and known.is_clinician(value) else ""


def _patient(value: str, found: Choices, known: Known) -> str:
    return "" if FHIR_ID.fullmatch(value) else "it is not the logical id of a patient; write ana, not Patient/ana"


def _encounter(value: str, found: Choices, known: Known) -> str:
    if FHIR_ID.fullmatch(value) is None:
        return f'it is not the logical id of an encounter, and not "{LATEST}"'
    has_patient = found.patient or found.kind == PORTAL
    return "" if has_patient else "an encounter comes with its patient; choose one"


def _intent(value: str, found: Choices, known: Known) -> str:
    return "" if len(value) <= LONGEST_INTENT else f"it is longer than {LONGEST_INTENT} characters"


def _banner(value: str, found: Choices, known: Known) -> str:
    return "" if value in ("yes", "no") else "it is neither yes nor no"


def _style(value: str, found: Choices, known: Known) -> str:
    return web_url_problem(value, http_on_loopback=True)


def _fhir_context(value: str, found: Choices, known: Known) -> str:
    try:
        entries = json.loads(value)
        json.dumps(entries, ensure_ascii=False, allow_nan=False).encode()
    except (ValueError, RecursionError) as error:
        where = f", line {error.lineno}, column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        return f"it is not JSON{where}"
    return "it has a character that cannot be stored" if "\\u0000" in value else fhir_context_problem(entries)


def scope_problem(value: str) -> str:
    """Say which scope of a text cannot be read and why, or return ""."""
    for scope in value.split():
        try:
            parse_scope(scope)
        except InvalidScope as error:
            return f"{scope[:80]}: {error.refusal.reason}"
    return ""


def _habit(value: str, found: Choices, known: Known) -> str:
    if value not in HABITS:
        return f"there is no such habit; choose one of {', '.join(HABITS)}"
    return habits.why_not(value, found.kind)


def _fault(value: str, found: Choices, known: Known) -> str:
    if value not in FAULTS:
        return f"there is no such fault; choose one of {', '.join(FAULTS)}"
    return faults.why_not(value, found.kind) if found.kind in KINDS else ""


def _minutes(value: str, found: Choices, known: Known) -> str:
    return _number(value, MOST_MINUTES)


def _delay(value: str, found: Choices, known: Known) -> str:
    return _number(value, MOST_DELAY)


def _number(value: str, most: int) -> str:
    is_number = value.isascii() and value.isdigit() and len(value) < 4 and 1 <= int(value) <= most
    return "" if is_number else f"it is not a whole number from 1 to {most}"


def _place(value: str, found: Choices, known: Known) -> str:
    return "" if value in ("frame", "window") else "it is neither frame nor window"


CHECKS = {
    "kind": _kind,
    "client": _client,
    "user": _user,
    "patient": _patient,
    "encounter": _encounter,
    "intent": _intent,
    "need_patient_banner": _banner,
    "smart_style_url": _style,
    "fhir_context": _fhir_context,
    "scope": lambda value, found, known: scope_problem(value),
    "habit": _habit,
    "fault": _fault,
    "delay": _delay,
    "minutes": _minutes,
    "place": _place,
}


def missing(found: Choices) -> dict[str, str]:
    """Return what a launch still needs to be begun: name to sentence. A link may leave it out, a launch may not."""
    wrong = {} if found.client else {"client": "choose a client"}
    if KINDS[found.kind].from_ehr and not found.user:
        wrong["user"] = "choose who is at work in the EHR"
    return wrong
