"""Everything the hospital knows about one client, on one page, with what can be done about it."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.administration.facts import facts_of, history_of, scopes_in_words
from clients.administration.panels import panels_for
from clients.administration.steps import PAGES
from clients.app_kinds import KINDS, kind_of
from clients.key_card import key_card
from clients.lifecycle import possible_steps
from clients.models import WITH_SECRET, Activation, Client, ClientEvent, Tenant
from clients.registration import describe_metadata
from clients.reviews import find_matter
from clients.risk_hints import Neighbours
from smartauth.administration.pages import page, staff_page
from smartauth.policy.scopes import split_scope
from smartauth.receipts.models import Receipt

MOST_EVENTS = 50
MOST_REFUSALS = 20
MOST_TENANTS = 100


@dataclass(frozen=True, slots=True)
class Place:
    """A tenant, and how the client stands there."""

    tenant: Tenant
    activation: Activation | None

    @property
    def state(self) -> str:
        """Return "on", "waiting", "off", or "" where nobody ever asked."""
        if self.activation is None:
            return ""
        if self.activation.is_active:
            return "on"
        return "off" if self.activation.decided_at else "waiting"


@staff_page("clients.view_client", "GET")
def client_page(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one client."""
    client = get_object_or_404(Client.objects.select_related("user"), pk=pk)
    matter = find_matter(client)
    facts: dict[str, Any] = {
        "client": client,
        "kind": KINDS[kind_of(client)].title,
        "name_warning": Neighbours.load().name_warning(client.pk, client.name),
        "matter": matter,
        "steps": _steps(request, client),
        "facts": facts_of(describe_metadata(client)),
        "scopes": scopes_in_words(split_scope(client.scope)),
        "places": _places(client),
        "panels": panels_for(request, client),
        "events": history_of(client, MOST_EVENTS),
        "reviews": client.reviews.select_related("user")[:MOST_EVENTS],
        "may_edit": request.user.has_perm("clients.change_client"),
        "may_switch": request.user.has_perm("clients.change_activation"),
        "card": key_card(client, timezone.now()) if request.user.has_perm("clients.view_keyset") else None,
        "has_secret": client.token_endpoint_auth_method in WITH_SECRET,
        "refusals": Receipt.objects.filter(client_id=client.client_id).order_by("-at")[:MOST_REFUSALS],
    }
    trail = (("Clients", reverse("admin:clients_client_changelist")),)
    return page(request, "admin/clients/client_page.html", client.name or client.client_id, trail=trail, **facts)


def _steps(request: HttpRequest, client: Client) -> list[tuple[str, str, bool]]:
    """Return what may be done with the client as it is: name, words, and whether it stops the client."""
    if not request.user.has_perm("clients.change_client"):
        return []
    possible = possible_steps(client, ClientEvent.Actor.OPERATOR)
    return [(name, one.button, one.is_grave) for name, one in PAGES.items() if name in possible]


def _places(client: Client) -> list[Place]:
    """Return tenants, those first where somebody asked for the client."""
    known = {one.tenant_id: one for one in client.activations.select_related("tenant").order_by("tenant__slug")}
    others = Tenant.objects.filter(is_active=True).exclude(pk__in=known).order_by("slug")[:MOST_TENANTS]
    return [Place(one.tenant, one) for one in known.values()] + [Place(one, None) for one in others]
