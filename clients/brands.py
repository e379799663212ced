"""The brands of tenants: how each presents itself, as a frozen value, and the only way to write one."""

import logging
from dataclasses import dataclass
from datetime import datetime

import msgspec

from clients.brand_details import BrandDetails, parse_brand, stored
from clients.models import Brand, Tenant
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.conf import config
from smartauth.marks import MarkedCache, tenant_mark

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PublishedBrand:
    """What one active tenant tells everybody. `changed_at` is aware."""

    tenant: str
    details: BrandDetails
    changed_at: datetime

    @property
    def fhir_base(self) -> str:
        return endpoints.fhir_base(self.tenant)


@dataclass(frozen=True, slots=True)
class BrandList:
    """Every brand of this server, by tenant. `changed_at`: when one last came, changed or went."""

    brands: tuple[PublishedBrand, ...]
    changed_at: datetime


_brands: MarkedCache[str, PublishedBrand | None] = MarkedCache(max_size=1_000)


def find_brand(tenant: TenantInfo) -> PublishedBrand | None:
    """Return what the tenant publishes, or None. A change is seen within a second on every worker."""
    return _brands.get(tenant.slug, lambda: _load(tenant.slug), tags=lambda _: (tenant_mark(tenant.slug),))


def list_brands() -> BrandList | None:
    """Return the brands of all active tenants, or None where none publishes one."""
    rows = list(Brand.objects.select_related("tenant").order_by("tenant__slug"))
    read = (_published(row) for row in rows if row.is_published and row.tenant.is_active)
    shown = tuple(brand for brand in read if brand is not None)
    # Rows that are not shown count: when the last change was that one went, that is when the list changed.
    return BrandList(shown, max(row.changed_at for row in rows)) if shown else None


def read_brand(members: object) -> BrandDetails:
    """Return members as a brand by the rules of this server. Raises ValueError, in one sentence."""
    return parse_brand(members, http_on_loopback=config().is_sandbox)


def set_brand(tenant: Tenant, details: BrandDetails) -> None:
    """Store the brand of a tenant. One that is there already and says the same stays untouched, its time too."""
    members = stored(details)
    row = Brand.objects.filter(tenant=tenant).first()
    if row is None:
        Brand.objects.create(tenant=tenant, details=members)
    elif row.details != members:
        row.details = members
        row.save()


def _load(slug: str) -> PublishedBrand | None:
    row = Brand.objects.select_related("tenant").filter(tenant__slug=slug, is_published=True).first()
    return _published(row) if row else None


def _published(row: Brand) -> PublishedBrand | None:
    """Read what was judged when it was written. What cannot be read is not told: discovery must not fail for it."""
    try:
        details = msgspec.convert(row.details, BrandDetails)
    except msgspec.ValidationError as why:
        _log.warning("the brand of tenant %s cannot be read, so it is not published: %s", row.tenant.slug, why)
        return None
    return PublishedBrand(row.tenant.slug, details, row.changed_at)
