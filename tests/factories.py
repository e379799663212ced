"""Rows and assertions for tests: plain functions with keyword overrides."""

import json
import uuid
import warnings
from datetime import UTC, datetime
from typing import Any

from joserfc import jws
from joserfc.errors import SecurityWarning
from joserfc.jwk import RSAKey

from clients.key_pairs import KeyPair, load_private_key
from clients.models import Client, Tenant
from clients.registration import Registered, register_client
from clients.tenants import TenantInfo, find_tenant
from smartauth.marks.models import Mark

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
TOKEN_URL = "http://127.0.0.1:8000/auth/sandbox/token"
SHORT_TOKEN_URL = "http://127.0.0.1:8000/auth/token"
ISSUER = "http://127.0.0.1:8000"
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
AUDIENCES = frozenset({TOKEN_URL, SHORT_TOKEN_URL, ISSUER})

Json = dict[str, Any]


def make_tenant(slug: str = "sandbox", **values: Any) -> TenantInfo:
    Tenant.objects.create(slug=slug, **values)
    found = find_tenant(slug)
    assert found is not None
    return found


def service(**members: Any) -> Json:
    """Metadata of bulk-loader, a backend service; give it `jwks` or `jwks_uri`."""
    return {
        "client_id": "bulk-loader",
        "client_name": "Bulk Loader",
        "grant_types": ["client_credentials"],
        "token_endpoint_auth_method": "private_key_jwt",
        "scope": "system/*.rs",
    } | members


def web_app(**members: Any) -> Json:
    """Metadata of cardio, a confidential app with a secret."""
    return {"client_id": "cardio", "redirect_uris": ["https://cardio.example.org/callback"]} | members


def phone_app(**members: Any) -> Json:
    """Metadata of growth-chart, a public app."""
    return web_app(client_id="growth-chart", token_endpoint_auth_method="none") | members


def make_client(metadata: Json, *, status: str = Client.Status.APPROVED, **options: Any) -> Registered:
    registered = register_client(metadata, operator=True, **options)
    Client.objects.filter(pk=registered.client.pk).update(status=status)
    return registered


def claims_at(now: datetime = NOW, **changes: Any) -> Json:
    """Claims of a good assertion by bulk-loader; a change to ... leaves the claim out."""
    issued_at = int(now.timestamp())
    good = {
        "iss": "bulk-loader",
        "sub": "bulk-loader",
        "aud": TOKEN_URL,
        "iat": issued_at,
        "exp": issued_at + 300,
        "jti": str(uuid.uuid4()),
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def signed(pair: KeyPair, claims: Json | bytes, **header: Any) -> str:
    """Sign claims (or raw payload bytes) with a header of our choosing; a member given as ... is left out."""
    good = {"alg": pair.public_jwk["alg"], "kid": pair.public_jwk["kid"], "typ": "JWT"}
    members = {name: value for name, value in (good | header).items() if value is not ...}
    payload = claims if isinstance(claims, bytes) else json.dumps(claims).encode()
    registry = jws.JWSRegistry(algorithms=[members["alg"]], strict_check_header=False)
    return jws.serialize_compact(members, payload, load_private_key(pair.private_pem), registry=registry)


def weak_rsa() -> Json:
    """Make a public RSA key of 1,024 bits, called "weak"."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SecurityWarning)
        return {**RSAKey.generate_key(1024, private=False).as_dict(), "kid": "weak"}


def mark(*tags: str) -> None:
    """Leave marks in the current transaction, as the triggers do."""
    Mark.objects.bulk_create([Mark(tag=tag) for tag in tags])
