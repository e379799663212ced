"""What the events of the audit trail have in common: whose token it was, which scopes permitted it, what it took."""

from collections.abc import Iterable
from typing import Any

from fhirproxy.exchange import Exchange
from fhirproxy.policy.authority import Grant
from fhirproxy.policy.operating import Plan
from fhirproxy.policy.own_operations import OwnOperationPlan
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.validation_plans import ValidationPlan
from smartauth.audit.recording import AuditEvent
from smartauth.policy.access import Access

# What it is called, when it is not a read.
ACTIONS: dict[type, str] = {SearchPlan: "search", ValidationPlan: "validate"}


def event_by(access: Access, action: str, **what: Any) -> AuditEvent:
    """Return what happened with an access token. `what`: the members of AuditEvent that the token does not tell."""
    return AuditEvent(
        action,
        client_id=access.client_id,
        tenant=access.tenant,
        user=access.user,
        patient=access.patient or "",
        authorization=access.authorization,
        **what,
    )


def scopes_in(via: Iterable[Grant]) -> str:
    """Return the scopes that permitted something, as every event names them."""
    return ",".join(sorted({f"{grant.level}/{grant.resource}.{grant.letters}" for grant in via}))


def read_event(plan: Plan | OwnOperationPlan | ValidationPlan, access: Access, exchange: Exchange) -> AuditEvent:
    """Return the event of a plan that only read, recorded before anything of its answer leaves."""
    return event_by(
        access,
        ACTIONS.get(type(plan), "read"),
        rule=plan.rule,
        resource_type=plan.type,
        resource_id=plan.id,
        query=plan.request.target if plan.request else "",
        details={"interaction": plan.interaction, "scopes": scopes_in(plan.via), **exchange.counts},
    )
