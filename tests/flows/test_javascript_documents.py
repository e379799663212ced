"""The public documents, and our access tokens, as judged by libraries nobody here wrote.

OIDC Discovery §4; RFC 8414 §3; RFC 9728 §3; RFC 9068 §4.
"""

import pytest
import requests

from tests.flows.javascript import Library, Refused
from tests.world import App, MakePartner, World

DOCUMENTS = [
    # algorithm, well-known name
    ("oidc", "openid-configuration"),
    ("oauth2", "oauth-authorization-server"),
]
NOBODY = App("nobody", "none", "https://app.example.org/callback", None, None)


@pytest.mark.requirement("OIDC-01", "OIDC-02", "OIDC-03", "META-01", "META-02", "DISC-11")
@pytest.mark.parametrize(("algorithm", "name"), DOCUMENTS)
def test_a_library_finds_the_server_from_its_issuer(world: World, library: Library, algorithm: str, name: str) -> None:
    client = library.client(world, NOBODY, document=algorithm)
    assert client.answered() == [(f"/.well-known/{name}", 200)]
    assert client.metadata == requests.get(f"{world.base_url}/.well-known/{name}", timeout=10).json()
    smart = requests.get(f"{world.fhir_base}/.well-known/smart-configuration", timeout=10).json()
    shared = [
        member for member in smart if member.endswith(("_endpoint", "_uri", "issuer")) and member in client.metadata
    ]
    assert len(shared) >= 7
    assert {member: client.metadata[member] for member in shared} == {member: smart[member] for member in shared}


@pytest.mark.requirement("OIDC-03", "META-01")
@pytest.mark.parametrize(("algorithm", "name"), DOCUMENTS)
def test_no_path_below_the_issuer_is_an_issuer(world: World, library: Library, algorithm: str, name: str) -> None:
    with pytest.raises(Refused) as refused:
        library.ask(
            "discover",
            session="elsewhere",
            issuer=f"{world.base_url}/auth/{world.tenant}",
            algorithm=algorithm,
            client_id="nobody",
            authenticate={"method": "none"},
        )
    assert refused.value.code == "OAUTH_RESPONSE_IS_NOT_CONFORM"


@pytest.mark.requirement("EXT-12")
def test_a_fhir_base_leads_to_the_issuer(world: World, oauth4webapi: Library) -> None:
    client = oauth4webapi.client(world, NOBODY)
    told = client.ask("resource", url=world.fhir_base)
    assert (told["resource"], told["authorization_servers"]) == (world.fhir_base, [world.base_url])


@pytest.mark.requirement("AT-02", "AT-03", "AT-06")
def test_an_access_token_is_one_of_rfc_9068_for_its_fhir_base_only(
    world: World, make_partner: MakePartner, oauth4webapi: Library
) -> None:
    partner = make_partner("oauth4webapi-at")
    client = oauth4webapi.client(world, partner)
    client.ask("client_credentials", parameters={"scope": "system/Patient.rs"})
    claims = client.ask("validate", audience=world.fhir_base)
    assert (claims["client_id"], claims["sub"], claims["scope"]) == (
        partner.client_id,
        partner.client_id,
        "system/Patient.rs",
    )
    with pytest.raises(Refused) as refused:
        client.ask("validate", audience=f"{world.base_url}/fhir/another/r4")
    assert refused.value.code == "OAUTH_JWT_CLAIM_COMPARISON_FAILED"
