"""Who can be chosen on the launcher: apps and people of the sandbox's tenant, and patients as the records tell them."""

from datetime import datetime

from django.db.models import Q

from clients.models import Activation, Client
from clients.tenants import TenantInfo, find_tenant
from smartauth.context import RequestContext
from smartauth.people.models import FhirUser, ProxyRelation
from smartauth.people.rights import find_user_at, person_at
from smartauth.policy.access import UNRESTRICTED
from smartauth.records import EncounterRecord, PatientRecord, Person, records
from smartauth.sandbox.launcher.choices import Known
from smartauth.sandbox.launcher.ehr import EHR
from smartauth.sandbox.launcher.kinds import Launchable
from smartauth.sandbox.seed import TENANT


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


def patient(user: str, patient_id: str, context: RequestContext, now: datetime) -> PatientRecord | None:
    """Return a patient as `user` sees them, None for one that is absent or outside. Raises RecordsUnavailable."""
    found = person(user, now)
    return records().find_patient(found, patient_id, context=context, now=now) if found else None


def visit(user: str, patient_id: str, visit_id: str, context: RequestContext, now: datetime) -> EncounterRecord | None:
    """Return a visit of a patient as `user` sees it, None for one absent or outside. Raises RecordsUnavailable."""
    found = person(user, now)
    return records().find_encounter(found, patient_id, visit_id, context=context, now=now) if found else None


def person(user: str, now: datetime) -> Person | None:
    """Return a user as the records know them here, or None for nobody."""
    tenant: TenantInfo | None = find_tenant(TENANT)
    found = find_user_at(user, tenant, now=now) if tenant and user else None
    if tenant is None or found is None:
        return None
    return person_at(found, tenant, client_id=EHR, restrictions=UNRESTRICTED, now=now)
