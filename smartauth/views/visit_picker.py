"""The visit picker: which encounter of the chosen patient a launch is about, where no EHR has said it."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_noop as _

from smartauth import pending
from smartauth.browser import PageRefused, browser_page
from smartauth.context import context_of
from smartauth.errors import Refusal
from smartauth.policy.typed_dates import read_dates
from smartauth.records import EncounterPage, PatientRecord, Place, records
from smartauth.views.continuing import Open, continuing
from smartauth.views.leafing import span, turn_page

SHOWN = 20  # visits on one page
LONGEST = 40  # characters of a day, however it is typed


@browser_page("GET", "POST", endpoint="visit-picker")
@continuing
def visit_picker(request: HttpRequest, opened: Open) -> HttpResponse:
    """Show the visits of the chosen patient, the newest or those of a time, what goes on first; note the chosen one.

    Source: SMART 2.2 scopes-and-launch-context, "Requesting context with launch/encounter".
    """
    patient = _find_patient(request, opened)
    if patient is None:
        return redirect("consent", pk=opened.pending.pk)  # There is nothing to choose yet, or not here.
    if "visit" in request.POST:
        return _choose(request, opened, request.POST["visit"])
    day = request.POST.get("day", "").strip()[:LONGEST]
    days = read_dates(day)
    is_clear = not day or len(days) == 1
    found, is_lost = _find(request, opened, patient, "".join(days)) if is_clear else (EncounterPage(()), False)
    facts = {
        "patient": patient,
        "is_own_record": opened.person.fhir_user == f"Patient/{patient.id}",
        "day": day,
        "is_no_date": bool(day) and not days,
        "days": days,
        "found": found,
        "is_lost": is_lost,
        "span": span(found.first, len(found.encounters)),
        "can_search": found.has_more or found.first > 1 or bool(day),
        "this_year": opened.now.year,
    }
    return opened.show(request, "consent/visit_picker.html", **facts)


def _find_patient(request: HttpRequest, opened: Open) -> PatientRecord | None:
    """Return the patient whose visits they are, if the user may still act for them and is asked for a visit at all."""
    if not opened.pending.patient or not opened.picks_visit:
        return None
    return records().find_patient(opened.person, opened.pending.patient, context=context_of(request), now=opened.now)


def _find(request: HttpRequest, opened: Open, patient: PatientRecord, day: str) -> tuple[EncounterPage, bool]:
    def ask(place: Place) -> EncounterPage:
        context = context_of(request)
        return records().find_encounters(
            opened.person, patient.id, day, limit=SHOWN, context=context, now=opened.now, place=place
        )

    return turn_page(request, opened, ask)


def _choose(request: HttpRequest, opened: Open, visit: str) -> HttpResponse:
    """Note the chosen visit. An empty one goes on without: the app is then told of none."""
    if visit:
        chosen = records().find_encounter(
            opened.person, opened.pending.patient, visit, context=context_of(request), now=opened.now
        )
        if chosen is None:
            raise PageRefused(
                Refusal("visit-picker.not_there", "the chosen visit is none of the patient's, or there is none"),
                title=_("You may not choose this visit"),
                advice=_("Go back and choose a visit from the list."),
                status=403,
            )
    pending.choose_encounter(opened.pending, visit)
    return redirect("consent", pk=opened.pending.pk)
