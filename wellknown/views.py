"""The public documents, computed from what exists."""

from dataclasses import replace
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone

from clients.brands import find_brand, list_brands
from clients.skins import list_skins
from clients.tenants import TenantInfo, find_default_tenant, find_tenant
from smartauth import endpoints, keys, styling
from smartauth.conf import config
from smartauth.errors import NotFound, Refusal
from smartauth.policy import advertising
from smartauth.responses import public_json
from wellknown import brand_bundle, documents


@public_json(endpoint="smart-configuration")
def smart_configuration(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """SMART configuration of a tenant, or at the root that of the default tenant.

    Source: SMART 2.2 conformance, "Using .well-known".
    """
    found = _require_tenant(tenant)
    facts = _facts(found)
    if brand := find_brand(found):
        named = brand_bundle.identifier(brand.details.identifier)
        facts = replace(facts, brand_bundle=endpoints.brands(found.slug), brand_identifier=named)
    return documents.smart_configuration(facts)


@public_json(endpoint="openid-configuration")
def openid_configuration(request: HttpRequest) -> dict[str, Any]:
    """OpenID Provider metadata, with the endpoints of the default tenant.  Source: OIDC Discovery §4."""
    return documents.openid_configuration(_facts(_require_tenant(None)))


@public_json(endpoint="oauth-authorization-server")
def oauth_authorization_server(request: HttpRequest) -> dict[str, Any]:
    """Authorization server metadata, with the endpoints of the default tenant.  Source: RFC 8414 §3."""
    return documents.authorization_server(_facts(_require_tenant(None)))


@public_json(endpoint="oauth-protected-resource")
def oauth_protected_resource(request: HttpRequest, tenant: str) -> dict[str, Any]:
    """What a FHIR base says about itself as a protected resource.  Source: RFC 9728 §2 and §3.

    The issuer's own documents speak of the endpoints of the default tenant, so only that one's base names the issuer;
    the others have a smart-configuration, as every base has.
    """
    found = _require_tenant(tenant)
    facts = _facts(found)
    is_default = found == find_default_tenant()
    return documents.protected_resource(facts, resource=found.fhir_base, name=found.name, names_issuer=is_default)


@public_json(endpoint="udap")
def udap(request: HttpRequest, tenant: str) -> dict[str, Any]:
    """Say that there are no UDAP workflows here.  Source: HL7 FAST security, "Discovery of Endpoints"."""
    raise NotFound(Refusal("udap.not_offered", "UDAP is not offered here", fix="Use smart-configuration."))


@public_json(endpoint="jwks")
def jwks(request: HttpRequest) -> dict[str, Any]:
    """Our public keys.  Source: RFC 7517 §5; OIDC Core §10.1.1."""
    return documents.key_set(keys.published_keys(timezone.now()))


@public_json(endpoint="style")
def style(request: HttpRequest, digest: str) -> dict[str, Any]:
    """The style apps are asked to wear.  Source: SMART 2.2 scopes-and-launch-context, "Styling"."""
    accents = ("", *(skin.accent_light for skin in list_skins())) if digest != styling.style_digest() else ("",)
    accent = next((one for one in accents if styling.style_digest(one) == digest), None)
    if accent is None:
        raise NotFound(Refusal("style.unknown", "there is no such style, or no longer", seen=digest))
    return styling.style(accent)


@public_json(endpoint="brands", content_type="application/fhir+json")
def brands(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """The brand bundle of a tenant, or the list of all: who is here, and at which FHIR bases.

    A tenant's own holds nobody else's brands, as SMART wants of the one that smart-configuration names.
    Source: SMART 2.2 brands; 45 CFR §170.404(b)(2) for the list.
    """
    root = endpoints.brand_root()
    if tenant is None:
        found = list_brands()
        if found is not None:
            return brand_bundle.bundle(found.brands, changed_at=found.changed_at, identity="brands", root=root)
    elif (brand := find_brand(_require_tenant(tenant))) is not None:
        return brand_bundle.bundle([brand], changed_at=brand.changed_at, identity=tenant, root=root)
    raise NotFound(Refusal("brands.none", "no brand is published here", fix="Publish one in the administration."))


def _require_tenant(slug: str | None) -> TenantInfo:
    found = find_default_tenant() if slug is None else find_tenant(slug)
    if found is None:
        raise NotFound(Refusal("tenant.unknown", "there is no such tenant", seen=slug or ""))
    return found


def _facts(tenant: TenantInfo) -> documents.Facts:
    algorithms = config().assertion_algorithms
    return documents.Facts(
        issuer=endpoints.issuer(),
        endpoints={
            "jwks_uri": endpoints.jwks_uri(),
            **endpoints.advertised(tenant.slug),
            "pushed_authorization_request_endpoint": endpoints.oauth(tenant.slug, "par"),
        },
        userinfo_endpoint=endpoints.userinfo(tenant.slug),
        end_session_endpoint=endpoints.end_session(tenant.slug),
        grant_types=advertising.GRANT_TYPES,
        auth_methods=advertising.client_methods(algorithms),
        signing_algs=algorithms,
        dpop_algs=config().dpop_algorithms,
        id_token_algs=keys.ALGORITHMS["id_token"],
        scopes=advertising.all_scopes(app_state=config().app_state),
        claims=advertising.ID_TOKEN_CLAIMS,
        languages=tuple(code for code, _ in settings.LANGUAGES),
        capabilities=advertising.capabilities(algorithms),
        app_state=endpoints.app_state(tenant.slug) if config().app_state else "",
        callback_iss=config().callback_iss,
    )
