"""The way of a client: draft, submitted, approved or declined, suspended, retired. Each step says who took it and why.

A client in any state but approved can do nothing. Stopping one ends what was granted to it: the server behind the
registry listens to `client_stopped`, in the transaction of the step.
Source: SMART 2.2 app-launch, "Register App with EHR"; RFC 7592 §2.3; RFC 9700 §4.14.
"""

from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal

from clients.acting import Actor, NotPossible
from clients.models import Client, ClientEvent
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext

# Sent with `client_id`, `role` (who stopped it) and `context`, inside the transaction that stops the client.
client_stopped = Signal()

Status, Role = Client.Status, ClientEvent.Actor


@dataclass(frozen=True, slots=True)
class Step:
    """A step of the way: between which states, who may take it, and whether it must be explained."""

    name: str
    sources: tuple[Status, ...]
    target: Status
    roles: tuple[Role, ...]
    needs_reason: bool = False


_LIVING = (Status.DRAFT, Status.SUBMITTED, Status.APPROVED, Status.DECLINED, Status.SUSPENDED)
_OPERATORS = (Role.OPERATOR, Role.SERVER)
STEPS = {
    step.name: step
    for step in (
        Step("submitted", (Status.DRAFT, Status.DECLINED), Status.SUBMITTED, (Role.OWNER,)),
        Step("withdrawn", (Status.SUBMITTED,), Status.DRAFT, (Role.OWNER,)),
        Step("returned", (Status.SUBMITTED,), Status.DRAFT, (Role.OPERATOR,), needs_reason=True),
        Step("approved", (Status.SUBMITTED, Status.DECLINED), Status.APPROVED, _OPERATORS),
        Step("declined", (Status.SUBMITTED,), Status.DECLINED, (Role.OPERATOR,), needs_reason=True),
        Step("reviewed_again", (Status.APPROVED,), Status.SUBMITTED, (Role.CLIENT,)),
        Step("suspended", (Status.APPROVED,), Status.SUSPENDED, (Role.OPERATOR,), needs_reason=True),
        Step("resumed", (Status.SUSPENDED,), Status.APPROVED, (Role.OPERATOR,)),
        Step("retired", _LIVING, Status.RETIRED, (Role.OWNER, Role.OPERATOR, Role.CLIENT)),
    )
}
# What each step is called while it has not been taken.
WORDS = {
    "submitted": "submit",
    "withdrawn": "withdraw",
    "returned": "ask for changes to",
    "approved": "approve",
    "declined": "decline",
    "reviewed_again": "review",
    "suspended": "suspend",
    "resumed": "resume",
    "retired": "retire",
}


def possible_steps(client: Client, role: Role) -> tuple[str, ...]:
    """Return the steps somebody of that role may take with the client as it is now."""
    return tuple(step.name for step in STEPS.values() if client.status in step.sources and role in step.roles)


def take_step(client_id: str, name: str, *, by: Actor, context: RequestContext, reason: str = "") -> Client:
    """Take one step of a client's way and return the client as it is then, locked by the caller's transaction, if any.

    `reason` is for the owner to read.  Raises NotPossible: from this state nobody can, or the reason is missing.
    """
    step = STEPS[name]
    reason = reason.strip()
    with transaction.atomic():
        client = Client.objects.select_for_update().get(client_id=client_id)
        if client.status not in step.sources or by.role not in step.roles:
            raise NotPossible(
                f"lifecycle.{name}",
                f"nobody can {WORDS[name]} a client that is {client.status}",
                seen=client.status,
                fix="Load the page again: somebody else was faster.",
            )
        if step.needs_reason and not reason:
            raise NotPossible(
                "lifecycle.reason", f"it takes a reason to {WORDS[name]} a client", fix="Say why; the owner reads it."
            )
        _move(client, step)
        note_event(client, name, by=by, context=context, reason=reason)
        if step.target in (Status.SUSPENDED, Status.RETIRED):
            client_stopped.send(Client, client_id=client.client_id, role=by.role, context=context)
    return client


def note_event(
    client: Client, act: str, *, by: Actor, context: RequestContext, reason: str = "", tenant: str = ""
) -> None:
    """Write what happened to a client where its owner reads it and into the audit trail, in the transaction of it."""
    ClientEvent.objects.create(
        client=client, act=act, actor=by.role, user_id=by.user, tenant=tenant, reason=reason, status=client.status
    )
    action = "administer" if by.role == Role.OPERATOR else "register"
    rule = f"activation.{act}" if tenant else f"client.{act}"
    details = {"status": str(client.status)} | ({"reason": reason} if reason else {})
    record_now(
        context,
        AuditEvent(action, rule=rule, client_id=client.client_id, tenant=tenant, user=by.user, details=details),
    )


def _move(client: Client, step: Step) -> None:
    client.status = step.target
    fields = ["status", "updated"]
    if step.name == "reviewed_again":
        client.is_operator_verified = False
        fields.append("is_operator_verified")
    if step.target == Status.RETIRED:
        client.registration_access_token = ""
        fields.append("registration_access_token")
        client.activations.update(is_active=False)
    client.save(update_fields=fields)
