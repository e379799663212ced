"""A tenant's policy switches in the words of the pure policy."""

from clients.tenants import TenantPolicy
from fhirproxy.policy.authority import Authority, Loaded, make_authority
from fhirproxy.policy.membership import MembershipRules
from fhirproxy.policy.plans import Limits
from fhirproxy.policy.references import Bases
from smartauth.policy.access import Access


def membership_rules(policy: TenantPolicy) -> MembershipRules:
    """Return how the tenant reads compartments."""
    return MembershipRules(
        is_formal=policy.compartment_mode == "formal",
        any_of=frozenset(policy.type_overrides),
        shared_read=policy.shared_read,
    )


def limits_under(policy: TenantPolicy) -> Limits:
    """Return the tenant's numbers for searches."""
    return Limits(policy.default_count, policy.max_count, trust_totals=policy.trust_totals)


def authority_under(policy: TenantPolicy, access: Access, bases: Bases, loaded: Loaded) -> Authority:
    """Return the authority of a token where these switches hold."""
    return make_authority(
        access,
        bases,
        loaded,
        practitioner_access=policy.practitioner_access,
        proxy_relations=policy.proxy_relations,
        rules=membership_rules(policy),
    )
