"""Which tenant a request is about: the one in its URL, the one it names, or the default."""

from collections.abc import Mapping

from clients.tenants import TenantInfo, find_default_tenant, find_tenant
from smartauth import endpoints
from smartauth.errors import InvalidTarget, NotFound, Refusal
from smartauth.storable import repeatable_url


def addressed_tenant(slug: str | None) -> TenantInfo | None:
    """Return the tenant of a per-tenant URL, None for a short URL. Raises NotFound for one that is not served."""
    if slug is None:
        return None
    tenant = find_tenant(slug)
    if tenant is None:
        raise NotFound(Refusal("tenant.unknown", "there is no such tenant", seen=slug))
    return tenant


def named_tenant(params: Mapping[str, str], addressed: TenantInfo | None) -> TenantInfo | None:
    """Return the tenant that `resource` or `aud` names, else `addressed`.

    Raises InvalidTarget when the two disagree or the value is no FHIR base served here. Source: RFC 8707 §2.
    """
    wanted = {params[name] for name in ("resource", "aud") if name in params}
    if not wanted:
        return addressed
    slugs = {endpoints.tenant_of_fhir_base(url) for url in wanted}
    slug = slugs.pop() if len(slugs) == 1 else None
    tenant = find_tenant(slug) if slug else None
    if tenant is None or (addressed is not None and tenant.slug != addressed.slug):
        raise InvalidTarget(
            Refusal(
                "target.unknown",
                "resource does not name the FHIR base of this endpoint",
                expected=addressed.fhir_base if addressed else "a FHIR base of this server",
                seen=", ".join(repeatable_url(one, 200) for one in sorted(wanted)),
                fix="Send the FHIR base URL as smart-configuration is found under it, or leave resource out.",
            )
        )
    return tenant


def tenant_or_default(addressed: TenantInfo | None) -> TenantInfo | None:
    """Return `addressed`, or the default tenant of short URLs where one is configured."""
    return addressed or find_default_tenant()
