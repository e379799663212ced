"""Introspection endpoint."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.authentication import authenticate_client
from clients.models import AuthMethod
from clients.registered import require_active_at
from smartauth import endpoints, rates, tokens
from smartauth.bearer import shown_token
from smartauth.context import context_of
from smartauth.errors import InvalidClient, InvalidToken, Refusal
from smartauth.forms import form, require_param
from smartauth.policy import granting
from smartauth.receipts.recording import record
from smartauth.responses import oauth_json
from smartauth.views.audience import addressed_tenant, tenant_or_default

RIGHT = "__introspect"  # the extension scope that lets a caller see other clients' tokens
CREDENTIALS = {"authorization", "client_assertion", "client_assertion_type", "client_id", "client_secret"}
INACTIVE: dict[str, Any] = {"active": False}


@oauth_json("POST", endpoint="introspect")
def introspect(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """Introspection endpoint.  Source: RFC 7662 §2; SMART 2.2 token-introspection.

    The caller shows a bearer token, or authenticates as a client, that holds the scope `__introspect`. Whatever it may
    not see, and whatever is not a live access token, is `{"active": false}`; only the receipt says why.
    """
    context = context_of(request)
    addressed = addressed_tenant(tenant)
    params = form(request)
    found = shown_token(request.headers, method="POST", url=endpoints.oauth(tenant, "introspect"))
    now = timezone.now()
    if found is not None:
        own, shown = found
        slug = addressed.slug if addressed else None
        access = tokens.require_access(own, tenant=slug, context=context, now=now, shown=shown)
        rates.admit_client(context, access.client_id, access.subject)
        context.tenant = access.tenant
        visible = {access.tenant} if RIGHT in access.named_scopes else set()
    elif not CREDENTIALS & {*params, *map(str.lower, request.headers)}:
        raise InvalidToken(Refusal("introspect.no_credentials", "the caller shows no credentials"), presented=False)
    else:
        visible = _tenants_of_client(request, params, addressed.slug if addressed else None)
    token = require_param(params, "token")
    try:
        if not visible:
            raise InvalidToken(
                Refusal(
                    "introspect.no_right", "the caller does not hold the scope that lets it introspect", expected=RIGHT
                )
            )
        return tokens.introspect(token, tenants=visible, now=now)
    except InvalidToken as inactive:
        record(context, status=200, error="inactive", refusal=inactive.refusal)
        return INACTIVE


def _tenants_of_client(request: HttpRequest, params: dict[str, str], slug: str | None) -> set[str]:
    """Authenticate the caller as a client and return the tenants whose tokens it may see. Raises InvalidClient."""
    context = context_of(request)
    default = tenant_or_default(None)
    named = slug or (default.slug if default else None)
    client = authenticate_client(
        request.headers,
        params,
        audiences=lambda _: endpoints.assertion_audiences(named),
        context=context,
        now=timezone.now(),
    )
    if client.token_endpoint_auth_method == AuthMethod.NONE:
        raise InvalidClient(Refusal("introspect.public_client", "a public client cannot prove who it is"))
    if slug is not None:
        context.tenant = slug
        require_active_at(client, slug, basic="Authorization" in request.headers)
    return {
        where
        for where, allowed in client.activations.items()
        if any(str(scope) == RIGHT for scope in granting.allowed(client.scope, allowed))
    }
