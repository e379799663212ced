"""What belongs to a person here: how they sign in, and where the rest is."""

from typing import Any

from allauth.account.views import PasswordChangeView
from allauth.mfa.models import Authenticator
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone

from smartauth.conf import config
from smartauth.context import context_of
from smartauth.people.changes import recent
from smartauth.people.connected import connected_apps
from smartauth.people.models import UpstreamIdentity
from smartauth.people.upstream.asking import provider_name
from smartauth.people.upstream.proofs import last_proof


@login_required
def my_account(request: HttpRequest) -> HttpResponse:
    """Say how this person signs in, and lead to what they may change."""
    context_of(request).endpoint = "page"
    kinds = list(Authenticator.objects.filter(user=request.user).values_list("type", flat=True))
    idp = config().upstream_idp
    linked = idp and UpstreamIdentity.objects.filter(user=request.user, issuer=idp.issuer).exists()
    now = timezone.now()
    connections = [app.connections for app in connected_apps(request.user.pk, now=now)]
    facts: dict[str, Any] = {
        "passkeys": kinds.count(Authenticator.Type.WEBAUTHN),
        "has_app": Authenticator.Type.TOTP in kinds,
        "upstream_name": provider_name(idp) if idp and linked else "",
        "proven_at": last_proof(request).auth_time,
        # SMART 2.2 best-practices: people are reminded of apps that act without them.
        "offline_apps": sum(any(one.stays == "offline" and one.is_live for one in app) for app in connections),
        "unasked_apps": sum(any(one.is_unasked for one in app) for app in connections),
        "changes": recent(request.user.pk, now=now),
    }
    return render(request, "account/my_account.html", facts)


class ChangePassword(PasswordChangeView):
    """The page for a new password, for people who have an old one: the rest sign in elsewhere."""

    template_name = "account/password_change.html"
    success_url = "/account/"


@login_required
def change_password(request: HttpRequest) -> HttpResponse:
    """Take a new password from somebody who knows the old one. Whatever was granted under that ends."""
    context_of(request).endpoint = "page"
    if not request.user.has_usable_password():
        return redirect("my_account")
    response: HttpResponse = ChangePassword.as_view()(request)
    return response
