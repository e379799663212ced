"""The page of one app: who it is, where it works, what it may do, what happened to it, and how to call it."""

from datetime import datetime
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone

from clients.acting import owner
from clients.app_kinds import KINDS, kind_of
from clients.changes import differences_of, withdraw_change
from clients.client_secrets import LONGEST_OVERLAP
from clients.key_card import key_card
from clients.lifecycle import possible_steps, take_step
from clients.models import WITH_SECRET, ChangeRequest, Client, ClientEvent
from clients.portal import once
from clients.portal.access import find_own_client, not_yours, portal_page
from clients.portal.next_steps import next_steps
from clients.portal.wordings import ACTS, STATES
from clients.recent_requests import recent_requests
from clients.snippets import first_read, snippets
from clients.tenants import find_tenant
from smartauth.conf import config
from smartauth.context import context_of

MOST_EVENTS = 50
MOST_REQUESTS = 20
# Steps the owner takes by a button here; submitting goes through the draft.
BUTTONS = frozenset({"withdrawn", "retired"})


@portal_page("GET")
def client_page(request: HttpRequest, client_id: str) -> HttpResponse:
    """Show an app of the person signed in."""
    return show_client(request, own_client(request, client_id))


@portal_page("POST")
def take_client_step(request: HttpRequest, client_id: str, name: str) -> HttpResponse:
    """Withdraw what was submitted, or retire the app, as its owner."""
    client = own_client(request, client_id)
    if name not in BUTTONS:
        raise not_yours("app")
    take_step(client.client_id, name, by=owner(int(request.user.pk)), context=context_of(request))
    return HttpResponseRedirect(reverse("client_page", args=[client.client_id]))


@portal_page("POST")
def withdraw_client_change(request: HttpRequest, client_id: str) -> HttpResponse:
    """Take back the change that waits."""
    client = own_client(request, client_id)
    withdraw_change(client.client_id, by=owner(int(request.user.pk)), context=context_of(request))
    return HttpResponseRedirect(reverse("client_page", args=[client.client_id]))


def show_client(request: HttpRequest, client: Client, *, secret: str = "") -> HttpResponse:
    """Render the page.  secret: in clear, when it was made by this very request; it is never shown again."""
    activations = list(client.activations.select_related("tenant").order_by("tenant__slug"))
    usable = [one for one in activations if one.is_active] or activations
    tenant = find_tenant(usable[0].tenant.slug) if usable else None
    now, ends_at = timezone.now(), client.previous_client_secret_expires_at
    steps = possible_steps(client, ClientEvent.Actor.OWNER)
    page: dict[str, Any] = {
        "client": client,
        "kind": KINDS[kind_of(client)],
        "state": STATES[client.status],
        "secret": secret,
        "has_secret": client.token_endpoint_auth_method in WITH_SECRET,
        "scopes": client.scope.split(),
        "activations": activations,
        "next_steps": next_steps(client, activations),
        "can_revise": client.status in (Client.Status.DRAFT, Client.Status.DECLINED, Client.Status.APPROVED),
        "can_withdraw": "withdrawn" in steps,
        "can_retire": "retired" in steps,
        "changes": [(one, differences_of(one)) for one in client.change_requests.order_by("-requested_at")[:5]],
        "open_state": ChangeRequest.State.OPEN,
        "events": [(one, ACTS.get(one.act, one.act)) for one in client.events.all()[:MOST_EVENTS]],
        "requests": recent_requests(client.client_id, limit=MOST_REQUESTS),
        "card": key_card(client, now),
        "secret_ends_at": client.client_secret_expires_at,
        "has_former_secret": bool(client.previous_client_secret) and _is_ahead(ends_at, now),
        "former_secret_ends_at": ends_at,
        "overlap_days": LONGEST_OVERLAP.days,
        "tenant": tenant,
        "snippets": snippets(client, tenant) if tenant is not None else (),
        "first_read": first_read(client, tenant) if tenant is not None and usable[0].is_active else None,
        "is_sandbox_mode": config().is_sandbox,
        "form": once.new_form(),
    }
    return render(request, "developers/client.html", page)


def _is_ahead(moment: datetime | None, now: datetime) -> bool:
    return moment is None or moment > now


def own_client(request: HttpRequest, client_id: str) -> Client:
    """Return an app of the person signed in. Raises PageRefused: not told apart from none at all."""
    client = find_own_client(request.user, client_id)
    if client is None:
        raise not_yours("app")
    return client
