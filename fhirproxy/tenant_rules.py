"""A tenant's policy switches in the words of the pure policy."""

from clients.tenants import EXTRA_OPERATION, EXTRA_PARAMETER, TenantPolicy
from fhirproxy.policy.authority import Authority, Loaded, make_authority
from fhirproxy.policy.extras import Extras
from fhirproxy.policy.membership import MembershipRules
from fhirproxy.policy.plans import Limits
from fhirproxy.policy.references import Bases
from fhirproxy.policy.switches import WRITE_LEVELS, WriteSwitches
from smartauth.policy import r4
from smartauth.policy.access import Access


def membership_rules(policy: TenantPolicy) -> MembershipRules:
    """Return how the tenant reads compartments."""
    return MembershipRules(
        is_formal=policy.compartment_mode == "formal",
        any_of=frozenset(policy.type_overrides),
        shared_read=policy.shared_read,
    )


def limits_under(policy: TenantPolicy) -> Limits:
    """Return the tenant's numbers, and its switches that no grant carries."""
    return Limits(
        policy.default_count,
        policy.max_count,
        trust_totals=policy.trust_totals,
        valueset_hosts=frozenset(policy.valueset_hosts),
        writes=WriteSwitches(
            levels=WRITE_LEVELS[policy.writes],
            update_as_create=policy.update_as_create,
            allow_unversioned=policy.allow_unversioned_writes,
            compensate=policy.compensate,
            attached_binaries=policy.binary == "referenced",
        ),
    )


def extras_under(policy: TenantPolicy) -> Extras:
    """Return what the tenant adds. Without a kind a parameter's values are read as tokens, as plain text can be."""
    parameters = [EXTRA_PARAMETER.fullmatch(text) for text in policy.extra_parameters]
    operations = [EXTRA_OPERATION.fullmatch(text) for text in policy.extra_operations]
    return Extras(
        {(one["type"], one["name"]): r4.Parameter(one["kind"] or "token") for one in parameters if one is not None},
        {(one["type"], one["one"] is not None, one["name"]): one["result"] for one in operations if one is not None},
    )


def authority_under(policy: TenantPolicy, access: Access, bases: Bases, loaded: Loaded) -> Authority:
    """Return the authority of a token where these switches hold."""
    return make_authority(
        access,
        bases,
        loaded,
        practitioner_access=policy.practitioner_access,
        proxy_relations=policy.proxy_relations,
        binary=policy.binary,
        rules=membership_rules(policy),
    )
