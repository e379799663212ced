"""What must hold of an app and its request when it arrives, and still at every page after that.

Until a code is issued nothing that was proven at the start is taken for granted: an administrator may have stopped the
app, or changed it, while somebody was reading.  Source: RFC 6749 §4.1.2.1; RFC 9700 §4.14.
"""

from collections.abc import Iterable

from django.utils.translation import gettext_noop as _

from clients.models import Client
from clients.registered import RegisteredClient, find_client
from clients.tenants import TenantInfo, find_tenant
from smartauth.browser import PageRefused
from smartauth.errors import InvalidRequest, InvalidScope, Refusal, UnauthorizedClient
from smartauth.models import PendingAuthorization
from smartauth.policy import granting, redirects
from smartauth.policy.scopes import Scope
from smartauth.storable import repeatable_url
from smartauth.views.leading_on import CANNOT_START, NOT_ITS_ADDRESS, NOTHING_SHARED, TELL_THEM


def client_refusal(client: RegisteredClient) -> Refusal | None:
    """Return why a client may do nothing here, or None where it may."""
    if client.is_approved:
        return None
    rule = "client.suspended" if client.status == Client.Status.SUSPENDED else "client.not_approved"
    return Refusal(rule, f"the client is {client.status}", expected="approved", seen=client.status)


def redirect_uri_refusal(client: RegisteredClient, redirect_uri: str) -> Refusal | None:
    """Return why a client may not be answered at `redirect_uri` ("" for none sent), or None where it may."""
    if client.is_answered_at(redirect_uri):
        return None
    missing = not redirect_uri
    return Refusal(
        "redirect_uri.missing" if missing else "redirect_uri.not_registered",
        "redirect_uri is missing" if missing else "redirect_uri is not registered for this client",
        expected=redirects.nearest(redirect_uri, client.redirect_uris),
        seen=repeatable_url(redirect_uri) if redirect_uri else "",
        fix="Send a registered redirect_uri, character for character, or have this one registered.",
    )


def require_permitted(client: RegisteredClient, tenant: TenantInfo) -> tuple[Scope, ...]:
    """Return the most the client may ask for at the tenant. Raises OAuthError when it may not ask at all."""
    if "authorization_code" not in client.grant_types:
        refusal = Refusal("client.grant_type", "the client is not registered for authorization_code")
        raise UnauthorizedClient(refusal)
    activated = client.activations.get(tenant.slug)
    if activated is None:
        fix = "Ask the operator of the tenant to activate the client."
        raise InvalidRequest(
            Refusal("client.not_activated", "the client is not active at this tenant", tenant.slug, fix=fix),
            "The client is not active at this FHIR server",
        )
    return granting.allowed(client.scope, activated)


def require_launch_scope(scopes: Iterable[Scope]) -> None:
    """Raise InvalidRequest unless a request that goes on with a launch of an EHR has the scope for that."""
    if "launch" not in map(str, scopes):
        fix = "Ask for the scope launch with every launch parameter."
        refusal = Refusal("launch.scope_missing", "launch comes without the scope launch", "launch", fix=fix)
        raise InvalidRequest(refusal, "The parameter launch needs the scope launch")


def require_client(stored: PendingAuthorization) -> RegisteredClient:
    """Return the client of a stored request as it is now.

    Raises PageRefused when it was stopped, or is no longer answered where it would have to be: then nothing may be sent
    to it.
    """
    client = find_client(stored.client.client_id)
    if client is None:
        raise _stopped(Refusal("client.unknown", "no client has this client_id any more"))
    stopped = client_refusal(client)
    if stopped is not None:
        raise _stopped(stopped)
    moved = redirect_uri_refusal(client, stored.redirect_uri)
    if moved is not None:
        advice = (NOT_ITS_ADDRESS, NOTHING_SHARED, TELL_THEM)
        raise PageRefused(moved, title=CANNOT_START, advice=advice, status=403)
    return client


def _stopped(refusal: Refusal) -> PageRefused:
    advice = (_("It may not be used here at the moment."), NOTHING_SHARED)
    return PageRefused(refusal, title=_("This app has been stopped"), advice=advice, status=403)


def require_asked(stored: PendingAuthorization, client: RegisteredClient) -> tuple[TenantInfo, tuple[Scope, ...]]:
    """Return the tenant of a stored request, and what of its scopes the client may still ask for there.

    Raises OAuthError, for the app, when the tenant is closed, the client may no longer ask, or nothing is left.
    """
    tenant = find_tenant(stored.tenant.slug)
    if tenant is None:
        fix = "Wait until the operator opens it again; nothing else is needed."
        refusal = Refusal("tenant.inactive", "the tenant was closed while the request waited", fix=fix)
        raise InvalidRequest(refusal, "The FHIR server is closed at the moment")
    asked = granting.screen_again(
        stored.scope,
        require_permitted(client, tenant),
        may_refresh="refresh_token" in client.grant_types,
        is_public=client.is_public,
        from_ehr=stored.launch_id is not None,
    )
    if not asked:
        raise InvalidScope(
            Refusal(
                "scope.nothing_left",
                "nothing that was asked for is still allowed",
                seen=stored.scope[:1_000],
                fix="Launch again for what the client is registered for and the tenant allows now.",
            )
        )
    if stored.launch_id is not None:
        require_launch_scope(asked)
    return tenant, asked
