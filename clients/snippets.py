"""Code to paste: getting a token and reading a first resource, filled in with the values of one client at one tenant.

The private key and the secret are the partner's; no snippet holds either. What is filled in is quoted for its language.
"""

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from django.template.loader import render_to_string

from clients.models import WITH_SECRET, AuthMethod, Client
from clients.tenants import TenantInfo
from smartauth import endpoints
from smartauth.policy.granting import parse_registered
from smartauth.policy.scopes import ResourceScope

KEY_FILE = "private-key.pem"  # As the portal names the file it makes.
UNKNOWN_KID = "the-kid-of-your-key"
HALF = {"ES256": 32, "ES384": 48}  # bytes of each number of a signature (RFC 7518 §3.4)
ALGORITHM_OF_CURVE = {"P-256": "ES256", "P-384": "ES384"}
FIRST_READS = ("Patient", "Observation", "Condition")


@dataclass(frozen=True, slots=True)
class Snippet:
    """`language` is a word for a machine ("curl", "python" or "node"), `title` one for people."""

    language: str
    title: str
    code: str


@dataclass(frozen=True, slots=True)
class FirstRead:
    """What a page needs to get a token and read in the name of a service. The first two URLs are paths of our own."""

    token_url: str
    read_url: str
    audience: str
    path: str
    kid: str
    alg: str


LANGUAGES: tuple[tuple[str, str, str, Callable[[str], str]], ...] = (
    ("curl", "Shell with curl", "sh", shlex.quote),
    ("python", "Python with Authlib", "py", json.dumps),
    ("node", "Node.js", "mjs", json.dumps),
)


def snippets(client: Client, tenant: TenantInfo) -> tuple[Snippet, ...]:
    """Return the code for a client at a tenant, in each language, the same in all: token first, then a read."""
    form = "app" if "authorization_code" in client.grant_types else "service"
    return tuple(
        Snippet(language, title, _render(f"{form}.{ending}", client, tenant, quote))
        for language, title, ending, quote in LANGUAGES
    )


def first_read(client: Client, tenant: TenantInfo) -> FirstRead | None:
    """Return how a page tries a backend service with keys, None for a client that people sign in to."""
    signs = client.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT
    if not signs or "client_credentials" not in client.grant_types:
        return None
    token_url, path = endpoints.oauth(tenant.slug, "token"), _first_read(client.scope)
    kid, alg = _key(client)
    # The page may have been opened under another name of this host, so it asks where it came from.
    below = urlsplit(token_url).path, urlsplit(tenant.fhir_base).path
    return FirstRead(below[0], f"{below[1]}/{path}", token_url, path, kid, alg)


def _render(name: str, client: Client, tenant: TenantInfo, quote: Callable[[str], str]) -> str:
    kid, alg = _key(client)
    read = _first_read(client.scope)
    values = {
        "client_id": client.client_id,
        "authorize_url": endpoints.oauth(tenant.slug, "authorize"),
        "token_url": endpoints.oauth(tenant.slug, "token"),
        "fhir_base": tenant.fhir_base,
        "redirect_uri": (client.redirect_uris.split() or [""])[0],
        "scope": client.scope,
        "key_file": KEY_FILE,
        "kid": kid or UNKNOWN_KID,
        "alg": alg,
        "read_quoted": read,
        "method_quoted": client.token_endpoint_auth_method,
    }
    facts: dict[str, Any] = {
        "method": str(client.token_endpoint_auth_method),
        "has_key": client.token_endpoint_auth_method == AuthMethod.PRIVATE_KEY_JWT,
        "has_secret": client.token_endpoint_auth_method in WITH_SECRET,
        "key_name": KEY_FILE,
        "is_kid_known": bool(kid),
        "kid_python": json.dumps(kid) if kid else "key.thumbprint()  # or the kid of your key, as in your key set",
        "key_class": "ECKey" if alg in HALF else "RSAKey",
        "is_ec": alg in HALF,
        "half": HALF.get(alg, 0),
        "digits": 2 * HALF.get(alg, 0),
        "hash": alg[2:],
        "read": read,
    }
    quoted = {name: quote(value) for name, value in values.items()}
    return render_to_string(f"developers/snippets/{name}.txt", {**quoted, **facts}).strip() + "\n"


def _key(client: Client) -> tuple[str, str]:
    """Return the `kid` and the algorithm of the first registered key; "" for a `kid` that only the partner knows."""
    wanted = client.token_endpoint_auth_signing_alg
    keys = (client.client_jwks or {}).get("keys", [])
    for key in keys:
        alg = key.get("alg") or ("RS384" if key.get("kty") == "RSA" else ALGORITHM_OF_CURVE.get(key.get("crv", ""), ""))
        if alg.startswith(("RS", "ES")) and (not wanted or alg == wanted):
            return str(key.get("kid", "")), alg
    return "", wanted if wanted.startswith(("RS", "ES")) else "ES384"


def _first_read(scope: str) -> str:
    """Return a path below the FHIR base that these scopes open: a small search where there is one."""
    held = [one for one in parse_registered(scope) if isinstance(one, ResourceScope) and not one.filters]
    types = (*FIRST_READS, *(one.resource for one in held if one.resource != "*"))
    for resource in types:
        if any(one.permits("s", resource) for one in held):
            return f"{resource}?_count=2"
    return "metadata"
