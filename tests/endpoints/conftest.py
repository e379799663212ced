"""A tenant, the service bulk-loader, and form posts as a partner makes them; people and apps for launches."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.key_pairs import KeyPair
from clients.tenants import TenantInfo
from smartauth.receipts import recording
from tests.endpoints.app_launch import ana, browser, cardio, dr_grey, growth_chart, mallory, parent, pocket
from tests.factories import ASSERTION_TYPE, claims_at, make_client, make_tenant, service, signed
from tests.proxy.conftest import call, calm, small
from tests.proxy.test_records import load

# Fixtures of elsewhere, for every module here.
__all__ = [
    "ana",
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
    "small",
]

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
def post() -> Post:
    """Post a form to a path."""
    browser = Browser()

    def send(path: str, params: dict[str, str], **headers: str) -> HttpResponse:
        return browser.post(path, urlencode(params), content_type="application/x-www-form-urlencoded", headers=headers)

    return send


@pytest.fixture
def get_token(post: Post) -> Callable[..., str]:
    """Let a service obtain an access token."""

    def obtain(who: Service, scope: str = "system/*.rs") -> str:
        answer = post("/auth/sandbox/token", {"grant_type": "client_credentials", "scope": scope, **who.credentials()})
        assert answer.status_code == 200, answer.content
        token: str = answer.json()["access_token"]
        return token

    return obtain
