"""Facts to documents. Pure: what is not among the facts is not advertised.

Source: SMART 2.2 conformance, "Metadata"; RFC 7517 §5.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Facts:
    """What is switched on, for one tenant. An empty value means: not there, so it is not mentioned."""

    endpoints: Mapping[str, str]  # member name -> absolute URL
    grant_types: tuple[str, ...] = ()
    auth_methods: tuple[str, ...] = ()
    signing_algs: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()


def smart_configuration(facts: Facts) -> dict[str, Any]:
    """Return the members of `.well-known/smart-configuration`, empty ones left out."""
    members = {
        **facts.endpoints,
        "grant_types_supported": facts.grant_types,
        "token_endpoint_auth_methods_supported": facts.auth_methods,
        "token_endpoint_auth_signing_alg_values_supported": facts.signing_algs,
        "scopes_supported": facts.scopes,
        "capabilities": facts.capabilities,
    }
    return {name: value for name, value in members.items() if value}


def key_set(keys: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Return a JWKS of public keys."""
    return {"keys": list(keys)}
