"""Making a new secret for an app and ending the one before. A new one is on the very page that made it, once."""

from datetime import timedelta

from django.contrib import messages
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from clients.acting import owner
from clients.client_secrets import LONGEST_OVERLAP, issue_secret, withdraw_previous
from clients.models import Client
from clients.portal import once
from clients.portal.access import portal_page
from clients.portal.client_page import own_client, show_client
from smartauth.context import context_of


@portal_page("POST")
def new_secret(request: HttpRequest, client_id: str) -> HttpResponse:
    """Make a secret and show it. `former=ends`: the one before ends at once; else it stays good for a month."""
    client = own_client(request, client_id)
    with transaction.atomic():
        Client.objects.select_for_update().get(pk=client.pk)  # Of one form that comes twice at once, one goes first.
        done = once.find(request) or _make_secret(request, client.client_id)
    return show_client(request, own_client(request, client_id), secret=done.secret)


@portal_page("POST")
def end_former_secret(request: HttpRequest, client_id: str) -> HttpResponse:
    """End the secret before the current one now."""
    client = own_client(request, client_id)
    withdraw_previous(client.client_id, by=owner(int(request.user.pk)), context=context_of(request))
    messages.success(request, "The former secret is good no more.", extra_tags="portal")
    return HttpResponseRedirect(reverse("client_page", args=[client.client_id]))


def _make_secret(request: HttpRequest, client_id: str) -> once.Done:
    overlap = timedelta(0) if request.POST.get("former") == "ends" else LONGEST_OVERLAP
    user, now = owner(int(request.user.pk)), timezone.now()
    issued = issue_secret(client_id, by=user, context=context_of(request), now=now, overlap=overlap)
    done = once.Done(client_id, issued.secret)
    once.keep(request, done)
    return done
