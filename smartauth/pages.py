"""Pages that belong to no other part: the landing page, signing in, and error pages."""

from typing import Any
from urllib.parse import urlencode

from allauth.account.views import LoginView, LogoutView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse

from clients.tenants import find_default_tenant
from smartauth import endpoints
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal
from smartauth.receipts.recording import record


def site(request: HttpRequest) -> dict[str, Any]:
    """Give every template the mode, so that a sandbox says so on every page."""
    return {"is_sandbox": config().is_sandbox, "trace_id": str(context_of(request).trace_id)}


def landing(request: HttpRequest) -> HttpResponse:
    """Say what this server is and where its documents are."""
    tenant = find_default_tenant()
    documents = [("Public keys", endpoints.jwks_uri())]
    if tenant is not None:
        documents = [
            ("SMART configuration", f"{tenant.fhir_base}/.well-known/smart-configuration"),
            ("Capability statement", f"{tenant.fhir_base}/metadata"),
            *documents,
        ]
    return render(request, "landing.html", {"tenant": tenant, "documents": documents})


sign_in = LoginView.as_view(template_name="account/login.html")
sign_out = LogoutView.as_view(template_name="account/logout.html")


def admin_login(request: HttpRequest) -> HttpResponse:
    """Send the administrator to the one sign-in there is."""
    if request.user.is_authenticated:  # Signed in, but not as staff: another sign-in would not help.
        return forbidden(request)
    return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': request.GET.get('next', '/admin/')})}")


def to_admin(request: HttpRequest) -> HttpResponse:
    """Accept the address without its last slash."""
    return HttpResponseRedirect("/admin/")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that cannot be read."""
    return _error(request, 400, "This request cannot be understood", "Something in the address or the form is wrong.")


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponse:
    """Answer a request that is not allowed."""
    return _error(request, 403, "You may not see this page", "Sign in as someone who may, or go back.")


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request for nothing."""
    return _error(request, 404, "There is no such page", "Check the address, or start at the front page.")


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after our own mistake: one fixed sentence; the traceback stays with us."""
    return _error(
        request, 500, "The server made a mistake", "Please try again; if it happens again, tell us the number."
    )


def _error(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    if status != 500:  # The page shows a trace id, so it must lead somewhere; a bug is in the log.
        context_of(request).endpoint = "page"
        record(context_of(request), status=status, error="page", refusal=Refusal(f"page.{status}", title))
    return render(request, "error.html", {"title": title, "advice": advice}, status=status)
