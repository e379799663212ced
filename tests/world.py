"""The world of tests over real HTTP: two worker processes, a FHIR server behind, a database of their own."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from joserfc.jwk import ECKey, Key, RSAKey
from psycopg.conninfo import conninfo_to_dict

from clients.registration import register_client
from clients.tenants import find_tenant
from fhirproxy.r4server import process as r4server
from tests import settings as test_settings
from tests.servers import Server, database, running_server


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
    connection = connections["default"]
    name = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = conninfo_to_dict(_world.server.environment["DATABASE_URL"])["dbname"]
    settings.SMARTAUTH = replace(
        settings.SMARTAUTH, base_url=_world.base_url, var=Path(_world.server.environment["SMARTAUTH_VAR"])
    )
    with django_db_blocker.unblock():
        yield _world
        connection.close()
    connection.settings_dict["NAME"] = name


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
        parameters = {"alg": alg, "use": "sig"}
        key: Key = (
            RSAKey.generate_key(2048, parameters) if alg.startswith("RS") else ECKey.generate_key("P-384", parameters)
        )
        key.ensure_kid()
        if "jwks_uri" not in metadata:
            metadata["jwks"] = {"keys": [key.as_dict(private=False)]}
        tenant = find_tenant(world.tenant)
        assert tenant is not None
        register_client(
            {
                "client_id": client_id,
                "client_name": client_id,
                "token_endpoint_auth_method": "private_key_jwt",
                "grant_types": ["client_credentials"],
                "scope": scope,
                **metadata,
            },
            operator=True,
            activate_at=(tenant,),
        )
        return Partner(client_id, key, alg)

    return make
