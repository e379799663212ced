"""Who can be chosen on the launcher: apps and people of the sandbox's tenant, and patients as the records tell them."""

from datetime import datetime

from django.db.models import Q

from clients.models import Activation, Client
from clients.tenants import TenantInfo, find_tenant
from smartauth.context import RequestContext
from smartauth.people.models import FhirUser, ProxyRelation
from smartauth.people.rights import CLINICIANS, find_user_at, person_at
from smartauth.policy.access import UNRESTRICTED
from smartauth.records import PatientRecord, PatientSearch, Person, RecordsUnavailable, records
from smartauth.sandbox.launcher.choices import Known
from smartauth.sandbox.launcher.ehr import EHR
from smartauth.sandbox.launcher.kinds import Launchable
from smartauth.sandbox.seed import TENANT

MOST_PATIENTS = 50  # suggested on the form; any other id can be typed


def known(now: datetime) -> Known:
    """Return the clients that are active at the tenant, and the users who are somebody there."""
    active = Activation.objects.filter(
        tenant__slug=TENANT, is_active=True, client__status=Client.Status.APPROVED
    ).select_related("client")
    clients = [row.client for row in active.order_by("client__name", "client__client_id")]
    here = Q(tenant__slug=TENANT, user__is_active=True)
    related = ProxyRelation.objects.filter(here, starts_at__lte=now).exclude(ends_at__lte=now)
    users = {name: "" for (name,) in related.values_list("user__username")}
    users |= dict(FhirUser.objects.filter(here).values_list("user__username", "reference"))
    return Known(
        clients={
            client.client_id: Launchable(
                client.client_id,
                client.name or client.client_id,
                frozenset(client.grant_types),
                client.scope,
                bool(client.launch_urls),
            )
            for client in clients
        },
        users=dict(sorted(users.items())),
    )


def patients(known: Known, context: RequestContext, now: datetime) -> tuple[PatientRecord, ...]:
    """Return some patients to suggest: those that the first clinician sees. Nobody while the records do not answer."""
    clinician = next((name for name, who in known.users.items() if who.startswith(CLINICIANS)), "")
    person = _person(clinician, now)
    if person is None:
        return ()
    try:
        found = records().find_patients(person, PatientSearch(), limit=MOST_PATIENTS, context=context, now=now)
    except RecordsUnavailable:
        return ()
    return found.patients


def patient(user: str, patient_id: str, context: RequestContext, now: datetime) -> PatientRecord | None:
    """Return a patient as `user` sees them, None for one that is absent or outside. Raises RecordsUnavailable."""
    person = _person(user, now)
    return records().find_patient(person, patient_id, context=context, now=now) if person else None


def _person(user: str, now: datetime) -> Person | None:
    tenant: TenantInfo | None = find_tenant(TENANT)
    found = find_user_at(user, tenant, now=now) if tenant and user else None
    if tenant is None or found is None:
        return None
    return person_at(found, tenant, client_id=EHR, restrictions=UNRESTRICTED, now=now)
