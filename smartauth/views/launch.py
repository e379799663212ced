"""Launch endpoint: an EHR says for whom and about what it opens an app, and gets the URL to open."""

from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.tenants import TenantInfo, find_tenant
from smartauth import endpoints, launches, rates, tokens
from smartauth.bearer import shown_token
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import InsufficientScope, InvalidToken, Refusal
from smartauth.json_bodies import json_object
from smartauth.launch_requests import parse_launch_request
from smartauth.policy.access import Access
from smartauth.policy.granting import BEGINS_LAUNCHES
from smartauth.responses import oauth_json
from smartauth.tenant_style import style_url_at


@oauth_json("POST", endpoint="launch", status=201)
def launch(request: HttpRequest) -> dict[str, Any]:
    """Begin a launch at the tenant of the caller's token.  Source: SMART 2.2 app-launch, "Launch App: EHR Launch"."""
    now = timezone.now()
    access, tenant = _require_ehr(request, now)
    wanted = parse_launch_request(json_object(request), style_url=style_url_at(tenant.slug))
    handle, url = launches.begin(wanted, tenant=tenant, ehr=access.client_id, context=context_of(request), now=now)
    if not handle:
        return {"launch_url": url}
    return {"launch": handle, "launch_url": url, "expires_in": config().launch_lifetime // timedelta(seconds=1)}


def _require_ehr(request: HttpRequest, now: datetime) -> tuple[Access, TenantInfo]:
    """Return the caller and its tenant. Raises InvalidToken, or InsufficientScope for who is no EHR."""
    context = context_of(request)
    found = shown_token(request.headers, method="POST", url=endpoints.oauth(None, "launch"))
    if found is None:
        raise InvalidToken(Refusal("launch.no_credentials", "the caller shows no token"), presented=False)
    token, shown = found
    access = tokens.require_access(token, tenant=None, context=context, now=now, shown=shown)
    context.tenant = access.tenant
    rates.admit_client(context, access.client_id, access.subject)
    if access.user is not None or BEGINS_LAUNCHES not in access.named_scopes:
        raise InsufficientScope(
            Refusal(
                "launch.no_right",
                "the token is not one of a backend service with the scope that lets it begin launches",
                expected=BEGINS_LAUNCHES,
                fix="Ask for the scope with client_credentials, or have the client registered for it.",
            ),
            scope=BEGINS_LAUNCHES,
            scheme="Bearer" if access.key_binding is None else "DPoP",
        )
    tenant = find_tenant(access.tenant)
    if tenant is None:
        raise InvalidToken(Refusal("token.tenant_inactive", "the tenant does not exist or is not active"))
    return access, tenant
