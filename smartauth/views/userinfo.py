"""Userinfo endpoint."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.origins import REGISTERED_ORIGINS
from smartauth import endpoints, rates, tokens
from smartauth.bearer import shown_token
from smartauth.context import context_of
from smartauth.errors import InsufficientScope, InvalidToken, Refusal
from smartauth.responses import oauth_json
from smartauth.views.audience import addressed_tenant


@oauth_json("GET", "POST", endpoint="userinfo", origins=REGISTERED_ORIGINS)
def userinfo(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """Who the user of an access token is: `sub` as in the ID token, and what else its scopes let the app know.

    Source: OIDC Core §5.3; SMART 2.2 scopes-and-launch-context, "Scopes for requesting identity data".
    """
    context = context_of(request)
    addressed = addressed_tenant(tenant)
    url = endpoints.oauth(tenant, "userinfo")
    found = shown_token(request.headers, method=request.method or "", url=url)
    if found is None or not found[0]:
        raise InvalidToken(Refusal("token.missing", "the request shows no bearer token"), presented=False)
    slug = addressed.slug if addressed else None
    token, shown = found
    access = tokens.require_access(token, tenant=slug, context=context, now=timezone.now(), shown=shown)
    rates.admit_client(context, access.client_id, access.subject)
    context.tenant = access.tenant
    if "openid" not in access.named_scopes or access.user is None:
        raise InsufficientScope(
            Refusal("userinfo.openid", "the token was not granted openid", expected="openid"),
            scope="openid",
            scheme="Bearer" if access.key_binding is None else "DPoP",
        )
    told = {name: access.fhir_user for name in ("fhirUser", "profile") if name in access.named_scopes}
    base = endpoints.fhir_base(access.tenant)
    return {"sub": access.subject} | {name: f"{base}/{reference}" for name, reference in told.items() if reference}
