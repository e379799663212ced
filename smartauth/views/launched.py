"""Going on with a launch that an EHR began: whose it is, whom it is about, and what the app is told of it."""

from typing import Any

from django.http import HttpRequest, HttpResponse

from smartauth import launches
from smartauth.context import context_of
from smartauth.errors import AccessDenied, InvalidRequest, Refusal
from smartauth.models import Launch
from smartauth.receipts.recording import record
from smartauth.records import EncounterRecord, PatientRecord, records
from smartauth.tenant_style import style_url_at
from smartauth.views.continuing import Open

OTHER_USER = Refusal(
    "launch.other_user",
    "the launch was begun for somebody else than who is signed in",
    fix="Sign in as the user whom the EHR knows, or begin again there.",
)
BESIDES = ("fhirContext", "intent", "tenant", "appContext")
NOT_TOLD_APART = "or is outside of what the user or the app may reach; these are not told apart"


def is_for_somebody_else(opened: Open) -> bool:
    """Return True when an EHR began this launch for another user than the one signed in."""
    launch = opened.pending.launch
    return launch is not None and launch.user_id != opened.person.user


def other_user_page(request: HttpRequest, opened: Open) -> HttpResponse:
    """Return the page for whoever is not the user of the launch: they may change places or go back, and see nobody."""
    record(context_of(request), status=403, error="page", refusal=OTHER_USER)
    return opened.show(request, "consent/other_user.html", status=403)


def subject_of(request: HttpRequest, opened: Open, launch: Launch) -> tuple[PatientRecord, EncounterRecord | None]:
    """Return the patient the EHR named, and the encounter where it named one, which goes together with the patient.

    Raises AccessDenied when the user may not act for the patient through the app, RecordsUnavailable.
    """
    ask: dict[str, Any] = {"context": context_of(request), "now": opened.now}
    patient = records().find_patient(opened.person, launch.patient, **ask)
    if patient is None:
        refusal = Refusal("launch.patient", f"the patient of the launch is absent, {NOT_TOLD_APART}")
        raise AccessDenied(refusal, "The patient of the launch is not available")
    if not launch.encounter:
        return patient, None
    visit = records().find_encounter(opened.person, launch.patient, launch.encounter, **ask)
    if visit is None:
        reason = f"the encounter of the launch is absent, another patient's, {NOT_TOLD_APART}"
        raise AccessDenied(Refusal("launch.encounter", reason), "The encounter of the launch is not available")
    return patient, visit


def used_up() -> InvalidRequest:
    """Return the refusal of a launch that another request was quicker to use."""
    return InvalidRequest(launches.used(), "The launch was used before")


def tells_more(opened: Open) -> bool:
    """Return True when the EHR tells the app something besides the patient, the visit, and how to look."""
    launch = opened.pending.launch
    return launch is not None and any(launch.context.get(name) for name in BESIDES)


def told_context(opened: Open) -> dict[str, Any]:
    """Return what the app is told: what the EHR said, or that nobody but the app shows the patient."""
    stored = opened.pending
    patient = {"patient": stored.patient} if stored.patient else {}
    alone = {"need_patient_banner": True, "smart_style_url": style_url_at(stored.tenant.slug)}
    if stored.launch is None:
        visit = {"encounter": stored.encounter} if opened.picks_visit and stored.encounter else {}
        return patient | visit | alone
    # A patient whom the user picked, because the EHR named none, the EHR does not show either.
    picked_here = patient and not stored.launch.patient
    return stored.launch.context | (patient | {"need_patient_banner": True} if picked_here else {})
