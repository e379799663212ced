"""The way of a client: draft, submitted, approved or declined, suspended, retired. Each step says who took it and why.

A client in any state but approved can do nothing. Stopping one ends what was granted to it: the server behind the
registry listens to `client_stopped`, in the transaction of the step.
Source: SMART 2.2 app-launch, "Register App with EHR"; RFC 7592 §2.3; RFC 9700 §4.14.
"""

from dataclasses import dataclass

from django.db import transaction
from django.dispatch import Signal
from django.utils import timezone

from clients.acting import Actor, NotPossible, read_reason, require_other, require_role
from clients.models import ChangeRequest, Client, ClientEvent
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


def take_step(
    client_id: str, name: str, *, by: Actor, context: RequestContext, reason: str = "", seen: str | None = None
) -> Client:
    """Take one step of a client's way and return the client as it is then, locked by the caller's transaction, if any.

    reason: for the owner to read.    seen: the state in which whoever takes the step saw the client; another one by now
    refuses, so that nobody approves over the head of somebody who has just declined.
    Raises NotPossible: from this state nobody can, somebody of this role never can, the client is their own, or the
    reason is missing.
    """
    step, what = STEPS[name], f"{WORDS[name]} a client"
    require_role(by, step.roles, "lifecycle.role", what)
    reason = read_reason(reason, "lifecycle.reason", what, needed=step.needs_reason)
    with transaction.atomic():
        # No key, so that tokens of the client can be written meanwhile: whoever writes one holds what is ended below.
        client = Client.objects.select_for_update(no_key=True).get(client_id=client_id)
        _require_possible(client, step, seen)
        if step.target == Status.APPROVED:
            require_other(by, client.user_id, "lifecycle.own", what)
        _move(client, step)
        note_event(client, name, by=by, context=context, reason=reason)
        if step.target in (Status.SUSPENDED, Status.RETIRED):
            client_stopped.send(Client, client_id=client.client_id, role=by.role, context=context)
    return client


def _require_possible(client: Client, step: Step, seen: str | None) -> None:
    if client.status not in step.sources:
        reason = f"nobody can {WORDS[step.name]} a client that is {client.status}"
    elif seen not in (None, client.status):
        reason = f"the client is {client.status} by now, not {seen}"
    else:
        return
    fix = "Load the page again: somebody else was faster."
    raise NotPossible(f"lifecycle.{step.name}", reason, seen=client.status, fix=fix)


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
        # Nobody has anything to decide about it any more.
        client.activations.update(is_active=False, decided_at=timezone.now())
        client.change_requests.filter(state=ChangeRequest.State.OPEN).update(
            state=ChangeRequest.State.WITHDRAWN, decided_at=timezone.now()
        )
    client.save(update_fields=fields)
