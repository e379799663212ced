"""Where an approved client works: each tenant switches it on for itself, for at most the scopes it allows.

The database leaves a mark with every change here, so every worker knows within a second.
"""

from datetime import datetime
from types import EllipsisType

from django.db import transaction
from django.utils import timezone

from clients.acting import Actor, NotPossible, read_reason, require_other, require_role
from clients.lifecycle import note_event
from clients.models import Activation, AuthMethod, Client, ClientEvent
from clients.tenants import TenantInfo
from smartauth.context import RequestContext
from smartauth.errors import InvalidScope
from smartauth.policy.scopes import parse_scope, split_scope

Role = ClientEvent.Actor
DECIDERS = (Role.OPERATOR, Role.SERVER)
# As it was when somebody looked, where they did not say: any state is meant.
ANY_STATE: EllipsisType = ...
Seen = datetime | EllipsisType | None


def request_activation(client: Client, tenant: TenantInfo, *, by: Actor, context: RequestContext) -> Activation:
    """Let a tenant find the client waiting. Nothing changes where it is active or waits already.

    Raises NotPossible for a client that is retired.
    """
    with transaction.atomic():
        locked = _locked(client, "Register another client.")
        activation, is_new = Activation.objects.get_or_create(
            client=locked, tenant_id=tenant.pk, defaults={"is_active": False}
        )
        if is_new or _asks_again(activation):
            activation.decided_at = None
            activation.save(update_fields=["decided_at"])
            note_event(locked, "requested", by=by, context=context, tenant=tenant.slug)
    return activation


def activate(
    client: Client,
    tenant: TenantInfo,
    *,
    allowed_scope: str,
    by: Actor,
    context: RequestContext,
    note: str = "",
    seen: Seen = ANY_STATE,
    skips_consent: bool = False,
) -> Activation:
    """Switch a client on at a tenant for at most `allowed_scope`; "" stands for its whole registration.

    The client need not be approved yet: it works once both hold.    seen: `decided_at` as whoever decides saw it.
    skips_consent: clinicians whom an EHR launches are not asked; it takes a client that proves who it is, and a scope.
    Raises NotPossible for a retired client, one of their own, for a scope that cannot be read, and where somebody else
    was faster.
    """
    require_role(by, DECIDERS, "activation.role", "activate a client")
    if skips_consent and (why := unfit_to_skip(client, allowed_scope)):
        raise NotPossible("activation.skips_consent", why, fix="Let people be asked, or mend that first.")
    for scope in split_scope(allowed_scope):
        _require_readable(scope)
    note = read_reason(note, "activation.reason", "activate a client", needed=False)
    with transaction.atomic():
        locked = _locked(client, "The partner registers another one.")
        require_other(by, locked.user_id, "activation.own", "activate a client")
        activation = _seen(locked, tenant, seen)
        wanted = (True, " ".join(split_scope(allowed_scope)), skips_consent)
        found = (activation.is_active, activation.allowed_scope, activation.skips_consent)
        if found == wanted and note in ("", activation.note):
            raise _decided("the client is active there for just that already")
        activation.is_active, activation.allowed_scope, activation.skips_consent = wanted
        _keep(activation, note)
        note_event(locked, "activated", by=by, context=context, reason=note, tenant=tenant.slug)
    return activation


def unfit_to_skip(client: Client, allowed_scope: str) -> str:
    """Say why nobody may be let into a client unasked, or return ""."""
    if client.token_endpoint_auth_method == AuthMethod.NONE:
        return "a client that cannot prove who it is never goes without consent"
    if not allowed_scope.strip():
        return "only scopes that are written down at the tenant go without consent: choose them under Only these"
    return ""


def deactivate(
    client: Client,
    tenant: TenantInfo,
    *,
    by: Actor,
    context: RequestContext,
    note: str,
    seen: Seen = ANY_STATE,
) -> Activation:
    """Switch a client off at a tenant, or decline to switch it on. Its tokens there stop within a second.

    Its owner may do it, too.    seen: `decided_at` as whoever decides saw it.
    Raises NotPossible without a `note` that says why, and where it is off already or somebody else was faster.
    """
    require_role(by, (*DECIDERS, Role.OWNER), "activation.role", "deactivate a client")
    note = read_reason(note, "activation.reason", "deactivate a client", needed=True)
    with transaction.atomic():
        locked = Client.objects.select_for_update().get(pk=client.pk)
        activation = _seen(locked, tenant, seen)
        if not activation.is_active and activation.decided_at is not None:
            raise _decided("the client is switched off there already")
        activation.is_active = False
        _keep(activation, note)
        note_event(locked, "deactivated", by=by, context=context, reason=note, tenant=tenant.slug)
    return activation


def _locked(client: Client, fix: str) -> Client:
    """Return the client as it is now. Its lock comes before that of anything that belongs to it, everywhere."""
    locked = Client.objects.select_for_update().get(pk=client.pk)
    if locked.status == Client.Status.RETIRED:
        raise NotPossible("activation.retired", "the client is retired", fix=fix)
    return locked


def _seen(client: Client, tenant: TenantInfo, seen: Seen) -> Activation:
    """Return the activation, a new one where there was none. Raises NotPossible if it was decided about meanwhile."""
    activation, _ = Activation.objects.get_or_create(client=client, tenant_id=tenant.pk, defaults={"is_active": False})
    if not isinstance(seen, EllipsisType) and activation.decided_at != seen:
        raise _decided("somebody else has decided meanwhile")
    return activation


def _decided(reason: str) -> NotPossible:
    return NotPossible("activation.decided", reason, fix="Load the page again.")


def _keep(activation: Activation, note: str) -> None:
    activation.decided_at, activation.note = timezone.now(), note
    activation.save()


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
