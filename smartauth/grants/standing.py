"""What must still hold of a completed consent whenever something is issued from it."""

from collections.abc import Mapping

from clients.registered import RegisteredClient, require_active_at
from clients.tenants import TenantInfo, find_tenant
from smartauth.errors import InvalidGrant, InvalidTarget, Refusal
from smartauth.models import Authorization
from smartauth.people.rights import CLINICIANS
from smartauth.policy import granting
from smartauth.policy.consent import is_sensitive
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope
from smartauth.policy.unasked import may_be_skipped
from smartauth.tokens import Consent

WHO_THE_USER_IS = ("fhirUser", "profile")
LAUNCH_AGAIN = "Launch again for what the client is registered for and the tenant allows now."


def require_tenant(consent: Consent, named: TenantInfo | None, params: Mapping[str, str]) -> None:
    """Raise unless the request is about the tenant of the consent: InvalidTarget where `resource` says otherwise.

    named: the tenant that the URL or `resource` names, None for neither.  Source: RFC 8707 §2.2.
    """
    if named is None or named.slug == consent.tenant:
        return
    refusal = Refusal(
        "grant.other_tenant",
        "this was granted for another FHIR base than the request is about",
        seen=named.fhir_base,
        fix="Use the token URL of the FHIR base the launch began with.",
    )
    raise InvalidTarget(refusal) if {"resource", "aud"} & set(params) else InvalidGrant(refusal)


def still_allowed(consent: Consent, client: RegisteredClient) -> tuple[Scope, ...]:
    """Return what was granted, less what registration and activation no longer allow, and what the user no longer is.

    Whoever has no entry in the records any more is not said to be one (SMART 2.2
    scopes-and-launch-context, "Scopes for requesting identity data").
    Raises InvalidClient when the tenant has ended the activation, InvalidGrant when nothing is left, or when the user
    was not asked and would have to be now.
    """
    permitted = granting.allowed(client.scope, require_active_at(client, consent.tenant))
    scopes = granting.within(granting.parse_registered(consent.scope), permitted)
    if consent.fhir_user is None:
        scopes = tuple(one for one in scopes if not (isinstance(one, NamedScope) and one.name in WHO_THE_USER_IS))
    if not scopes:
        raise InvalidGrant(Refusal("grant.nothing_left", "nothing that was granted is still allowed", fix=LAUNCH_AGAIN))
    if consent.unasked == Authorization.Unasked.OPERATOR:
        _require_still_unasked(consent, client, scopes)
    return scopes


def _require_still_unasked(consent: Consent, client: RegisteredClient, scopes: tuple[Scope, ...]) -> None:
    """Raise InvalidGrant when the user, who was never asked, would have to be by now: then nobody has agreed to it."""
    tenant = find_tenant(consent.tenant)
    sensitive = tenant.policy.sensitive_categories if tenant else ()
    may = consent.tenant in client.skips_consent and may_be_skipped(
        is_public=client.is_public,
        from_ehr=True,  # Nothing else was let in without being asked.
        is_clinician=(consent.fhir_user or "").startswith(CLINICIANS),
        allowed_scope=client.activations.get(consent.tenant, ""),
        reaches_sensitive=any(isinstance(one, ResourceScope) and is_sensitive(one, sensitive) for one in scopes),
        prompts=(),
    )
    if not may:
        reason = "nobody asked the user, because an administrator had decided so, and that decision no longer covers it"
        raise InvalidGrant(Refusal("grant.never_asked", reason, fix="Launch again: the user is asked then."))
