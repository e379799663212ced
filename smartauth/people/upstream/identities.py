"""From what the provider says of a person to the user here. Only issuer and subject link the two."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from clients.jwks_rules import shown
from clients.tenants import TenantInfo, find_tenant
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.conf import UpstreamIdp
from smartauth.context import RequestContext
from smartauth.digests import new_secret
from smartauth.errors import Refusal
from smartauth.people.models import FHIR_USER, FhirUser, UpstreamIdentity, User
from smartauth.people.upstream.fetching import ProviderRefused
from smartauth.people.upstream.identity_tokens import Identity

SUBJECT = re.compile(r"[\x21-\x7e]{1,255}")
NOT_IN_NAMES = re.compile(r"[^\w.+-]+")


class UnknownPerson(ProviderRefused):
    """The provider knows the person, and nobody made a user of them here."""


class DeactivatedPerson(ProviderRefused):
    """The user of this person may not sign in any more."""


def require_user(idp: UpstreamIdp, identity: Identity, *, context: RequestContext, now: datetime) -> User:
    """Return the active user whom the provider means, brought up to date.

    Raises UnknownPerson, DeactivatedPerson, or ProviderRefused where a claim that we need cannot be read.
    """
    subject = _subject(idp, identity.claims)
    references = _references(idp, identity.claims)
    user = _find(identity.issuer, subject) or _make(idp, identity, subject, context)
    if not user.is_active:
        fix = "Activate the user again, if they may sign in: Administration, People, Users."
        raise DeactivatedPerson(Refusal("upstream.deactivated", "the user of this person is deactivated", fix=fix))
    UpstreamIdentity.objects.filter(issuer=identity.issuer, subject=subject).update(last_used_at=now)
    for tenant, reference in references:
        _let_be(user, tenant, reference, context)
    return user


def _subject(idp: UpstreamIdp, claims: Mapping[str, Any]) -> str:
    subject = claims.get(idp.subject_claim)
    if isinstance(subject, str) and SUBJECT.fullmatch(subject):
        return subject
    raise ProviderRefused(
        Refusal(
            "upstream.subject",
            f"the ID token has no {idp.subject_claim} that names a person",
            expected="1 to 255 printable ASCII characters",
            seen=shown(type(subject).__name__),
            fix="Have the identity provider put the claim into ID tokens, or set SMARTAUTH_UPSTREAM_IDP_SUBJECT_CLAIM.",
        )
    )


def _references(idp: UpstreamIdp, claims: Mapping[str, Any]) -> list[tuple[TenantInfo, str]]:
    """Return what the person is at which tenant, as far as the provider says so."""
    found = []
    for slug, name in idp.fhir_user_claims:
        tenant, value = find_tenant(slug), claims.get(name)
        if tenant is None or value is None:
            continue
        reference = value.removeprefix(f"{tenant.fhir_base}/") if isinstance(value, str) else ""
        if re.fullmatch(FHIR_USER, reference) is None:
            raise ProviderRefused(
                Refusal(
                    "upstream.fhir_user",
                    f"the claim {name} is no FHIR resource of the tenant {slug}",
                    expected=f"for example Practitioner/dr-grey, or {tenant.fhir_base}/Practitioner/dr-grey",
                    seen=shown(value),
                    fix="Mend the claim at the identity provider, or SMARTAUTH_UPSTREAM_IDP_FHIR_USER_CLAIMS.",
                )
            )
        found.append((tenant, reference))
    return found


def _find(issuer: str, subject: str) -> User | None:
    found = UpstreamIdentity.objects.select_related("user").filter(issuer=issuer, subject=subject).first()
    return found.user if found else None


def _make(idp: UpstreamIdp, identity: Identity, subject: str, context: RequestContext) -> User:
    if not idp.creates_users:
        raise UnknownPerson(
            Refusal(
                "upstream.unknown_person",
                "nobody here is linked to this person of the identity provider",
                officer=f"subject {subject}",
                fix="Link them: Administration, People, Upstream identities; or create_user --upstream-subject.",
            )
        )
    user = User(username=_name(identity.claims))
    user.set_unusable_password()
    try:
        with transaction.atomic():
            user.save()
            UpstreamIdentity.objects.create(user=user, issuer=identity.issuer, subject=subject)
            record_now(context, AuditEvent("user-created", user=user.pk, details={"by": "upstream"}))
    except IntegrityError:
        made_meanwhile = _find(identity.issuer, subject)
        if made_meanwhile is None:
            raise
        return made_meanwhile
    return user


def _name(claims: Mapping[str, Any]) -> str:
    """Return a user name people recognise. Its end is random: the provider must not choose the name of anybody else."""
    wished = claims.get("preferred_username")
    words = NOT_IN_NAMES.sub("-", wished).strip("-")[:60] if isinstance(wished, str) else ""
    return f"{words or 'person'}-{new_secret()[:8].strip('-_').lower()}"


def _let_be(user: User, tenant: TenantInfo, reference: str, context: RequestContext) -> None:
    """Make the user that FHIR resource at the tenant. Being another one ends what was granted, in the database."""
    with transaction.atomic():
        row, is_new = FhirUser.objects.select_for_update().get_or_create(
            user=user, tenant_id=tenant.pk, defaults={"reference": reference}
        )
        if not is_new and row.reference == reference:
            return
        row.reference = reference
        row.save(update_fields=["reference"])
        told = {"of": user.pk, "is": reference, "by": "upstream"}
        record_now(context, AuditEvent("fhir-user-changed", user=user.pk, tenant=tenant.slug, details=told))
