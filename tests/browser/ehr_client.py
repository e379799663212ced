"""An EHR of somebody else: a backend service that may begin launches, with Authlib as its client."""

import secrets
from dataclasses import dataclass
from typing import Any

from authlib.integrations.requests_client import OAuth2Session

from tests.flows.authlib_session import keyed_session
from tests.world import World, key_set, new_key, register


@dataclass(frozen=True, slots=True)
class Ehr:
    """A registered EHR with a token."""

    world: World
    session: OAuth2Session

    def launch(self, client_id: str, **said: Any) -> str:
        """Begin a launch and return the URL at which the EHR opens the app."""
        body = {"client_id": client_id, "iss": self.world.fhir_base, **said}
        answer = self.session.post(f"{self.world.base_url}/auth/launch", json=body, timeout=10)
        assert answer.status_code == 201, answer.text
        url: str = answer.json()["launch_url"]
        return url


def register_ehr(world: World) -> Ehr:
    """Register an EHR and get its token."""
    client_id = f"ehr-{secrets.token_hex(4)}"
    key = new_key("ES384")
    metadata = {
        "client_id": client_id,
        "token_endpoint_auth_method": "private_key_jwt",
        "grant_types": ["client_credentials"],
        "jwks": key_set(key),
        "scope": "__launch",
    }
    register(world, metadata)
    session = keyed_session(world, client_id, key, alg="ES384", scope="__launch")
    session.fetch_token(world.token_url, grant_type="client_credentials")
    return Ehr(world, session)
