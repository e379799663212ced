"""Changes of registered clients: applied at once where they give nothing more, else kept until somebody decides.

While a change waits the client goes on as it was approved.
"""

from typing import Any

from django.db import transaction
from django.utils import timezone

from clients.acting import BY_ITSELF, Actor, NotPossible, read_reason, require_other, require_role
from clients.client_secrets import OWNERS_LIFETIME
from clients.differences import Difference, differences, merged
from clients.inline_keys import remind_of_new_keys
from clients.lifecycle import note_event
from clients.metadata import ClientMetadata, InvalidClientMetadata
from clients.models import ChangeRequest, Client, ClientEvent
from clients.registration import apply_metadata, describe_metadata, rewrite_client
from clients.widening import require_no_less_proof, widened
from smartauth.conf import config
from smartauth.context import RequestContext

State, Role = ChangeRequest.State, ClientEvent.Actor


def request_change(
    client_id: str, metadata: dict[str, Any], *, by: Actor, context: RequestContext
) -> tuple[Client, ChangeRequest | None, str | None]:
    """Change an approved client, or keep the change until an operator decides, where it widens what was approved.

    metadata: all of it, as it shall be. A request that waits already is replaced. Return the client, the request that
    waits now (None when everything is in force), and a new secret where the client needs its first one.
    In the sandbox everything is in force at once, and the trail says that a hospital would have decided.
    Raises NotPossible unless the client is approved, and InvalidClientMetadata.
    """
    with transaction.atomic():
        client = Client.objects.select_for_update().get(client_id=client_id)
        if client.status != Client.Status.APPROVED:
            raise NotPossible(
                "change.not_approved",
                "only an approved client is changed like this",
                seen=client.status,
                fix="Load the page again: somebody decided about the client meanwhile.",
            )
        wanted = ClientMetadata.from_json(metadata, operator=False)
        require_no_less_proof(client, wanted)
        client.change_requests.filter(state=State.OPEN).update(state=State.WITHDRAWN, decided_at=timezone.now())
        before = describe_metadata(client)
        wide = widened(client, wanted)
        if not wide or config().is_sandbox:
            secret = rewrite_client(client, wanted, secret_expires_at=timezone.now() + OWNERS_LIFETIME)
            note_event(client, "changed", by=by, context=context, reason=_named(before, client, wide))
            remind_of_new_keys(client, before.get("jwks"), context=context)
            if wide:
                reason = "The sandbox approves by itself; elsewhere the hospital decides."
                note_event(client, "change_approved", by=BY_ITSELF, context=context, reason=reason)
            return client, None, secret
        request = ChangeRequest.objects.create(client=client, before=before, wanted=_in_full(wanted))
        note_event(client, "change_requested", by=by, context=context, reason=", ".join(wide))
    return client, request, None


def decide_change(
    request_pk: int, *, approve: bool, by: Actor, context: RequestContext, reason: str = ""
) -> ChangeRequest:
    """Put a waiting change in force, or decline it with a reason.

    What is put in force is what the request changes; everything else stays as it is by now.
    Raises NotPossible when it waits no more or a reason is missing, and InvalidClientMetadata when the rules have
    changed since it was asked for.
    """
    require_role(by, (Role.OPERATOR, Role.SERVER), "change.role", "decide about a change")
    reason = read_reason(reason, "change.reason", "decline a change", needed=not approve)
    with transaction.atomic():
        # The client's lock comes first, here as everywhere: who waits for the other's second lock waits for ever.
        asked_by = ChangeRequest.objects.values_list("client_id", flat=True).get(pk=request_pk)
        client = Client.objects.select_for_update().get(pk=asked_by)
        request = ChangeRequest.objects.select_for_update().get(pk=request_pk)
        if request.state != State.OPEN:
            fix = "Load the page again: somebody else was faster, or it was withdrawn."
            raise NotPossible("change.decided", "the change waits no more", seen=request.state, fix=fix)
        if approve:
            require_other(by, client.user_id, "change.own", "approve a change")
            keys, wanted = client.client_jwks, _wanted_now(client, request)
            require_no_less_proof(client, wanted)
            # A secret the client would need now is the owner's to make: it is shown to nobody else.
            rewrite_client(client, wanted)
            remind_of_new_keys(client, keys, context=context)
        request.state = State.APPROVED if approve else State.DECLINED
        request.decided_at, request.reason = timezone.now(), reason
        request.save(update_fields=["state", "decided_at", "reason"])
        act = "change_approved" if approve else "change_declined"
        note_event(client, act, by=by, context=context, reason=reason)
    return request


def withdraw_change(client_id: str, *, by: Actor, context: RequestContext) -> None:
    """Take a waiting change back. Raises NotPossible when none waits."""
    require_role(by, (Role.OWNER, Role.CLIENT), "change.role", "withdraw a change")
    with transaction.atomic():
        client = Client.objects.select_for_update().get(client_id=client_id)
        if not withdraw_waiting(client, by=by, context=context):
            raise NotPossible("change.none", "no change waits", fix="Load the page again.")


def withdraw_waiting(client: Client, *, by: Actor, context: RequestContext) -> bool:
    """Take the change of a locked client back that waits, if one does: something newer takes its place."""
    waiting = client.change_requests.filter(state=State.OPEN)
    if not waiting.update(state=State.WITHDRAWN, decided_at=timezone.now()):
        return False
    note_event(client, "change_withdrawn", by=by, context=context)
    return True


def differences_of(request: ChangeRequest) -> tuple[Difference, ...]:
    """Return what a request changes, compared with the client as it was when it was asked for."""
    client = request.client
    try:
        wide = widened(client, _wanted_now(client, request)) if request.state == State.OPEN else ()
    except InvalidClientMetadata:  # By the rules of today: it can be read and withdrawn, and not be approved.
        wide = tuple(request.wanted)
    return differences(request.before, request.wanted, widening=wide)


def _wanted_now(client: Client, request: ChangeRequest) -> ClientMetadata:
    """Return the client's metadata with what the request changes."""
    whole = merged(describe_metadata(client), request.before, request.wanted)
    return ClientMetadata.from_json(whole, operator=False)


def _in_full(metadata: ClientMetadata) -> dict[str, Any]:
    """Return metadata with every default filled in, as a client that has it is described."""
    client = Client()
    apply_metadata(client, metadata)
    return describe_metadata(client)


def _named(before: dict[str, Any], client: Client, wide: tuple[str, ...]) -> str:
    changed = differences(before, describe_metadata(client), widening=wide)
    return ", ".join(one.label for one in changed) or "nothing"
