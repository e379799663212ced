"""What is known about one request while it is decided, for its receipt and its audit record."""

from dataclasses import dataclass, field

from clients.tenants import TenantPolicy
from fhirproxy.exchange import Exchange
from fhirproxy.influences import influences
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.describing import describe_grants, describe_interaction, describe_plan
from smartauth.policy.access import Access


@dataclass(slots=True)
class Explanation:
    """The steps of one decision. Implements smartauth.context.Explains."""

    access: Access
    wanted: object
    authority: Authority
    exchange: Exchange
    policy: TenantPolicy
    plan: object = None
    switches: tuple[str, ...] = field(default=())

    def planned(self, plan: object) -> None:
        """Note what was decided."""
        self.plan = plan
        self.switches = influences(self.policy, self.wanted, plan, self.authority)

    @property
    def patients(self) -> frozenset[str]:
        """Return the patients whose data leaves."""
        return frozenset(self.exchange.patients)

    def as_json(self) -> dict[str, Json]:
        """Return the officer's view of the decision; no values of a search are in it."""
        return {
            "user": self.access.user,
            "authorization": str(self.access.authorization),
            "patient": self.access.patient,
            "parse": describe_interaction(self.wanted),
            "grants": describe_grants(self.authority),
            "plan": None if self.plan is None else describe_plan(self.plan),
            "upstream_calls": self.exchange.calls,
            "checked": self.exchange.checked,
            "removed": self.exchange.removed,
            "switches": list(self.switches),
        }
