"""App launch with a client nobody here wrote: Authlib, with keys or secrets and PKCE, over real HTTP.

RFC 6749 §4.1 and §6; RFC 7523; RFC 7636; SMART 2.2 app-launch.
"""

import time

import pytest
import requests
from authlib.common.security import generate_token
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session

from tests.flows.authlib_session import keyed_session
from tests.person import Person
from tests.world import LAUNCH_SCOPE, MakeApp, MakePerson, World, make_app, make_person

__all__ = ["make_app", "make_person"]


def launched(world: World, make_app: MakeApp, make_person: MakePerson, name: str) -> OAuth2Session:
    """Return a session that holds the tokens of a finished launch by a person who is Patient/ana."""
    app = make_app(name, "private_key_jwt")
    assert app.key is not None
    smart = requests.get(f"{world.fhir_base}/.well-known/smart-configuration", timeout=10).json()
    session = keyed_session(
        world,
        app.client_id,
        app.key,
        alg="ES384",
        scope=LAUNCH_SCOPE,
        redirect_uri=app.redirect_uri,
        code_challenge_method="S256",
        token_endpoint=smart["token_endpoint"],
    )
    launch(session, world, smart["authorization_endpoint"], make_person(f"ana-{name}", "Patient/ana"))
    return session


def launch(session: OAuth2Session, world: World, endpoint: str, person: Person) -> None:
    """Let a session launch as an app that reads ana, and fetch its tokens."""
    verifier = generate_token(64)
    url, state = session.create_authorization_url(endpoint, code_verifier=verifier, aud=world.fhir_base)
    callback = person.launch(url, patient="ana")
    session.fetch_token(authorization_response=callback, state=state, code_verifier=verifier)


def test_authlib_launches_reads_and_refreshes(world: World, make_app: MakeApp, make_person: MakePerson) -> None:
    session = launched(world, make_app, make_person, "authlib-app")
    first = dict(session.token)
    assert (first["token_type"], first["patient"]) == ("Bearer", "ana")
    assert set(first["scope"].split()) == set(LAUNCH_SCOPE.split())
    assert session.get(f"{world.fhir_base}/Patient/ana").json()["id"] == "ana"
    assert session.get(f"{world.fhir_base}/Patient/ben").status_code == 404

    refreshed = session.refresh_token(session.metadata["token_endpoint"])
    assert refreshed["access_token"] != first["access_token"]
    assert (refreshed["patient"], refreshed["scope"]) == (first["patient"], first["scope"])
    assert session.get(f"{world.fhir_base}/Observation?patient=ana&_count=2").json()["resourceType"] == "Bundle"


@pytest.mark.requirement("SYM-01", "SYM-04", "TOK-07")
@pytest.mark.parametrize(
    ("method", "other"),
    [("client_secret_basic", "client_secret_post"), ("client_secret_post", "client_secret_basic")],
)
def test_authlib_shows_its_secret_where_it_is_registered_to(
    world: World, make_app: MakeApp, make_person: MakePerson, method: str, other: str
) -> None:
    app = make_app(f"authlib-{method.replace('_', '-')}", method)
    smart = requests.get(f"{world.fhir_base}/.well-known/smart-configuration", timeout=10).json()
    assert {method, other} <= set(smart["token_endpoint_auth_methods_supported"])
    session = OAuth2Session(
        app.client_id,
        app.secret,
        scope=LAUNCH_SCOPE,
        redirect_uri=app.redirect_uri,
        code_challenge_method="S256",
        token_endpoint=smart["token_endpoint"],
        token_endpoint_auth_method=method,
    )
    person = make_person(f"ana-{app.client_id}", "Patient/ana")
    launch(session, world, smart["authorization_endpoint"], person)
    assert session.get(f"{world.fhir_base}/Patient/ana").json()["id"] == "ana"
    session.refresh_token(session.metadata["token_endpoint"])
    assert session.get(f"{world.fhir_base}/Patient/ana").json()["id"] == "ana"

    session.token_endpoint_auth_method = other
    with pytest.raises(OAuthError) as refused:
        session.refresh_token(session.metadata["token_endpoint"])
    assert refused.value.error == "invalid_client"


def test_authlib_refreshes_by_itself_when_the_access_token_has_expired(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    session = launched(world, make_app, make_person, "authlib-expired")
    first = session.token["access_token"]
    session.token["expires_at"] = int(time.time()) - 1
    assert session.get(f"{world.fhir_base}/Patient/ana").status_code == 200
    assert session.token["access_token"] != first


def test_authlib_is_refused_a_refresh_for_more_than_was_granted(
    world: World, make_app: MakeApp, make_person: MakePerson
) -> None:
    session = launched(world, make_app, make_person, "authlib-greedy")
    with pytest.raises(OAuthError) as refused:
        session.refresh_token(session.metadata["token_endpoint"], scope=f"{LAUNCH_SCOPE} patient/Condition.rs")
    assert refused.value.error == "invalid_scope"
