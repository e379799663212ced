"""Telling an app that its authorization request is refused, without being the way to a place nobody vouches for.

Whoever can have an app registered can make us redirect to its address, with any invalid request. So only apps that the
operator has verified are told at once; to others the user goes on, signed in and knowing where.
Source: RFC 9700 §4.11.2; RFC 6749 §4.1.2.1.
"""

import logging
from uuid import UUID

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from clients.registered import RegisteredClient, find_client
from smartauth.browser import (
    PageRefused,
    RedirectToClient,
    ReturnTo,
    browser_page,
    error_url,
    redirect_error,
    told_error,
)
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import OAuthError, Refusal, ServerError
from smartauth.models import RefusedAuthorization
from smartauth.policy import redirects
from smartauth.receipts.recording import record
from smartauth.responses import database_away
from smartauth.skins import tenant_of
from smartauth.views.leading_on import NOTHING_SHARED, START_AGAIN, by_way_of

_log = logging.getLogger(__name__)


def refuse(
    request: HttpRequest, client: RegisteredClient, return_to: ReturnTo, error: OAuthError, *, silent: bool
) -> HttpResponse:
    """Answer an authorization request whose client and redirect URI are proven, and which is refused.

    silent: the app said prompt=none, which forbids every page (OIDC Core §3.1.2.1).
    """
    if _is_told_at_once(client, silent=silent):
        return redirect_error(request, return_to, error)
    context = context_of(request)
    record(context, status=303, error=error.code, refusal=error.refusal)
    code, description = told_error(context, error)
    stored = RefusedAuthorization.objects.create(
        client_id=client.pk,
        tenant=tenant_of(request),
        redirect_uri=return_to.redirect_uri,
        state=return_to.state,
        error=code,
        description=description,
        trace_id=context.trace_id,
        expires_at=timezone.now() + config().pending_lifetime,
    )
    response = redirect("refused", pk=stored.pk)
    response.status_code = 303
    return response


def fail(
    request: HttpRequest, client: RegisteredClient, return_to: ReturnTo, failure: Exception, *, silent: bool
) -> HttpResponse:
    """Tell an app that it is us who failed: a redirect cannot have the status 500 or 503 (RFC 6749 §4.1.2.1).

    Raises `failure` again where the app is not told at once: then the user gets the page for it.
    """
    if not _is_told_at_once(client, silent=silent):
        raise failure
    _log.error("request %s at authorize failed", context_of(request).trace_id, exc_info=failure)
    error: OAuthError = ServerError(Refusal("server.failure", "the server made a mistake"))
    if isinstance(failure, OperationalError | InterfaceError):
        error = database_away()
    return redirect_error(request, return_to, error)


@browser_page("GET", endpoint="refused")
def refused(request: HttpRequest, pk: UUID) -> HttpResponse:
    """Let the user, signed in, go on to an app that was refused.  Source: RFC 9700 §4.11.2."""
    stored = RefusedAuthorization.objects.select_related("client").filter(pk=pk).first()
    if stored is None or stored.expires_at <= timezone.now():
        refusal = Refusal("refused.unknown", "there is no such refused request, or it was long ago")
        raise PageRefused(refusal, title=_("This request is not known here"), advice=START_AGAIN, status=404)
    context_of(request).client_id, context_of(request).tenant = stored.client.client_id, stored.tenant
    client = find_client(stored.client.client_id)
    if client is None or not client.is_approved or not client.is_answered_at(stored.redirect_uri):
        raise PageRefused(
            Refusal("client.not_active", "the client was stopped before the user went back to it"),
            title=_("This app has been stopped"),
            advice=(_("It may not be used here at the moment."), NOTHING_SHARED),
            status=403,
        )
    if not request.user.is_authenticated:
        return by_way_of("account_login", request)
    target = error_url(ReturnTo(stored.redirect_uri, stored.state), stored.error, stored.description)
    if client.is_operator_verified:
        return RedirectToClient(target)
    facts = {
        "client": client,
        "target": target,
        "goes_to": redirects.shown_target(stored.redirect_uri),
        "refused": stored,
    }
    return render(request, "consent/refused.html", facts)


def _is_told_at_once(client: RegisteredClient, *, silent: bool) -> bool:
    return silent or (client.is_operator_verified and not config().errors_after_sign_in)
