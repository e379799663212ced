"""What a signed-in user is at one tenant, and for whom they may act there now."""

from datetime import datetime

from django.db.models import Q

from clients.tenants import TenantInfo
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.policy.access import Restrictions
from smartauth.records import Person

CLINICIANS = ("Practitioner/", "PractitionerRole/")


def person_at(user: User, tenant: TenantInfo, *, client_id: str, restrictions: Restrictions, now: datetime) -> Person:
    """Return the user as the records know them at `tenant`.

    client_id: the app that asks, for the audit trail.  restrictions: what it may reach at most.
    """
    reference = FhirUser.objects.filter(user=user, tenant_id=tenant.pk).values_list("reference", flat=True).first()
    current = Q(starts_at__lte=now) & (Q(ends_at__isnull=True) | Q(ends_at__gt=now))
    relations = ProxyRelation.objects.filter(current, user=user, tenant_id=tenant.pk)
    if not (tenant.policy.proxy_relations and restrictions.proxy_relations):
        relations = relations.none()
    return Person(
        user=user.pk,
        tenant=tenant.slug,
        subject=str(user.subject),
        fhir_user=reference,
        related_patients=frozenset(relations.values_list("patient", flat=True)),
        client_id=client_id,
        restrictions=restrictions,
    )


def is_clinician(person: Person) -> bool:
    """Return True for someone who works with patients, and so has to say which one is meant."""
    return (person.fhir_user or "").startswith(CLINICIANS)
