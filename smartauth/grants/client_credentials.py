"""The client_credentials grant of backend services.

Source: SMART 2.2 backend-services; RFC 6749 §4.4.
"""

from datetime import datetime

from clients.registered import RegisteredClient, require_active_at
from clients.tenants import TenantInfo, find_tenant
from smartauth.context import RequestContext
from smartauth.errors import InvalidScope, InvalidTarget, NotFound, Refusal
from smartauth.policy import granting
from smartauth.tokens import Issued, issue_service_token


def exchange(
    client: RegisteredClient,
    params: dict[str, str],
    *,
    named: TenantInfo | None,
    key: str | None,
    context: RequestContext,
    now: datetime,
) -> Issued:
    """Issue an access token for what the client asked and may have. No refresh token, no launch context.

    named: the tenant that the URL or `resource` names; without one it is the only one where the client is active.
    key: the thumbprint of the key that the token is bound to, None for a bearer token.
    Raises InvalidScope when `scope` is missing or nothing of it can be granted, InvalidTarget for an ambiguous tenant.
    """
    tenant = named or _only_activation(client)
    context.tenant = tenant.slug
    allowed_scope = require_active_at(client, tenant.slug)
    requested = params.get("scope", "")
    if not requested.strip():
        raise InvalidScope(
            Refusal("scope.missing", "scope is missing", fix="Send the system/ scopes you need."),
            "The parameter scope is missing",
        )
    permitted = granting.allowed(client.scope, allowed_scope)
    result = granting.grant_service_scopes(requested, permitted)
    if not result.granted:
        raise InvalidScope(_nothing_left(result))
    return issue_service_token(
        client_pk=client.pk,
        client_id=client.client_id,
        tenant_pk=tenant.pk,
        tenant=tenant.slug,
        scope=result.scope,
        dropped=tuple(f"{one.scope} ({one.rule})" for one in result.dropped),
        key=key,
        lifetime=client.lifetimes.of_service_token,
        context=context,
        now=now,
    )


def _nothing_left(result: granting.Granting) -> Refusal:
    if len(result.dropped) == 1:
        only = result.dropped[0]
        return Refusal(only.rule, only.reason, seen=only.scope, fix="Ask for a scope the client is registered for.")
    return Refusal(
        "scope.nothing_granted",
        "none of the requested scopes can be granted",
        seen="; ".join(f"{one.scope}: {one.reason}" for one in result.dropped),
        fix="Ask for scopes the client is registered for.",
    )


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
