"""What a signed-in user is at one tenant, and for whom they may act there now."""

from dataclasses import dataclass
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
    relations = ProxyRelation.objects.filter(_holds(now), user=user, tenant_id=tenant.pk)
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


def find_user_at(name: str, tenant: TenantInfo, *, now: datetime) -> User | None:
    """Return the one active user whom others call `name` at `tenant`, or None.

    name: a user name, or the FHIR resource the user is there, relative or as its URL at our FHIR base. Who is nobody at
    the tenant, with no record and no relation, cannot be named there.
    """
    users = User.objects.filter(is_active=True)
    if "/" in name:  # No user name has one.
        reference = name.removeprefix(f"{tenant.fhir_base}/")
        users = users.filter(fhir_users__tenant_id=tenant.pk, fhir_users__reference=reference)
    else:
        related = _holds(now, "relations__") & Q(relations__tenant_id=tenant.pk)
        here = related | Q(fhir_users__tenant_id=tenant.pk)
        users = users.filter(here, username=name)
    found = list(users.distinct()[:2])
    return found[0] if len(found) == 1 else None


@dataclass(frozen=True, slots=True)
class Tie:
    """Why somebody may act for a patient. `kind`: "own", "parent", "guardian", "caregiver"; `until` None for no end."""

    kind: str
    until: datetime | None = None


def ties(person: Person, *, tenant_pk: int, now: datetime) -> dict[str, Tie]:
    """Return for each patient somebody may act for by relation, and for their own record, why. One statement."""
    rows = ProxyRelation.objects.filter(_holds(now), user=person.user, tenant_id=tenant_pk)
    found = {
        row.patient: Tie(row.kind, min((one for one in (row.ends_at, row.of_age_at) if one), default=None))
        for row in rows
        if row.patient in person.related_patients
    }
    kind, _, own = (person.fhir_user or "").partition("/")
    return found | ({own: Tie("own")} if kind == "Patient" else {})


def _holds(now: datetime, prefix: str = "") -> Q:
    """Return what is true of a relation that somebody may act by now."""
    ended = Q(**{f"{prefix}ends_at__lte": now}) | Q(**{f"{prefix}of_age_at__lte": now})
    return Q(**{f"{prefix}starts_at__lte": now}) & ~ended


def is_clinician(person: Person) -> bool:
    """Return True for someone who works with patients, and so has to say which one is meant."""
    return (person.fhir_user or "").startswith(CLINICIANS)


def places_of(user: int, now: datetime) -> frozenset[str]:
    """Return the slugs of the tenants where a user is somebody, or may act for somebody. One statement."""
    own = FhirUser.objects.filter(user=user).values_list("tenant__slug")
    others = ProxyRelation.objects.filter(_holds(now), user=user).values_list("tenant__slug")
    return frozenset(slug for (slug,) in own.union(others))
