"""Backend services in libraries nobody here wrote: assertions, introspection, revocation and bound tokens.

RFC 6749 §4.4; RFC 7523; RFC 7662; RFC 7009; RFC 9449; SMART 2.2 backend-services.
"""

import time

import pytest

from tests.flows.javascript import Library, Refused
from tests.world import MakePartner, World

MARK_TIME = 1.0  # seconds within which a change is seen by every worker
SCOPE = "system/Patient.rs system/Observation.rs"


@pytest.mark.clocked
@pytest.mark.requirement("BACK-01", "BACK-04", "BACK-05", "BACK-06", "ASYM-19")
@pytest.mark.requirement("INTRO-01", "INTRO-02", "REVOKE-01", "REVOKE-04", "REVOKE-08", "AT-08", "T-64")
@pytest.mark.parametrize("alg", ["RS384", "ES384"])
def test_a_service_gets_a_token_reads_introspects_and_revokes(
    world: World, make_partner: MakePartner, library: Library, alg: str
) -> None:
    name = f"{library.name}-{alg}".replace("_", "-").lower()
    scope = f"{SCOPE} __introspect"
    client = library.client(world, make_partner(name, alg, scope))
    for _ in range(2):  # Each time with an assertion of its own.
        answer = client.ask("client_credentials", parameters={"scope": scope})
    assert set(answer) == {"access_token", "token_type", "expires_in", "scope"}
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 300)
    assert set(answer["scope"].split()) == set(scope.split())
    assert client.read("Patient/ana")["body"]["id"] == "ana"

    token = answer["access_token"]
    told = client.ask("introspect", token=token)
    expected = {"active": True, "client_id": name, "sub": name, "iss": world.base_url, "scope": answer["scope"]}
    assert told.items() >= expected.items()
    for _ in range(2):  # A token that is dead already is revoked all the same.
        assert client.ask("revoke", token=token) is None
    assert client.ask("introspect", token=token) == {"active": False}
    time.sleep(MARK_TIME)
    with pytest.raises(Refused) as refused:
        client.read("Patient/ana")
    assert (refused.value.status, refused.value.code) == (401, "invalid_token")


@pytest.mark.requirement("EXT-05", "EXT-06", "EXT-07", "SEC-04")
@pytest.mark.parametrize("demands_nonce", [False, True])
def test_a_service_gets_a_token_that_is_bound_to_its_key(
    world: World, make_partner: MakePartner, library: Library, demands_nonce: bool
) -> None:
    name = f"{library.name}-bound-service-{demands_nonce}".replace("_", "-").lower()
    partner = make_partner(
        name, scope=f"{SCOPE} __introspect", dpop_bound_access_tokens=True, require_dpop_nonce=demands_nonce
    )
    client = library.client(world, partner, bind=True)
    client.answered()

    def statuses() -> list[int]:
        return [status for _, status in client.answered()]

    for told_nonce in (False, True):  # The second time a library has the nonce that it was told.
        answer = client.ask("client_credentials", parameters={"scope": SCOPE})
        assert (answer["token_type"], answer["scope"]) == ("dpop", SCOPE)
        assert statuses() == ([400, 200] if demands_nonce and not told_nonce else [200])
        assert client.read("Patient/ana")["status"] == 200
        assert statuses() == [200]
    client.ask("forget_nonces")
    assert client.read("Patient/ana")["status"] == 200
    assert statuses() == ([401, 200] if demands_nonce else [200])
    told = client.ask("introspect", token=answer["access_token"])
    assert told["active"] is True
    assert set(told["cnf"]) == {"jkt"}
