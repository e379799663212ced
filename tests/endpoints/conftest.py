"""A tenant, the service bulk-loader, and form posts as a partner makes them; people and apps for launches."""

from collections.abc import Callable
from typing import Any

import pytest

from clients.key_pairs import KeyPair
from clients.tenants import TenantInfo
from smartauth.receipts import recording
from tests.endpoints.app_launch import ana, browser, cardio, dr_grey, growth_chart, mallory, parent, pocket
from tests.endpoints.token_requests import Post, Service, _rsa_key, ask, atlas, post, signing_key
from tests.factories import make_client, make_tenant, service
from tests.proxy.conftest import call, calm, small
from tests.proxy.test_records import load

# Fixtures of elsewhere, for every module here.
__all__ = [
    "_rsa_key",
    "ana",
    "ask",
    "atlas",
    "browser",
    "call",
    "calm",
    "cardio",
    "dr_grey",
    "growth_chart",
    "load",
    "mallory",
    "parent",
    "pocket",
    "post",
    "signing_key",
    "small",
]


@pytest.fixture(autouse=True)
def no_flood(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the refusals of one test not count as a flood in the next: beyond it receipts are only counted."""
    monkeypatch.setattr(recording, "_flood", recording._Flood())


@pytest.fixture
def tenant(db: None) -> TenantInfo:
    return make_tenant("sandbox")


@pytest.fixture
def register(tenant: TenantInfo, ec: KeyPair) -> Callable[..., Service]:
    """Register a backend service, active at the tenant unless told otherwise."""

    def make(
        client_id: str = "bulk-loader", *, activate_at: tuple[TenantInfo, ...] | None = None, **metadata: Any
    ) -> Service:
        where = (tenant,) if activate_at is None else activate_at
        make_client(service(client_id=client_id, jwks={"keys": [ec.public_jwk]}, **metadata), activate_at=where)
        return Service(client_id, ec)

    return make


@pytest.fixture
def bulk_loader(register: Callable[..., Service]) -> Service:
    return register()


@pytest.fixture
def get_token(post: Post) -> Callable[..., str]:
    """Let a service obtain an access token."""

    def obtain(who: Service, scope: str = "system/*.rs") -> str:
        answer = post("/auth/sandbox/token", {"grant_type": "client_credentials", "scope": scope, **who.credentials()})
        assert answer.status_code == 200, answer.content
        token: str = answer.json()["access_token"]
        return token

    return obtain
