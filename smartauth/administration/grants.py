"""What a client was granted, on its page, and the page that ends all of it."""

from django.contrib import messages
from django.db.models import Count, Max
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils import timezone

from clients.administration.panels import Panel, on_the_client_page
from clients.models import Client
from smartauth import tokens
from smartauth.administration.pages import page, staff_page
from smartauth.context import context_of
from smartauth.models import AccessToken, Authorization

REVOKE = "smartauth.change_authorization"


@on_the_client_page
def authorizations(request: HttpRequest, client: Client) -> Panel | None:
    """Count what was granted and is alive, by tenant. No token is on the page: none is stored."""
    if not request.user.has_perm("smartauth.view_authorization"):
        return None
    alive = Authorization.objects.filter(client=client, revoked_at__isnull=True)
    by_tenant = alive.order_by("tenant__slug").values_list("tenant__slug")
    facts = {
        "by_tenant": list(by_tenant.annotate(Count("pk"), Count("user", distinct=True), Max("created_at"))),
        "tokens": AccessToken.objects.filter(
            application=client, revoked_at__isnull=True, expires__gt=timezone.now()
        ).count(),
        "list": f"{reverse('admin:smartauth_authorization_changelist')}?client__id__exact={client.pk}",
        "revoke": reverse("admin:smartauth_revoke_client", args=[client.pk]) if request.user.has_perm(REVOKE) else "",
    }
    return Panel("authorizations", "Authorizations", "admin/smartauth/authorizations.html", facts)


@staff_page(REVOKE, "GET", "POST")
def revoke_client(request: HttpRequest, pk: int) -> HttpResponse:
    """End everything a client was granted; it may be granted anew."""
    client = get_object_or_404(Client, pk=pk)
    name, here = client.name or client.client_id, reverse("admin:clients_client_page", args=[client.pk])
    if request.method == "POST":
        count = tokens.revoke_all(
            client_id=client.client_id,
            by="administrator",
            now=timezone.now(),
            context=context_of(request),
            administrator=request.user.pk,
        )
        messages.success(request, f"{name}: {count} authorizations are revoked; their tokens stop within a second.")
        back = here if request.user.has_perm("clients.view_client") else reverse("admin:index")
        return HttpResponseRedirect(back)
    alive = Authorization.objects.filter(client=client, revoked_at__isnull=True).count()
    facts = {"client": client, "alive": alive, "here": here}
    trail = ((name, here),)
    return page(request, "admin/smartauth/revoke_client.html", f"Revoke everything of {name}?", trail=trail, **facts)
