"""What the rest of the server may know about a tenant, as a frozen value."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import msgspec

from clients.models import Tenant
from clients.skins import Skin, read_skin
from smartauth import endpoints, slugs
from smartauth.conf import config
from smartauth.marks import MarkedCache, tenant_mark
from smartauth.policy import r4
from smartauth.policy.advertising import CATEGORIES

LOGICAL_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
PRACTITIONER = re.compile(r"Practitioner(Role)?/[A-Za-z0-9.-]{1,64}")
# A search parameter that only the server behind knows: Patient.favourite, or Patient.favourite:date. One that names
# patients is not among them: what a reference means is for us to know.
EXTRA_PARAMETER = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)\.(?P<name>[A-Za-z][A-Za-z0-9-]{0,63})(?::(?P<kind>token|string|date|number|quantity|uri))?"
)
# An operation that only the server behind knows, and the type of its result: Patient/id/$overview=Parameters.
EXTRA_OPERATION = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)/(?P<one>id/)?(?P<name>\$[a-z][A-Za-z0-9-]{0,63})=(?P<result>[A-Z][A-Za-z]+)"
)
# Those that write, reach across patients or do what no check can follow, and those that are offered as they are.
NEVER_ADDED = frozenset(
    {
        "$graphql", "$match", "$member-match", "$merge", "$process-message", "$import", "$expunge", "$reindex",
        "$meta-add", "$meta-delete", "$apply", "$evaluate-measure", "$convert", "$diff", "$stats", "$find", "$document",
        "$summary", "$submit", "$bulk-delete", "$export", "$everything", "$lastn", "$docref", "$meta", "$validate",
        "$expand", "$lookup", "$validate-code", "$translate", "$subsumes",
    }
)  # fmt: skip
# A kind of record, or one of its categories: FamilyMemberHistory, Observation.social-history.
SENSITIVE = re.compile(r"(?P<type>[A-Z][A-Za-z]+)(?:\.(?P<code>[a-z][a-z-]*))?")
MAJORITY = (12, 30)  # years of age; the laws of the world stay within
LIMITS = (
    *("max_consent_days", "remember_days"),
    *("max_count", "default_count", "max_entries", "max_jobs"),
    *("max_concurrent", "max_requests_per_minute", "max_results_per_hour"),
)


class TenantPolicy(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The policy switches of one tenant. The defaults are the strict ones; `weakened` names those that are not.

    What each one means is said once, in `clients/switches.py`. Raises ValueError for a value that cannot be meant.
    """

    # Whose a resource is.
    compartment_mode: Literal["strict", "formal"] = "strict"
    type_overrides: dict[str, Literal["any"]] = {}
    shared_read: bool = True
    binary: Literal["security-context", "referenced", "deny"] = "referenced"
    # Whom a user may act for.
    practitioner_access: Literal["all", "panel", "none"] = "all"
    panel_by: tuple[Literal["general-practitioner", "care-team"], ...] = ("general-practitioner", "care-team")
    panels: dict[str, tuple[str, ...]] = {}
    proxy_relations: bool = True
    # What may be asked.
    extra_parameters: tuple[str, ...] = ()
    extra_operations: tuple[str, ...] = ()
    valueset_hosts: tuple[str, ...] = (
        *("hl7.org", "terminology.hl7.org", "loinc.org", "snomed.info", "unitsofmeasure.org", "www.nlm.nih.gov"),
        *("urn:ietf", "urn:iso", "urn:oid"),
    )
    trust_totals: bool = False
    # What may be written.
    writes: Literal["off", "system", "user", "all"] = "user"
    update_as_create: bool = False
    allow_unversioned_writes: bool = False
    compensate: bool = False
    # What people are asked.
    sensitive_categories: tuple[str, ...] = ()
    max_consent_days: int = 0
    remember_days: int = 90
    age_of_majority: int = 18
    # How much.
    max_count: int = 500
    default_count: int = 50
    max_entries: int = 100
    max_jobs: int = 3
    max_concurrent: int = 32
    max_requests_per_minute: int = 30_000
    max_results_per_hour: int = 20_000

    def __post_init__(self) -> None:
        for name in self.type_overrides:
            if not (r4.is_resource_type(name) and r4.memberships()[name].cls == "compartment"):
                raise ValueError(f"type_overrides names {name}, which is no type with patients it is about")
        for practitioner, patients in self.panels.items():
            if PRACTITIONER.fullmatch(practitioner) is None:
                raise ValueError("panels has a member that is not Practitioner/id or PractitionerRole/id")
            if not all(LOGICAL_ID.fullmatch(one) for one in patients):
                raise ValueError("panels has a patient that is not a logical id, without the resource type")
        _require_extras(self.extra_parameters, self.extra_operations)
        _require_sensitive(self.sensitive_categories)
        if not MAJORITY[0] <= self.age_of_majority <= MAJORITY[1]:
            raise ValueError(f"age_of_majority is not an age from {MAJORITY[0]} to {MAJORITY[1]}")
        for name in LIMITS:
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is below nought")

    @property
    def weakened(self) -> tuple[str, ...]:
        """Return the switches that loosen a rule here, in the order of their definition."""
        return tuple(name for name in WEAKENING if _is_looser(name, getattr(self, name), getattr(STRICT, name)))


def _require_extras(parameters: tuple[str, ...], operations: tuple[str, ...]) -> None:
    """Raise ValueError for a parameter or an operation that cannot be added."""
    for text in parameters:
        found = EXTRA_PARAMETER.fullmatch(text)
        if found is None or not r4.is_resource_type(found["type"]):
            raise ValueError("extra_parameters has a member that is not Type.name or Type.name:kind")
        if found["name"] in r4.search_parameters(found["type"]):
            raise ValueError(f"extra_parameters names {text}, which FHIR R4 has already")
    for text in operations:
        named = EXTRA_OPERATION.fullmatch(text)
        if named is None or not (r4.is_resource_type(named["type"]) and r4.is_resource_type(named["result"])):
            raise ValueError("extra_operations has a member that is not Type/$name=Result or Type/id/$name=Result")
        if named["name"] in NEVER_ADDED:
            raise ValueError(f"extra_operations names {named['name']}, which cannot be added")


def _require_sensitive(categories: tuple[str, ...]) -> None:
    """Raise ValueError for what is no kind of record, or a category that people are not asked about apart."""
    for text in categories:
        found = SENSITIVE.fullmatch(text)
        if found is None or not r4.is_resource_type(found["type"]):
            raise ValueError("sensitive_categories has a member that is not Type or Type.category")
        codes = [value.rpartition("|")[2] for value in CATEGORIES.get(found["type"], ())]
        if found["code"] and found["code"] not in codes:
            raise ValueError(f"sensitive_categories names {text}, and there is no such category")


# Switches whose other values loosen a rule of the enforcement. A number only says how much, so none is among them.
WEAKENING = (
    *("compartment_mode", "type_overrides", "extra_parameters", "extra_operations", "valueset_hosts", "trust_totals"),
    *("writes", "update_as_create", "allow_unversioned_writes"),
)
STRICT = TenantPolicy()
STRICTER: Mapping[str, tuple[object, ...]] = {"writes": ("off",)}  # other than the default, and no looser


def _is_looser(name: str, value: object, default: object) -> bool:
    """Lists of what is let through are looser when they have something that the default has not."""
    if isinstance(value, tuple | dict) and isinstance(default, tuple | dict):
        return any(one not in default for one in value)
    return value not in (default, *STRICTER.get(name, ()))


@dataclass(frozen=True, slots=True)
class TenantInfo:
    """One tenant. `fhir_base` is its public FHIR base URL, without a trailing slash. `skin`: None for our own look."""

    pk: int
    slug: str
    name: str
    policy: TenantPolicy
    skin: Skin | None = None

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
    row = Tenant.objects.filter(slug=slug, is_active=True).select_related("skin").defer("skin__logo").first()
    if row is None:
        return None
    worn = getattr(row, "skin", None)
    skin = read_skin(worn) if worn is not None and worn.is_active else None
    return TenantInfo(row.pk, row.slug, row.name or row.slug, parse_policy(row.policy), skin)


def parse_policy(switches: object) -> TenantPolicy:
    """Return stored or written switches as a policy. Raises ValueError, in one sentence, for anything unknown in it."""
    return msgspec.convert(switches, TenantPolicy)
