"""Facts to documents. Pure: what is not among the facts is not advertised.

Source: SMART 2.2 conformance, "Metadata"; OIDC Discovery §3; RFC 8414 §2; RFC 7517 §5.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from smartauth.policy import advertising


@dataclass(frozen=True, slots=True)
class Facts:
    """What is switched on, for one tenant. An empty value means: not there, so it is not mentioned."""

    issuer: str
    endpoints: Mapping[str, str]  # member name -> absolute URL
    userinfo_endpoint: str = ""
    end_session_endpoint: str = ""
    grant_types: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ()  # of clients that authenticate
    signing_algs: tuple[str, ...] = ()  # of client assertions
    dpop_algs: tuple[str, ...] = ()  # of proofs
    id_token_algs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    claims: tuple[str, ...] = ()  # in ID tokens
    languages: tuple[str, ...] = ()  # of the pages, RFC 5646
    capabilities: tuple[str, ...] = ()
    brand_bundle: str = ""  # absolute URL
    brand_identifier: Mapping[str, str] = field(default_factory=dict)  # `value`, and `system` where it has one
    app_state: str = ""  # absolute URL of the base where apps keep state
    callback_iss: bool = False  # RFC 9207 `iss` on the callback


def smart_configuration(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/smart-configuration`, empty ones left out."""
    return _present(
        {
            **_common(facts),
            "user_access_brand_bundle": facts.brand_bundle,
            "user_access_brand_identifier": facts.brand_identifier,
            "associated_endpoints": _associated(facts.app_state),
            "capabilities": facts.capabilities,
        }
    )


def _associated(app_state: str) -> tuple[dict[str, Any], ...]:
    """Return the bases where tokens of this server are good besides, and for what.  Source: SMART 2.2 app-state."""
    return ({"url": app_state, "capabilities": (advertising.APP_STATE_CAPABILITY,)},) if app_state else ()


def authorization_server(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/oauth-authorization-server`.  Source: RFC 8414 §2; RFC 9207 §3."""
    callback = {"authorization_response_iss_parameter_supported": True} if facts.callback_iss else {}
    return _present(
        {
            **_common(facts),
            "response_modes_supported": advertising.RESPONSE_MODES,
            "ui_locales_supported": facts.languages,
            **_authentication(facts),
            **callback,
        }
    )


def openid_configuration(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/openid-configuration`.  Source: OIDC Discovery §3; Logout §2.1."""
    return _present(
        {
            **authorization_server(facts),
            "userinfo_endpoint": facts.userinfo_endpoint,
            "end_session_endpoint": facts.end_session_endpoint,
            "subject_types_supported": advertising.SUBJECT_TYPES,
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
        "response_types_supported": advertising.RESPONSE_TYPES,
        "code_challenge_methods_supported": advertising.CODE_CHALLENGE_METHODS,
        "token_endpoint_auth_methods_supported": facts.auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": facts.signing_algs,
        "dpop_signing_alg_values_supported": facts.dpop_algs,
        "scopes_supported": facts.scopes,
    }


def _authentication(facts: Facts) -> dict[str, Any]:
    """Return who may ask each endpoint, in words that SMART does not have and RFC 8414 has.

    Without these members a client would have to take it that all secrets are sent with Basic, and nothing else is.
    """
    methods = {
        "token": (*facts.auth_methods, advertising.PUBLIC_METHOD),
        "revocation": (*facts.auth_methods, advertising.PUBLIC_METHOD),
        "introspection": (*facts.auth_methods, advertising.TOKEN_METHOD),
    }
    told: dict[str, Any] = {}
    for name, listed in methods.items():
        told[f"{name}_endpoint_auth_methods_supported"] = listed
        told[f"{name}_endpoint_auth_signing_alg_values_supported"] = facts.signing_algs
    return told


def _present(members: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in members.items() if value is False or value}
