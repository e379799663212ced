"""Whether an app works at a hospital at this moment, condition by condition."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from clients.portal.access import find_own_client, not_yours, portal_page
from clients.probes import probe
from clients.tenants import find_tenant


@portal_page("GET")
def probe_page(request: HttpRequest, client_id: str, tenant: str) -> HttpResponse:
    """Look now, and show every condition with what was found."""
    client, where = find_own_client(request.user, client_id), find_tenant(tenant)
    if client is None or where is None or not client.activations.filter(tenant_id=where.pk).exists():
        raise not_yours("app at that hospital")
    found = probe(client.client_id, where, now=timezone.now())
    return render(request, "developers/probe.html", {"client": client, "tenant": where, "probe": found})
