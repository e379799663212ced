"""Token endpoint."""

import re
from collections.abc import Callable
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.authentication import authenticate_client, claim_client
from clients.origins import REGISTERED_ORIGINS
from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth import endpoints, proofs, tokens
from smartauth.context import context_of
from smartauth.errors import InvalidClient, InvalidGrant, Refusal, UnauthorizedClient, UnsupportedGrantType
from smartauth.forms import form, require_param
from smartauth.grants import authorization_code, client_credentials, refresh_token
from smartauth.responses import oauth_json
from smartauth.tokens import Issued
from smartauth.views.audience import addressed_tenant, named_tenant

EXCHANGES: dict[str, Callable[..., Issued]] = {
    "authorization_code": authorization_code.exchange,
    "client_credentials": client_credentials.exchange,
    "refresh_token": refresh_token.exchange,
}
GRANT_TYPE = re.compile(r"[a-z:_-]{1,80}")
# With any of these a client says who it is.
IDENTIFYING = frozenset({"client_id", "client_secret", "client_assertion", "client_assertion_type"})


@oauth_json("POST", endpoint="token", origins=REGISTERED_ORIGINS)
def token(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """Token endpoint.  Source: RFC 6749 §3.2; SMART 2.2 app-launch and backend-services, "Obtain access token"."""
    context = context_of(request)
    params = form(request)
    claim_client(context, params.get("client_id", ""))  # So that a page of its origin can read every refusal.
    grant_type = require_param(params, "grant_type")
    if grant_type not in EXCHANGES:
        raise UnsupportedGrantType(
            Refusal("token.grant_type", "unknown grant_type", expected=", ".join(EXCHANGES), seen=_shown(grant_type))
        )
    named = named_tenant(params, addressed_tenant(tenant))
    context.tenant = named.slug if named else ""
    now = timezone.now()
    uses_header = "Authorization" in request.headers
    if grant_type == "refresh_token" and not uses_header and not IDENTIFYING & set(params):
        params["client_id"] = _owner(require_param(params, "refresh_token"))
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
                fix="Use a registered grant_type, or ask the operator to change the registration.",
            )
        )
    # Before the grant, so that a proof that does not hold costs no code.
    key = proofs.key_of(client, request.headers, url=endpoints.oauth(tenant, "token"), now=now)
    try:
        return EXCHANGES[grant_type](client, params, named=named, key=key, context=context, now=now).as_json()
    except InvalidClient as error:
        error.basic = uses_header
        raise


def _shown(grant_type: str) -> str:
    """Return the value if it looks like a grant type: what was pasted into the wrong place may be a token."""
    return grant_type if GRANT_TYPE.fullmatch(grant_type) else "another text, not repeated here"


def _slug(client: RegisteredClient, named: TenantInfo | None) -> str | None:
    """Return the tenant whose token URL the assertion may name: the one asked for, or the client's only one."""
    if named is not None:
        return named.slug
    return next(iter(client.activations)) if len(client.activations) == 1 else None


def _owner(refresh_token: str) -> str:
    """Return the client behind a refresh token that comes alone: a public client has nothing else to show, and the most
    used JavaScript client sends nothing else. Authentication still refuses this way to every other kind of client.
    """
    owner = tokens.find_owner(refresh_token)
    if owner is None:
        fix = "Use the value exactly as it was issued, at the server that issued it."
        raise InvalidGrant(Refusal("refresh_token.unknown", "no such refresh token was issued here", fix=fix))
    return owner
