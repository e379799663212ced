"""The switches of a tenant as the pure policy takes them."""

from clients.tenants import TenantPolicy
from fhirproxy.policy.plans import Limits
from fhirproxy.policy.switches import WRITE_LEVELS, WriteSwitches


def limits_of(policy: TenantPolicy) -> Limits:
    """Return the numbers and switches of one tenant."""
    writes = WriteSwitches(
        levels=WRITE_LEVELS[policy.writes],
        update_as_create=policy.update_as_create,
        allow_unversioned=policy.allow_unversioned_writes,
        compensate=policy.compensate,
    )
    return Limits(
        policy.default_count, policy.max_count, writes=writes, valueset_hosts=frozenset(policy.valueset_hosts)
    )
