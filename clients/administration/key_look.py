"""Looking at a client's keys now, before it is approved: what `check_jwks` says, on a page."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.jwks_report import JwksReport, report_keys
from clients.models import Client
from clients.trial_fetch import trial
from smartauth.administration.pages import page, staff_page
from smartauth.conf import config


# By POST: a link somebody sends round must not make this server fetch anything.
@staff_page("clients.change_client", "POST")
def look_at_keys(request: HttpRequest, pk: int) -> HttpResponse:
    """Fetch the key set of a client once, or look at its registered keys; nothing is stored."""
    client = get_object_or_404(Client, pk=pk)
    if client.client_jwks_uri:
        report = trial(client.client_jwks_uri, timezone.now())
    elif client.client_jwks:
        entries = client.client_jwks.get("keys", [])
        report = JwksReport((), tuple(report_keys(entries, config().assertion_algorithms)))
    else:
        raise Http404
    name, here = client.name or client.client_id, reverse("admin:clients_client_page", args=[client.pk])
    trail = (("Clients", reverse("admin:clients_client_changelist")), (name, here))
    facts = {"client": client, "report": report}
    return page(request, "admin/clients/key_look.html", f"Test of the keys of {name}", trail=trail, **facts)
