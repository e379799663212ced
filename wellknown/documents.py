"""Facts to documents. Pure: what is not among the facts is not advertised.

Source: SMART 2.2 conformance, "Metadata"; OIDC Discovery §3; RFC 8414 §2; RFC 7517 §5.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """What is switched on, for one tenant. An empty value means: not there, so it is not mentioned."""

    issuer: str
    endpoints: Mapping[str, str]  # member name -> absolute URL
    userinfo_endpoint: str = ""
    grant_types: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ()  # of clients that authenticate
    signing_algs: tuple[str, ...] = ()  # of client assertions
    dpop_algs: tuple[str, ...] = ()  # of proofs
    id_token_algs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()  # in ID tokens
    capabilities: tuple[str, ...] = ()


def smart_configuration(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/smart-configuration`, empty ones left out."""
    return _present({**_common(facts), "capabilities": facts.capabilities})


def authorization_server(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/oauth-authorization-server`.  Source: RFC 8414 §2."""
    return _present({**_common(facts), "response_modes_supported": ("query",), **_public(facts)})


def openid_configuration(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/openid-configuration`.  Source: OIDC Discovery §3."""
    return _present(
        {
            **authorization_server(facts),
            "userinfo_endpoint": facts.userinfo_endpoint,
            "subject_types_supported": ("public",),
            "id_token_signing_alg_values_supported": facts.id_token_algs,
            "claims_supported": facts.claims,
            "request_parameter_supported": False,
            "request_uri_parameter_supported": False,  # Silence would say true.
            "claims_parameter_supported": False,
        }
    )


def protected_resource(facts: Facts, *, resource: str, name: str, names_issuer: bool) -> dict[str, Any]:
    """Return the members of `.well-known/oauth-protected-resource`, empty ones left out.  Source: RFC 9728 §2."""
    return _present(
        {
            "resource": resource,
            "resource_name": name,
            "authorization_servers": (facts.issuer,) if names_issuer else (),
            "scopes_supported": facts.scopes,
            "bearer_methods_supported": ("header",),
            "dpop_signing_alg_values_supported": facts.dpop_algs,
            "dpop_bound_access_tokens_required": False,
        }
    )


def key_set(keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a JWKS of public keys."""
    return {"keys": list(keys)}


def _common(facts: Facts) -> dict[str, Any]:
    return {
        "issuer": facts.issuer,
        **facts.endpoints,
        "grant_types_supported": facts.grant_types,
        "response_types_supported": ("code",),
        "code_challenge_methods_supported": ("S256",),
        "token_endpoint_auth_methods_supported": facts.auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": facts.signing_algs,
        "dpop_signing_alg_values_supported": facts.dpop_algs,
        "scopes_supported": facts.scopes,
    }


def _public(facts: Facts) -> dict[str, Any]:
    """Return what documents beyond SMART's have a word for: a public client's way is no authentication method there."""
    return {"token_endpoint_auth_methods_supported": (*facts.auth_methods, "none")}


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is False or value}
