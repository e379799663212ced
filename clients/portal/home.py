"""The first page of the portal: the apps of the person signed in, and what to do next."""

from django.db.models import Prefetch
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from clients.app_kinds import KINDS, kind_of
from clients.key_card import key_card
from clients.models import Activation, AuthMethod, Client, Draft
from clients.portal.access import portal_page
from clients.portal.next_steps import next_steps
from clients.portal.wordings import STATES
from clients.recent_requests import ENDPOINTS
from smartauth.receipts.models import Receipt

SIGNS = AuthMethod.PRIVATE_KEY_JWT
MOST_FAILURES = 5
MOST_CARDS = 10  # apps whose keys are looked at; a card costs five statements


@portal_page("GET")
def home(request: HttpRequest) -> HttpResponse:
    """Show drafts and apps, what to do next with each, and what was refused lately."""
    drafts = Draft.objects.filter(owner=request.user).select_related("client").order_by("-changed_at")
    activations = Activation.objects.select_related("tenant").order_by("tenant__slug")
    clients = list(
        Client.objects.filter(user=request.user)
        .prefetch_related(Prefetch("activations", activations))
        .order_by("-created")
    )
    living = [one for one in clients if one.status != Client.Status.RETIRED]
    page = {
        "drafts": [(one, KINDS[one.kind]) for one in drafts],
        "apps": [_entry(one, with_keys=count < MOST_CARDS) for count, one in enumerate(living)],
        "retired": [one for one in clients if one.status == Client.Status.RETIRED],
        "failures": _failures(clients),
        "kinds": KINDS.values(),
    }
    return render(request, "developers/home.html", page)


def _entry(client: Client, *, with_keys: bool) -> dict[str, object]:
    activations = list(client.activations.all())
    return {
        "client": client,
        "kind": KINDS[kind_of(client)],
        "state": STATES[client.status],
        "activations": activations,
        "card": key_card(client) if with_keys and client.token_endpoint_auth_method == SIGNS else None,
        "next_steps": next_steps(client, activations),
    }


def _failures(clients: list[Client]) -> list[tuple[Receipt, str]]:
    """Return the last refusals of these clients with the name of each."""
    names = {one.client_id: one.name for one in clients}
    refused = Receipt.objects.filter(client_id__in=names, endpoint__in=ENDPOINTS)
    found = refused.order_by("-at")[:MOST_FAILURES] if names else ()
    return [(one, names[one.client_id]) for one in found]
