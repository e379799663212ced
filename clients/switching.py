"""Switching a client on or off at a tenant by somebody who has looked at how it stands.

Whoever decides has seen one state of it; when it is another by then, nothing is decided.
"""

from django.db import transaction

from clients.acting import Actor, NotPossible
from clients.activations import activate, deactivate
from clients.models import Activation, Client
from clients.tenants import TenantInfo
from smartauth.context import RequestContext


def version_of(activation: Activation | None) -> str:
    """Return what stands for exactly this state of an activation, also of one that does not exist."""
    if activation is None:
        return "never asked for"
    decided_at = activation.decided_at.isoformat() if activation.decided_at else "undecided"
    return f"{'on' if activation.is_active else 'off'} {decided_at}"


def switch(
    client: Client,
    tenant: TenantInfo,
    *,
    allowed_scope: str | None,
    note: str,
    seen: str,
    by: Actor,
    context: RequestContext,
) -> Activation:
    """Switch `client` on at `tenant` for at most `allowed_scope` ("" for its whole registration), or off (None).

    seen: the version that was looked at.    note: for the owner to read; needed to switch off.
    Raises NotPossible.
    """
    with transaction.atomic():
        Client.objects.select_for_update().get(pk=client.pk)
        activation = Activation.objects.filter(client=client, tenant_id=tenant.pk).first()
        if version_of(activation) != seen:
            raise NotPossible(
                "activation.changed", "somebody decided about it since you looked", fix="Look again, then decide."
            )
        if allowed_scope is None:
            return deactivate(client, tenant, by=by, context=context, note=note)
        return activate(client, tenant, allowed_scope=allowed_scope, by=by, context=context, note=note)
