"""The patient picker: whose record the app may look at, chosen by somebody who may act for several people."""

from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils.translation import gettext_noop as _

from smartauth import pending
from smartauth.browser import PageRefused, browser_page
from smartauth.context import context_of
from smartauth.errors import Refusal
from smartauth.people.rights import is_clinician, ties
from smartauth.policy.typed_dates import read_dates
from smartauth.records import PatientPage, PatientSearch, Place, records
from smartauth.views import launched
from smartauth.views.continuing import Open, continuing
from smartauth.views.leafing import span, turn_page

SHOWN = 50  # patients on one page
KINDS = ("own", "parent", "guardian", "caregiver", "")  # in the order of the list, which is by name within
LONGEST = 100  # characters of a search term


@dataclass(frozen=True, slots=True)
class _Typed:
    """What is searched for, as it was typed."""

    name: str = ""
    birth_date: str = ""
    identifier: str = ""


@browser_page("GET", "POST", endpoint="picker")
@continuing
def picker(request: HttpRequest, opened: Open) -> HttpResponse:
    """Show the patients the user may act for, by search or all of a few; note the one that is chosen.

    What is searched for is posted: names and birth dates do not belong in addresses, which others log.
    Source: SMART 2.2 scopes-and-launch-context, "Requesting context with launch/patient".
    """
    launch = opened.pending.launch
    if launched.is_for_somebody_else(opened) or (launch is not None and launch.patient):
        return redirect("consent", pk=opened.pending.pk)  # It is not theirs to choose.
    if "patient" in request.POST:
        return _choose(request, opened, request.POST["patient"])
    typed = _Typed(*(request.POST.get(name, "").strip()[:LONGEST] for name in ("name", "birthdate", "identifier")))
    days = read_dates(typed.birth_date)
    is_no_date = bool(typed.birth_date) and not days
    search = PatientSearch(typed.name, days, typed.identifier)
    found, is_lost = (PatientPage(()), False) if is_no_date else _find(request, opened, search)
    if typed == _Typed() and found.has_more:
        found = PatientPage((), has_more=True)  # Nobody needs to see the first fifty of thousands.
    reasons = ties(opened.person, tenant_pk=opened.tenant.pk, now=opened.now)
    facts = {
        "people": sorted(
            ((patient, reasons.get(patient.id)) for patient in found.patients),
            key=lambda one: KINDS.index(one[1].kind if one[1] else ""),
        ),
        "search": typed,
        "searched": typed != _Typed(),
        "is_no_date": is_no_date,
        "days": days,
        "found": found,
        "is_lost": is_lost,
        "span": span(found.first, len(found.patients)),
        "can_search": is_clinician(opened.person) or found.has_more or typed != _Typed(),
    }
    return opened.show(request, "consent/picker.html", **facts)


def _find(request: HttpRequest, opened: Open, search: PatientSearch) -> tuple[PatientPage, bool]:
    def ask(place: Place) -> PatientPage:
        context = context_of(request)
        return records().find_patients(opened.person, search, limit=SHOWN, context=context, now=opened.now, place=place)

    return turn_page(request, opened, ask)


def _choose(request: HttpRequest, opened: Open, patient: str) -> HttpResponse:
    chosen = records().find_patient(opened.person, patient, context=context_of(request), now=opened.now)
    if chosen is None:
        raise PageRefused(
            Refusal("picker.not_yours", "the user may not act for the chosen patient, or there is none"),
            title=_("You may not choose this person"),
            advice=_("Go back and choose somebody from the list."),
            status=403,
        )
    pending.choose_patient(opened.pending, chosen.id)
    return redirect("consent", pk=opened.pending.pk)
