"""The world of tests over real HTTP: two worker processes, a FHIR server behind, a database of their own."""

import json
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import Argon2PasswordHasher, make_password
from django.db import connections
from joserfc.jwk import ECKey, Key, RSAKey
from psycopg.conninfo import conninfo_to_dict

from clients.registration import Registered, register_client
from clients.tenants import TenantInfo, find_tenant
from fhirproxy.r4server import process as r4server
from smartauth.marks.poller import TRUSTED_FOR
from smartauth.people.models import FhirUser, User
from tests import settings as test_settings
from tests.person import Person
from tests.servers import Server, database, running_server

# Seconds after which every worker has heard of a change, however busy the machine is. Promised is one: see `clocked`.
HEARD = TRUSTED_FOR + 0.2
# What an app asks for that reads one patient's record now and later.
LAUNCH_SCOPE = "launch/patient openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"


@dataclass(frozen=True, slots=True)
class World:
    """A running system. Rows written through the ORM are seen by its workers, and the reverse."""

    server: Server
    upstream: r4server.Running
    tenant: str

    @property
    def base_url(self) -> str:
        return self.server.base_url

    @property
    def token_url(self) -> str:
        return f"{self.base_url}/auth/{self.tenant}/token"

    @property
    def fhir_base(self) -> str:
        return f"{self.base_url}/fhir/{self.tenant}/r4"

    def mint(self, **claims: Any) -> str:
        """Return an access token with exactly these claims, from the debugging command."""
        done = self.server.command("issue_token", "--json", "-", stdin=json.dumps(claims))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@pytest.fixture(scope="session")
def _world(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    var = tmp_path_factory.mktemp("world")
    bearer_file = var / "upstream-bearer"
    with (
        database(str(test_settings.DATABASE_URL)) as url,
        r4server.running(population="sandbox") as upstream,
        running_server(database_url=url, var=var, workers=2) as server,
    ):
        bearer_file.write_text(upstream.bearer)
        made = server.command(
            "create_tenant",
            *("--slug", "sandbox", "--upstream", upstream.base_url, "--upstream-bearer-file", str(bearer_file)),
        )
        assert made.returncode == 0, made.stderr
        yield World(server, upstream, "sandbox")


@pytest.fixture
def world(_world: World, settings: Any, django_db_blocker: Any) -> Iterator[World]:
    """Give the running system, with this process's ORM and URLs pointed at it."""
    with beside(_world, settings, django_db_blocker):
        yield _world


@contextmanager
def beside(running: World, settings: Any, django_db_blocker: Any) -> Iterator[None]:
    """Point this process's ORM and URLs at a running system."""
    connection = connections["default"]
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = conninfo_to_dict(running.server.environment["DATABASE_URL"])["dbname"]
    settings.SMARTAUTH = replace(
        settings.SMARTAUTH, base_url=running.base_url, var=Path(running.server.environment["SMARTAUTH_VAR"])
    )
    with django_db_blocker.unblock():
        yield
        connection.close()
    connection.settings_dict["NAME"] = name


def tenant_of(world: World) -> TenantInfo:
    tenant = find_tenant(world.tenant)
    assert tenant is not None
    return tenant


def register(world: World, metadata: dict[str, Any]) -> Registered:
    """Register a client that is active at the tenant of the world; its name is its id."""
    named = {"client_name": metadata["client_id"], **metadata}
    return register_client(named, operator=True, activate_at=(tenant_of(world),))


def new_key(alg: str) -> Key:
    parameters = {"alg": alg, "use": "sig"}
    key: Key = (
        RSAKey.generate_key(2048, parameters) if alg.startswith("RS") else ECKey.generate_key("P-384", parameters)
    )
    key.ensure_kid()
    return key


def key_set(key: Key) -> dict[str, Any]:
    return {"keys": [key.as_dict(private=False)]}


@dataclass(frozen=True, slots=True)
class Partner:
    """A registered backend service with its private key."""

    client_id: str
    key: Key
    alg: str


MakePartner = Callable[..., Partner]


@pytest.fixture
def make_partner(world: World) -> MakePartner:
    """Register backend services with fresh keys, active at the tenant of the world."""

    def make(client_id: str, alg: str = "ES384", scope: str = "system/*.rs", **metadata: Any) -> Partner:
        key = new_key(alg)
        if "jwks_uri" not in metadata:
            metadata["jwks"] = key_set(key)
        service = {
            "client_id": client_id,
            "token_endpoint_auth_method": "private_key_jwt",
            "grant_types": ["client_credentials"],
            "scope": scope,
        }
        register(world, service | metadata)
        return Partner(client_id, key, alg)

    return make


@dataclass(frozen=True, slots=True)
class App:
    """A registered app that people use, with what it authenticates with: a secret, an ES384 key, or nothing."""

    client_id: str
    method: str  # token_endpoint_auth_method
    redirect_uri: str
    secret: str | None
    key: Key | None


MakeApp = Callable[..., App]


@pytest.fixture
def make_app(world: World) -> MakeApp:
    """Register apps of any authentication method, active at the tenant of the world."""

    def make(client_id: str, method: str = "none", scope: str = LAUNCH_SCOPE, **metadata: Any) -> App:
        key = new_key("ES384") if method == "private_key_jwt" else None
        app = {
            "client_id": client_id,
            "token_endpoint_auth_method": method,
            "grant_types": ["authorization_code", "refresh_token"],
            "redirect_uris": [f"https://app.example.org/{client_id}/callback"],
            "scope": scope,
            **({"jwks": key_set(key)} if key else {}),
        } | metadata
        return App(client_id, method, app["redirect_uris"][0], register(world, app).secret, key)

    return make


MakePerson = Callable[..., Person]


@pytest.fixture
def make_person(world: World) -> MakePerson:
    """Make people who can sign in, each with a fresh browser; `fhir_user` is who they are at the tenant."""

    def make(username: str, fhir_user: str | None = None) -> Person:
        password = secrets.token_urlsafe(16)
        # The server hashes with Argon2, this process with something cheap.
        stored = make_password(password, hasher=Argon2PasswordHasher())
        user = User.objects.create(username=username, password=stored)
        if fhir_user is not None:
            FhirUser.objects.create(user=user, tenant_id=tenant_of(world).pk, reference=fhir_user)
        return Person(world.base_url, username, password)

    return make
