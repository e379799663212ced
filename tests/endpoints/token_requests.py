"""Requests to the token endpoint as apps and services make them, and the key that signs the ID tokens in answers."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone
from joserfc import jwt
from joserfc.jwk import KeySet

from clients.key_pairs import KeyPair
from clients.tenants import TenantInfo
from smartauth import keys
from smartauth.models import SigningKey
from tests.endpoints.app_launch import App, Launch, make_app
from tests.factories import ASSERTION_TYPE, claims_at, signed, web_app

TOKEN = "/auth/sandbox/token"
SHORT = "/auth/token"
ISSUER = "http://127.0.0.1:8000"
KEYED = "atlas"
STATEMENTS = 6  # at most, for a code or a refresh token
APPS = [
    # fixture         lifetime
    ("growth_chart", 1800),
    ("cardio", 3600),
    ("atlas", 3600),
]
Ask = Callable[..., HttpResponse]
Post = Callable[..., HttpResponse]


@dataclass(frozen=True, slots=True)
class Service:
    """A registered backend service and how it proves who it is."""

    client_id: str
    pair: KeyPair

    def credentials(self, **claims: Any) -> dict[str, str]:
        """Return the form parameters of a fresh assertion."""
        mine = {"iss": self.client_id, "sub": self.client_id} | claims
        assertion = signed(self.pair, claims_at(datetime.now(UTC), **mine))
        return {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}


@pytest.fixture(scope="session")
def _rsa_key() -> SigningKey:
    return keys.make_key(SigningKey.Purpose.ID_TOKEN, "RS256")


@pytest.fixture
def signing_key(_rsa_key: SigningKey, tenant: TenantInfo) -> None:
    """Sign ID tokens with a key made once for all tests: making it takes longer than all the rest of a launch."""
    values = {name: getattr(_rsa_key, name) for name in ("kid", "purpose", "alg", "public_jwk", "sealed_private_key")}
    SigningKey.objects.create(state=SigningKey.State.ACTIVE, activated_at=timezone.now(), **values)


@pytest.fixture
def atlas(tenant: TenantInfo, ec: KeyPair) -> App:
    """A confidential app with a key of its own."""
    return make_app(keyed_app(ec), tenant)


def keyed_app(pair: KeyPair, **members: Any) -> dict[str, Any]:
    jwks = {"keys": [pair.public_jwk]}
    return web_app(client_id=KEYED, token_endpoint_auth_method="private_key_jwt", jwks=jwks) | members


@pytest.fixture
def post() -> Post:
    """Post a form to a path."""
    browser = Browser()

    def send(path: str, params: dict[str, str], **headers: str) -> HttpResponse:
        return browser.post(path, urlencode(params), content_type="application/x-www-form-urlencoded", headers=headers)

    return send


@pytest.fixture
def ask(post: Post, ec: KeyPair) -> Ask:
    """Post to the token endpoint as an app does, which shows what it is registered to authenticate with."""

    def send(app: App, params: dict[str, str], *, path: str = TOKEN) -> HttpResponse:
        if app.secret is not None:
            return post(path, params, Authorization=basic(app.client_id, app.secret))
        if app.client_id == KEYED:
            return post(path, {**Service(KEYED, ec).credentials(aud=ISSUER), **params})
        return post(path, {"client_id": app.client_id, **params})

    return send


def basic(client_id: str, secret: str) -> str:
    return f"Basic {base64.b64encode(f'{client_id}:{secret}'.encode()).decode()}"


def redemption(launched: Launch, **changes: Any) -> dict[str, str]:
    """Return the parameters of a good exchange, with changes; one to ... leaves a parameter out."""
    good = {
        "grant_type": "authorization_code",
        "code": launched.code,
        "redirect_uri": launched.redirect_uri,
        "code_verifier": launched.verifier,
    }
    return {name: value for name, value in (good | changes).items() if value is not ...}


def body_of(answer: HttpResponse) -> Any:
    """Return the members of a successful answer."""
    assert answer.status_code == 200, answer.content
    return answer.json()


def verified(token: str, alg: str) -> jwt.Token:
    """Return a JWT of ours, checked with the keys we publish."""
    published = Browser().get("/.well-known/jwks.json").json()
    return jwt.decode(token, KeySet.import_key_set(published), algorithms=[alg])
