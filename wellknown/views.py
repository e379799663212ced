"""The public documents, computed from what exists."""

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.tenants import find_default_tenant, find_tenant
from smartauth import endpoints, keys
from smartauth.conf import config
from smartauth.errors import NotFound, Refusal
from smartauth.policy.advertising import advertised_scopes
from smartauth.responses import public_json
from wellknown import documents


@public_json(endpoint="smart-configuration")
def smart_configuration(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """SMART configuration of a tenant, or at the root that of the default tenant.

    Source: SMART 2.2 conformance, "Using .well-known".
    """
    found = find_default_tenant() if tenant is None else find_tenant(tenant)
    if found is None:
        raise NotFound(Refusal("tenant.unknown", "there is no such tenant", seen=tenant or ""))
    return documents.smart_configuration(
        documents.Facts(
            endpoints={"jwks_uri": endpoints.jwks_uri(), **endpoints.advertised(found.slug)},
            grant_types=("client_credentials",),
            auth_methods=("private_key_jwt",),
            signing_algs=config().assertion_algorithms,
            scopes=advertised_scopes("system"),
            capabilities=("client-confidential-asymmetric", "permission-v1", "permission-v2"),
        )
    )


@public_json(endpoint="openid-configuration")
def openid_configuration(request: HttpRequest) -> dict[str, Any]:
    """OpenID Provider metadata: there is none while nobody can sign in to an app.  Source: OIDC Discovery §4."""
    raise NotFound(Refusal("discovery.no_authorization_endpoint", "this server does not offer OpenID Connect"))


@public_json(endpoint="oauth-authorization-server")
def oauth_authorization_server(request: HttpRequest) -> dict[str, Any]:
    """RFC 8414 metadata: required members name an authorization endpoint, so without one there is no document."""
    raise NotFound(Refusal("discovery.no_authorization_endpoint", "this server has no authorization endpoint"))


@public_json(endpoint="jwks")
def jwks(request: HttpRequest) -> dict[str, Any]:
    """Our public keys.  Source: RFC 7517 §5; OIDC Core §10.1.1."""
    return documents.key_set(keys.published_keys(timezone.now()))
