"""What the page of a launch shows: the banner of the EHR, how the app is opened, and what a service would send."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from smartauth import endpoints
from smartauth.context import RequestContext
from smartauth.records import EncounterRecord, PatientRecord, RecordsUnavailable
from smartauth.sandbox.launcher import cast, outgoing, runs, services
from smartauth.sandbox.launcher.choices import Choices
from smartauth.sandbox.launcher.faults import FAULTS
from smartauth.sandbox.launcher.habits import HABITS
from smartauth.sandbox.launcher.kinds import BACKEND, KINDS
from smartauth.sandbox.models import Run
from smartauth.sandbox.seed import TENANT

LABELS = {
    "kind": "Kind of launch",
    "client": "App",
    "user": "User",
    "patient": "Patient",
    "encounter": "Encounter",
    "intent": "Intent",
    "need_patient_banner": "Who shows the patient",
    "smart_style_url": "Style",
    "fhir_context": "fhirContext",
    "scope": "Scopes",
    "habit": "Habit",
    "fault": "Fault",
    "delay": "Seconds",
    "minutes": "Minutes",
    "place": "Where it opens",
}


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the form with something to say about it. `name` is "" for the form as a whole."""

    name: str
    label: str
    problem: str


def shown(run: Run, opened: str, context: RequestContext, now: datetime) -> dict[str, Any]:
    """Return what the template of a launch needs, beside the recorder and the frame."""
    found = runs.choices_of(run)
    kind = KINDS[run.kind]
    facts: dict[str, Any] = {
        "run": run,
        "kind": kind,
        "choices": found,
        "opened": opened,
        "fault": FAULTS.get(run.fault),
        "habit": HABITS.get(run.habit),
        "link": found.as_query(),
        "fhir_base": endpoints.fhir_base(TENANT),
        "is_watched": run.watched_until > now,
    }
    if kind.from_ehr:
        facts |= _banner(found, context, now)
    if run.kind == BACKEND:
        facts |= _service(run, found, now)
    return facts


def _banner(found: Choices, context: RequestContext, now: datetime) -> dict[str, Any]:
    patient: PatientRecord | None = None
    visit: EncounterRecord | None = None
    try:
        if found.patient:
            patient = cast.patient(found.user, found.patient, context, now)
        if patient and found.encounter:
            visit = cast.visit(found.user, found.patient, found.encounter, context, now)
        unavailable = False
    except RecordsUnavailable:
        unavailable = True
    return {"patient": patient, "visit": visit, "is_unavailable": unavailable}


def _service(run: Run, found: Choices, now: datetime) -> dict[str, Any]:
    scope = found.scope or services.DEFAULT_SCOPE
    has_key = outgoing.has_key(run.client_id)
    assertion = services.assertion_of(run.client_id, now)
    return {
        "scope": scope,
        "has_key": has_key,
        "header": json.dumps(assertion["header"], indent=2),
        "claims": json.dumps(assertion["claims"], indent=2),
        "curl": services.curl_of(run.client_id, scope, outgoing.key_file(run.client_id) if has_key else "YOUR-KEY.pem"),
        "read": services.READ,
        "token_url": endpoints.oauth(TENANT, "token"),
    }
