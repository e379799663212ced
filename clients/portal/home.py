"""The first page of the portal: the apps of the person signed in, and what to do next."""

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from clients.models import Client, Draft
from clients.portal.access import portal_page


@portal_page("GET")
def home(request: HttpRequest) -> HttpResponse:
    """Show drafts and apps."""
    drafts = Draft.objects.filter(owner=request.user).order_by("-changed_at")
    clients = Client.objects.filter(user=request.user).order_by("-created")
    return render(request, "developers/home.html", {"drafts": drafts, "clients": clients})
