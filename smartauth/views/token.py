"""Token endpoint."""

from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.authentication import authenticate_client
from clients.registered import RegisteredClient, require_active_at
from clients.tenants import TenantInfo, find_tenant
from smartauth import endpoints
from smartauth.context import context_of
from smartauth.errors import InvalidTarget, NotFound, Refusal, UnauthorizedClient, UnsupportedGrantType
from smartauth.forms import form, require_param
from smartauth.grants import client_credentials
from smartauth.responses import oauth_json
from smartauth.tokens import Issued
from smartauth.views.audience import addressed_tenant, named_tenant

EXCHANGES: dict[str, Callable[..., Issued]] = {"client_credentials": client_credentials.exchange}


@oauth_json("POST", endpoint="token")
def token(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """Token endpoint.  Source: RFC 6749 §3.2; SMART 2.2 backend-services, "Obtain access token"."""
    context = context_of(request)
    params = form(request)
    grant_type = require_param(params, "grant_type")
    if grant_type not in EXCHANGES:
        raise UnsupportedGrantType(
            Refusal("token.grant_type", "unknown grant_type", expected=", ".join(EXCHANGES), seen=grant_type)
        )
    named = named_tenant(params, addressed_tenant(tenant))
    context.tenant = named.slug if named else ""
    now = timezone.now()
    client = authenticate_client(
        request.headers,
        params,
        audiences=lambda claimed: endpoints.assertion_audiences(_slug(claimed, named)),
        context=context,
        now=now,
    )
    if grant_type not in client.grant_types:
        raise UnauthorizedClient(
            Refusal(
                "client.grant_type",
                "the client is not registered for this grant_type",
                expected=", ".join(sorted(client.grant_types)),
                seen=grant_type,
            )
        )
    target = named or _only_activation(client)
    context.tenant = target.slug
    require_active_at(client, target.slug, basic="Authorization" in request.headers)
    return EXCHANGES[grant_type](client, params, tenant=target, context=context, now=now).as_json()


def _slug(client: RegisteredClient, named: TenantInfo | None) -> str | None:
    """Return the tenant whose token URL the assertion may name: the one asked for, or the client's only one."""
    if named is not None:
        return named.slug
    return next(iter(client.activations)) if len(client.activations) == 1 else None


def _only_activation(client: RegisteredClient) -> TenantInfo:
    """Return the one tenant where the client is active, for a request that names none.

    Raises InvalidTarget when there are several, InvalidClient when there is none.
    """
    if not client.activations:
        require_active_at(client, "")
    tenants = [find_tenant(slug) for slug in client.activations]
    if len(tenants) != 1:
        raise InvalidTarget(
            Refusal(
                "target.ambiguous",
                "the client is active at several tenants and the request names none",
                seen=", ".join(sorted(client.activations)),
                fix="Use the token URL of the tenant, or send resource with its FHIR base URL.",
            )
        )
    if tenants[0] is None:
        raise NotFound(Refusal("tenant.unknown", "there is no such tenant"))
    return tenants[0]
