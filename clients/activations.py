"""Where an approved client works: each tenant switches it on for itself, for at most the scopes it allows.

The database leaves a mark with every change here, so every worker knows within a second.
"""

from django.db import transaction
from django.utils import timezone

from clients.acting import Actor, NotPossible
from clients.lifecycle import note_event
from clients.models import Activation, Client
from clients.tenants import TenantInfo
from smartauth.context import RequestContext
from smartauth.errors import InvalidScope
from smartauth.policy.scopes import parse_scope, split_scope


def request_activation(client: Client, tenant: TenantInfo, *, by: Actor, context: RequestContext) -> Activation:
    """Let a tenant find the client waiting. Nothing changes where it is active or waits already.

    Raises NotPossible for a client that is retired.
    """
    with transaction.atomic():
        if client.status == Client.Status.RETIRED:
            raise NotPossible("activation.retired", "the client is retired", fix="Register another client.")
        activation, is_new = Activation.objects.select_for_update().get_or_create(
            client=client, tenant_id=tenant.pk, defaults={"is_active": False}
        )
        if is_new or _asks_again(activation):
            activation.decided_at = None
            activation.save(update_fields=["decided_at"])
            note_event(client, "requested", by=by, context=context, tenant=tenant.slug)
    return activation


def activate(
    client: Client, tenant: TenantInfo, *, allowed_scope: str, by: Actor, context: RequestContext, note: str = ""
) -> Activation:
    """Switch a client on at a tenant for at most `allowed_scope`; "" stands for its whole registration.

    The client need not be approved yet: it works once both hold. Raises NotPossible for a retired client, and for a
    scope that cannot be read.
    """
    for scope in split_scope(allowed_scope):
        _require_readable(scope)
    return _decide(client, tenant, True, allowed_scope, by=by, context=context, note=note)


def deactivate(client: Client, tenant: TenantInfo, *, by: Actor, context: RequestContext, note: str) -> Activation:
    """Switch a client off at a tenant, or decline to switch it on. Its tokens there stop within a second.

    Raises NotPossible without a `note` that says why.
    """
    if not note.strip():
        raise NotPossible("activation.reason", "it takes a reason", fix="Say why; the owner of the client reads it.")
    return _decide(client, tenant, False, None, by=by, context=context, note=note)


def _decide(
    client: Client,
    tenant: TenantInfo,
    is_active: bool,
    allowed_scope: str | None,
    *,
    by: Actor,
    context: RequestContext,
    note: str,
) -> Activation:
    with transaction.atomic():
        locked = Client.objects.select_for_update().get(pk=client.pk)
        if is_active and locked.status == Client.Status.RETIRED:
            raise NotPossible("activation.retired", "the client is retired", fix="The partner registers another one.")
        activation, _ = Activation.objects.get_or_create(
            client=locked, tenant_id=tenant.pk, defaults={"is_active": False}
        )
        activation.is_active, activation.decided_at, activation.note = is_active, timezone.now(), note.strip()
        if allowed_scope is not None:
            activation.allowed_scope = " ".join(split_scope(allowed_scope))
        activation.save()
        act = "activated" if is_active else "deactivated"
        note_event(locked, act, by=by, context=context, reason=note.strip(), tenant=tenant.slug)
    return activation


def _asks_again(activation: Activation) -> bool:
    """Return True for one that was switched off: asking again puts it back among those that wait."""
    return not activation.is_active and activation.decided_at is not None


def _require_readable(scope: str) -> None:
    try:
        parse_scope(scope)
    except InvalidScope as error:
        raise NotPossible(
            "activation.scope", error.refusal.reason, seen=scope[:100], fix="Correct the scope or leave it out."
        ) from None
