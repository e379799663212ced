"""My apps, the `management_endpoint`: which apps a person has connected, and a way to stop each at once.

Source: SMART 2.2 conformance, `management_endpoint`; 45 CFR §170.315(g)(10)(vi).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth import skins, tokens
from smartauth.browser import PageRefused, browser_page
from smartauth.conf import config
from smartauth.context import RequestContext, context_of
from smartauth.errors import Refusal
from smartauth.people.connected import ConnectedApp, Connection, connected_apps, was_connected
from smartauth.people.models import User
from smartauth.people.readings import PERIOD, Opened, Reading, readings
from smartauth.people.rights import is_clinician, person_at, places_of
from smartauth.policy.access import UNRESTRICTED
from smartauth.policy.relations import may_act_for
from smartauth.records import PatientRecord, Person, RecordsUnavailable, records
from smartauth.slugs import is_tenant_slug

MOST_NAMES = 20  # records of others that are looked up for one page


@dataclass(slots=True)
class RecordNames:
    """Whose records they are, asked of the FHIR servers within the person's own rights, each once."""

    user: User
    context: RequestContext
    now: datetime
    asked: dict[tuple[str, str], PatientRecord | None]
    people: dict[str, Person] = field(default_factory=dict)

    def find(self, tenant: TenantInfo, patient: str) -> PatientRecord | None:
        """Return a record as people know it, None where it cannot be read now or may not be read any more."""
        key = (tenant.slug, patient)
        if key not in self.asked and len(self.asked) < MOST_NAMES:
            self.asked[key] = self._ask(_person(self, tenant), patient)
        return self.asked.get(key)

    def _ask(self, person: Person, patient: str) -> PatientRecord | None:
        try:
            return records().find_patient(person, patient, context=self.context, now=self.now)
        except RecordsUnavailable:
            return None  # The page is about stopping apps, which must work while the records do not.


@browser_page("GET", endpoint="my-apps")
@login_required
def my_apps(request: HttpRequest) -> HttpResponse:
    """Show the apps of the person who is signed in."""
    now = timezone.now()
    names = RecordNames(request.user, context_of(request), now, {})
    connected = connected_apps(request.user.pk, now=now)
    found = readings(request.user.pk, _open_records(connected, names), now=now)
    facts = {
        "apps": [_shown(app, names, found) for app in connected],
        "reading_days": PERIOD.days,
        "skin": skins.at_only({app.tenant.slug for app in connected} | places_of(request.user.pk, now)),
    }
    return render(request, "people/my_apps.html", facts)


@browser_page("POST", endpoint="my-apps")
def stop_app(request: HttpRequest) -> HttpResponse:
    """Stop one app at one tenant, now: no token of it works any more, and it would have to ask again."""
    if not request.user.is_authenticated:
        return redirect_to_login(reverse("my_apps"))
    client_id, slug = request.POST.get("client", ""), request.POST.get("tenant", "")
    context = context_of(request)
    client = find_client(client_id)
    if client is None or not is_tenant_slug(slug):
        raise _unknown(client_id)
    context.client_id, context.tenant = client.client_id, slug
    stopped = tokens.revoke_app(
        user=request.user.pk, client_id=client.client_id, tenant=slug, by="user", now=timezone.now(), context=context
    )
    if not stopped and not was_connected(request.user.pk, client, slug):
        raise _unknown(client_id)  # Who never let it in learns neither its name nor that it is there.
    if stopped:
        _tell(request, gettext("%(app)s is stopped. It cannot see anything any more.") % {"app": client.name})
    else:
        _tell(request, gettext("%(app)s had been stopped before.") % {"app": client.name})
    return redirect("my_apps")


def _unknown(client_id: str) -> PageRefused:
    reason = "there is no such client or tenant, or the person never let the client in there"
    return PageRefused(
        Refusal("my-apps.unknown", reason, seen=client_id[:200]),
        title=_("This app is not known here"),
        advice=_("Nothing has changed. Go back and load the page again."),
    )


def _person(names: RecordNames, tenant: TenantInfo) -> Person:
    """Return who they are at a tenant. No app asks here, so none confines what they see of their own."""
    if tenant.slug not in names.people:
        names.people[tenant.slug] = person_at(
            names.user, tenant, client_id="", restrictions=UNRESTRICTED, now=names.now
        )
    return names.people[tenant.slug]


def _tell(request: HttpRequest, sentence: str) -> None:
    messages.success(request, sentence, extra_tags="my-apps")  # Others leave messages, too, meant for other pages.


def _open_records(connected: tuple[ConnectedApp, ...], names: RecordNames) -> list[Opened]:
    """Return the records the apps are connected to, as far as the person may act for them now."""
    found = []
    for app in connected:
        person = _person(names, app.tenant)
        own = {person.fhir_user.partition("/")[2]} if (person.fhir_user or "").startswith("Patient/") else set()
        among = None if is_clinician(person) else person.related_patients | own
        for patient in (one.patient for one in app.connections):
            if _may_act(person, patient):
                found.append(Opened(app.client.client_id, app.tenant.slug, patient, among))
    return found


def _may_act(person: Person, patient: str) -> bool:
    return may_act_for(patient or None, fhir_user=person.fhir_user, related=person.related_patients)


def _shown(app: ConnectedApp, names: RecordNames, found: Mapping[Opened, tuple[Reading, ...]]) -> dict[str, object]:
    """Return an app with whose records they are, and what it opened of them, as the template shows them."""
    person = _person(names, app.tenant)
    return {
        "app": app,
        "stay_days": (app.client.lifetimes.refresh_token or config().refresh_token_lifetime).days,
        "connections": [_connection(app, one, person, names, found) for one in app.connections],
    }


def _connection(
    app: ConnectedApp, one: Connection, person: Person, names: RecordNames, found: Mapping[Opened, tuple[Reading, ...]]
) -> dict[str, object]:
    read = found.get(Opened(app.client.client_id, app.tenant.slug, one.patient))
    moments = [one.used_at, *(reading.last for reading in read or ())]
    return {
        "connection": one,
        "is_own": person.fhir_user == f"Patient/{one.patient}",
        "is_over": not _may_act(person, one.patient),  # By time, which nobody has tidied up after yet.
        "patient": names.find(app.tenant, one.patient) if one.patient else None,
        "used_at": max((moment for moment in moments if moment), default=None),
        "readings": read,
    }
