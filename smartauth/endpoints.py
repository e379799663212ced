"""Every public URL, computed once from the configured base: discovery, /metadata and audience checks agree by import.

Nothing here looks at a request: a URL taken from the Host header is a URL an attacker chose (RFC 9700 §4.13).
"""

from smartauth.conf import config
from smartauth.slugs import TENANT_SLUG


def issuer() -> str:
    """Return the issuer identifier: one for all tenants."""
    return config().base_url


def jwks_uri() -> str:
    """Return where our public keys are."""
    return f"{config().base_url}/.well-known/jwks.json"


def fhir_base(tenant: str) -> str:
    """Return the FHIR base URL of a tenant: `aud` of its tokens and `iss` of its launches."""
    return f"{config().base_url}/fhir/{tenant}/r4"


def app_state(tenant: str) -> str:
    """Return the base URL where apps keep state about a tenant's people (SMART 2.2 app-state)."""
    return f"{config().base_url}/fhir/{tenant}/app-state"


def oauth(tenant: str | None, name: str) -> str:
    """Return the URL of an OAuth endpoint such as "token": a tenant's own, or the short one for None."""
    return f"{config().base_url}/auth/{f'{tenant}/' if tenant else ''}{name}"


def tenant_of_fhir_base(url: str) -> str | None:
    """Return the slug whose FHIR base `url` is, with or without one trailing slash, else None.

    The slug may belong to no tenant. Comparison is exact: no case folding, no prefix (SMART 2.2 app-launch, `aud`).
    """
    prefix, suffix = f"{config().base_url}/fhir/", "/r4"
    bare = url.removesuffix("/")
    if not (bare.startswith(prefix) and bare.endswith(suffix)):
        return None
    slug = bare[len(prefix) : -len(suffix)]
    return slug if TENANT_SLUG.fullmatch(slug) else None


def assertion_audiences(tenant: str | None) -> frozenset[str]:
    """Return the `aud` values a client assertion may carry when `tenant` is addressed (RFC 7523 §3).

    Another tenant's token URL is not among them.
    """
    audiences = {issuer(), oauth(None, "token")}
    if tenant:
        audiences.add(oauth(tenant, "token"))
    return frozenset(audiences)


def style(digest: str) -> str:
    """Return where the style of that content is; a change of the content changes the URL (SMART 2.2, "Styling")."""
    return f"{config().base_url}/style/{digest}.json"


def brands(tenant: str | None) -> str:
    """Return where the brand bundle of a tenant is, or for None the one of all tenants (SMART 2.2 brands)."""
    return f"{config().base_url}/brands{f'/{tenant}' if tenant else ''}.json"


def brand_root() -> str:
    """Return the URL below which entries of brand bundles have their identity; nothing is served there."""
    return f"{config().base_url}/brands"


def advertised(tenant: str) -> dict[str, str]:
    """Return the OAuth endpoints of a tenant that exist, by the name discovery documents give them (RFC 8414 §2)."""
    return {
        "authorization_endpoint": oauth(tenant, "authorize"),
        "token_endpoint": oauth(tenant, "token"),
        "introspection_endpoint": oauth(tenant, "introspect"),
        "revocation_endpoint": oauth(tenant, "revoke"),
        "management_endpoint": management(),
        **({"registration_endpoint": registration()} if config().registration else {}),
    }


def registration(client_id: str = "") -> str:
    """Return where clients register (RFC 7591 §3), or where one manages its registration (RFC 7592 §2)."""
    return f"{oauth(None, 'register')}{f'/{client_id}' if client_id else ''}"


def management() -> str:
    """Return where people see which apps they have connected, at every tenant (SMART 2.2 conformance)."""
    return f"{config().base_url}/account/apps"


def protected_resource_metadata(tenant: str) -> str:
    """Return where a FHIR base describes itself as a protected resource (RFC 9728 §3.1)."""
    return f"{config().base_url}/.well-known/oauth-protected-resource/fhir/{tenant}/r4"


def userinfo(tenant: str) -> str:
    """Return the URL of a tenant's userinfo endpoint (OIDC Core §5.3)."""
    return oauth(tenant, "userinfo")


def end_session(tenant: str) -> str:
    """Return the URL where apps send people to sign out (OIDC RP-Initiated Logout §2.1)."""
    return oauth(tenant, "logout")
