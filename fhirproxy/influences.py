"""Which loosened switches of a tenant a decision rested on: those it consulted, whether or not they changed it."""

from clients.tenants import TenantPolicy
from fhirproxy.policy.authority import Authority, Everyone
from fhirproxy.policy.parameters import SearchQuery
from smartauth.policy import r4

WRITING = frozenset({"Create", "Update", "Patch", "Delete", "Bundled", "Validate"})
REPLACING = WRITING - {"Create"}


def influences(policy: TenantPolicy, wanted: object, plan: object, authority: Authority) -> tuple[str, ...]:
    """Return the names of `policy.weakened` that the decision about `wanted` consulted, in the same order."""
    kind = type(wanted).__name__
    is_operation = kind.endswith("Operation")
    is_reading = kind not in WRITING or kind == "Bundled"
    types = _types(wanted, plan)
    is_restricted = not all(isinstance(grant.patients, Everyone) for grant in authority.grants)
    is_of_compartment = any(r4.memberships()[one].cls == "compartment" for one in types)
    query = getattr(wanted, "query", None)
    names = {one.name for one in query.criteria} if isinstance(query, SearchQuery) else set()
    modifiers = {one.modifier for one in query.criteria} if isinstance(query, SearchQuery) else set()
    consulted = {
        "compartment_mode": is_reading and is_restricted and (is_of_compartment or not types),
        "type_overrides": is_reading and is_restricted and (not types or bool(types & set(policy.type_overrides))),
        "extra_parameters": any(one.partition(":")[0].rpartition(".")[2] in names for one in policy.extra_parameters),
        "extra_operations": is_operation,
        "valueset_hosts": kind in ("Terminology", "Validate") or bool(modifiers & {"in", "not-in"}),
        "trust_totals": kind in ("SearchType", "SearchCompartment", "Page") and is_restricted,
        "writes": kind in WRITING,
        "update_as_create": kind in ("Update", "Bundled", "Validate"),
        "allow_unversioned_writes": kind in REPLACING,
    }
    return tuple(name for name in policy.weakened if consulted[name])


def _types(wanted: object, plan: object) -> set[str]:
    """Return the resource types a request may bring, as far as it says; none for what says nothing."""
    found = {getattr(one, "type", None) for one in (wanted, plan)}
    for include in getattr(plan, "includes", ()):
        found |= set(include.types)
    return {one for one in found if isinstance(one, str) and r4.is_resource_type(one)}
