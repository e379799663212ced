"""Two tenants with a FHIR server behind, apps and services of every kind, and somebody who uses them."""

import pytest

from clients.key_pairs import KeyPair
from clients.tenants import TenantInfo
from smartauth.people.models import User
from tests.endpoints.app_launch import App, ana, make_app
from tests.endpoints.conftest import Service, bulk_loader, register, tenant
from tests.factories import make_client, make_tenant, phone_app, service, web_app
from tests.fuzz.good import Cast
from tests.proxy.conftest import Behind, calm, small
from tests.world import _world, world

__all__ = ["_world", "ana", "bulk_loader", "calm", "register", "small", "tenant", "world"]


@pytest.fixture
def behind(small: Behind, calm: None) -> None:
    """Have a FHIR server behind the tenant, and no refusals counted yet."""


@pytest.fixture
def growth_chart(tenant: TenantInfo) -> App:
    return make_app(phone_app(client_name="Growth Chart"), tenant)


@pytest.fixture
def cast(behind: None, tenant: TenantInfo, ana: User, growth_chart: App, ec: KeyPair, ec256: KeyPair) -> Cast:
    """Have everybody that a good request needs, and others to mistake them for."""
    make_tenant("elsewhere")
    keys = {"jwks": {"keys": [ec.public_jwk]}}
    make_client(service(client_id="bulk-loader", **keys), activate_at=(tenant,))
    make_client(service(client_id="another-service", jwks={"keys": [ec256.public_jwk]}), activate_at=(tenant,))
    signing = web_app(client_id="signing", token_endpoint_auth_method="private_key_jwt", **keys)
    return Cast(
        tenant=tenant,
        user=ana,
        public=growth_chart,
        secret=make_app(web_app(client_name="Cardio Clinic"), tenant),
        signing=make_app(signing, tenant),
        other=make_app(phone_app(client_id="other", redirect_uris=["https://other.example.org/callback"]), tenant),
        service=Service("bulk-loader", ec),
        stranger=Service("another-service", ec256),
    )
