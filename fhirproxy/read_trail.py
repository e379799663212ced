"""What the audit trail keeps of a request that only read, before anything of its answer leaves."""

from fhirproxy.exchange import Exchange
from fhirproxy.policy.operating import Plan
from fhirproxy.policy.own_operations import OwnOperationPlan
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.validation_plans import ValidationPlan
from smartauth.audit.recording import AuditEvent
from smartauth.policy.access import Access

# What it is called, when it is not a read.
ACTIONS: dict[type, str] = {SearchPlan: "search", ValidationPlan: "validate"}


def read_event(plan: Plan | OwnOperationPlan | ValidationPlan, access: Access, exchange: Exchange) -> AuditEvent:
    """Return the event of a plan that was carried out, with how many resources were checked and left out."""
    return AuditEvent(
        ACTIONS.get(type(plan), "read"),
        rule=plan.rule,
        client_id=access.client_id,
        tenant=access.tenant,
        user=access.user,
        patient=access.patient or "",
        authorization=access.authorization,
        resource_type=plan.type,
        resource_id=plan.id,
        query=plan.request.target if plan.request else "",
        details={
            "interaction": plan.interaction,
            "scopes": ",".join(sorted({f"{grant.level}/{grant.resource}.{grant.letters}" for grant in plan.via})),
            "upstream_calls": exchange.calls,
            "checked": exchange.checked,
            "removed": exchange.removed,
        },
    )
