"""The audit trail of writes: what is about to be sent is stored before it is, and what came of it afterwards."""

import logging
from dataclasses import dataclass

from fhirproxy.audit_events import event_by, scopes_in
from fhirproxy.exchange import Exchange
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.subjects import patients_of
from fhirproxy.policy.write_plans import WritePlan
from smartauth.audit.recording import AuditEvent, AuditUnavailable, record_before, record_read
from smartauth.context import RequestContext
from smartauth.policy.access import Access


@dataclass(frozen=True, slots=True)
class Trail:
    """Where the writes of one request are recorded. `within`: "batch", "transaction", or empty."""

    context: RequestContext
    access: Access
    exchange: Exchange
    within: str = ""

    def intend(self, plan: WritePlan, version: str, checked: Checked) -> None:
        """Store what will be sent. Raises AuditUnavailable; then nothing may be sent.

        checked: what will be there, or for a delete what was.
        """
        record_before(self.context, self._event(plan, plan.verb, plan.id, {"version": version}, checked))

    def done(self, plan: WritePlan, resource_id: str, status: int, checked: Checked) -> None:
        """Note what came of it. The write has happened, so a trail that cannot be written no longer stops it."""
        try:
            record_read(self.context, self._event(plan, "written", resource_id, {"status": status}, checked))
        except AuditUnavailable:
            logging.getLogger(__name__).exception("the outcome of write %s was not recorded", self.context.trace_id)

    def found(self, plan: WritePlan, checked: Checked) -> None:
        """Note that a conditional create found its resource, which is a search. Raises AuditUnavailable."""
        record_read(self.context, self._event(plan, "search", checked.id, {}, checked))

    def _event(
        self, plan: WritePlan, action: str, resource_id: str, details: dict[str, str | int], checked: Checked
    ) -> AuditEvent:
        return event_by(
            self.access,
            action,
            rule=plan.rule,
            resource_type=plan.type,
            resource_id=resource_id,
            patients=_whose(plan, checked, self.exchange),
            details={
                "interaction": plan.verb,
                "scopes": scopes_in(plan.via),
                **self.exchange.counts,
                **({"within": self.within} if self.within else {}),
                **_weakened(plan),
                **details,
            },
        )


def _whose(plan: WritePlan, checked: Checked, exchange: Exchange) -> frozenset[str]:
    if plan.type == "Patient" and not plan.id:
        return frozenset()  # Its id comes from the upstream; until then it goes by one that is nobody's.
    return patients_of(checked, exchange.info.bases)


def _weakened(plan: WritePlan) -> dict[str, str | int]:
    """Name the loosened switches that had a part in the decision, under the name they have in every record."""
    switches = plan.switches
    names = [
        *(("update_as_create",) if plan.create_via else ()),
        *(("allow_unversioned_writes",) if switches.allow_unversioned and not plan.is_full else ()),
    ]
    return {"switches": ",".join(names)} if names else {}
