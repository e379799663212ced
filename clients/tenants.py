"""What the rest of the server may know about a tenant, as a frozen value."""

from dataclasses import dataclass
from typing import Literal

import msgspec

from clients.models import Tenant
from smartauth import endpoints, slugs
from smartauth.conf import config
from smartauth.marks import MarkedCache, tenant_mark


class TenantPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy switches of one tenant. The defaults are the strict ones; `weakened` names those that are not."""

    compartment_mode: Literal["strict"] = "strict"
    practitioner_access: Literal["all", "none"] = "all"
    max_count: int = 500
    default_count: int = 50
    writes: Literal["off", "system", "user", "all"] = "user"  # the levels of scope that may write; patient/ as user/
    update_as_create: bool = False
    allow_unversioned_writes: bool = False
    compensate: bool = False


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """One tenant. `fhir_base` is its public FHIR base URL, without a trailing slash."""

    pk: int
    slug: str
    name: str
    policy: TenantPolicy

    @property
    def fhir_base(self) -> str:
        return endpoints.fhir_base(self.slug)


_tenants: MarkedCache[str, TenantInfo | None] = MarkedCache(max_size=1_000)


def find_tenant(slug: str) -> TenantInfo | None:
    """Return the active tenant called `slug`, or None. Deactivation is seen within a second on every worker.

    That there is none is not remembered: guessed names must not push real tenants out.
    """
    if slugs.TENANT_SLUG.fullmatch(slug) is None:
        return None
    return _tenants.get(slug, lambda: _load(slug), tags=lambda found: (tenant_mark(slug),) if found else ())


def find_default_tenant() -> TenantInfo | None:
    """Return the tenant that short URLs and root documents stand for, or None where none is configured."""
    slug = config().default_tenant
    return find_tenant(slug) if slug else None


def _load(slug: str) -> TenantInfo | None:
    row = Tenant.objects.filter(slug=slug, is_active=True).first()
    if row is None:
        return None
    return TenantInfo(row.pk, row.slug, row.name or row.slug, msgspec.convert(row.policy, TenantPolicy))
