"""App launch in libraries nobody here wrote, openid-client and oauth4webapi: from discovery to the end of the grant.

They judge callbacks, ID tokens (issuer, audience, signature, nonce, times), userinfo and every other answer by
themselves. OIDC Core §3.1.3.7 and §5.3.2; RFC 6749 §4.1 and §6; RFC 7009; RFC 7636; RFC 7662; RFC 9126; RFC 9207;
RFC 9449; OIDC RP-Initiated Logout; SMART 2.2 app-launch.
"""

import time
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc import jws

from smartauth.models import AuthorizationCode
from smartauth.people.models import User
from tests.flows.javascript import JavascriptClient, Library, Refused
from tests.world import LAUNCH_SCOPE, MakeApp, MakePartner, MakePerson, World

MARK_TIME = 1.0  # seconds within which a change is seen by every worker
METHODS = [
    # how the app authenticates, how its ID tokens are signed
    ("none", "RS256"),
    ("client_secret_basic", "ES256"),
    ("client_secret_post", "RS256"),
    ("private_key_jwt", "ES256"),
]


def named(library: Library, *words: object) -> str:
    """Return a client id that no other test has."""
    return "-".join(map(str, (library.name, *words))).replace("_", "-").lower()


def assert_ended(client: JavascriptClient, **request: str) -> None:
    """Every worker refuses the token from now on, as the library understands it."""
    time.sleep(MARK_TIME)
    for _ in range(4):
        with pytest.raises(Refused) as refused:
            client.read("Patient/ana", **request)
        seen = refused.value
        assert (seen.kind, seen.status, seen.code) == ("WWWAuthenticateChallengeError", 401, "invalid_token")


@pytest.mark.clocked
@pytest.mark.requirement("OIDC-03", "OIDC-04", "OIDC-05", "OIDC-06", "OIDC-13", "OIDC-15", "T-41", "T-42", "T-44")
@pytest.mark.requirement("TOK-04", "TOK-12", "TOK-14", "TOK-16", "SYM-01", "SYM-04", "ASYM-19")
@pytest.mark.requirement(
    "REFRESH-08", "REFRESH-13", "REFRESH-14", "INTRO-02", "INTRO-04", "INTRO-07", "INTRO-13", "T-50"
)
@pytest.mark.requirement("REVOKE-01", "REVOKE-02", "REVOKE-05", "REVOKE-06", "REVOKE-08", "T-61")
@pytest.mark.parametrize(("method", "id_token_alg"), METHODS)
def test_a_launch_from_discovery_to_revocation(
    world: World,
    make_app: MakeApp,
    make_partner: MakePartner,
    make_person: MakePerson,
    library: Library,
    method: str,
    id_token_alg: str,
) -> None:
    app = make_app(named(library, method), method, id_token_signed_response_alg=id_token_alg)
    demanded = {"id_token_signed_response_alg": id_token_alg, "require_auth_time": True}
    client = library.client(world, app, metadata=demanded)
    checker = library.client(world, make_partner(named(library, "checks", method), scope="__introspect"))
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")

    callback = ana.launch(client.authorize(max_age="3600"), patient="ana")
    assert callback.startswith(f"{app.redirect_uri}?")
    assert (ana.kinds[0], ana.kinds[-1]) == ("sign-in", "consent")
    tokens = client.ask("exchange", url=callback)
    assert (tokens["token_type"], tokens["patient"]) == ("bearer", "ana")
    assert set(tokens["scope"].split()) == set(LAUNCH_SCOPE.split())
    assert jws.extract_compact(tokens["id_token"].encode()).headers()["alg"] == id_token_alg
    claims = tokens["claims"]
    assert claims["sub"] == str(User.objects.get(username=ana.username).subject)
    assert claims["fhirUser"] == f"{world.fhir_base}/Patient/ana"
    assert time.time() - 60 < claims["auth_time"] <= claims["iat"]

    assert client.ask("userinfo")["sub"] == claims["sub"]
    patient = client.read("Patient/ana")
    assert (patient["status"], patient["body"]["id"]) == (200, "ana")
    told = checker.ask("introspect", token=tokens["access_token"])
    assert told["active"] is True
    assert told.items() >= {"iss": claims["iss"], "sub": claims["sub"], "client_id": app.client_id}.items()
    assert told.items() >= {name: tokens[name] for name in ("scope", "patient")}.items()

    refreshed = client.ask("refresh")
    assert refreshed["access_token"] != tokens["access_token"]
    assert refreshed["refresh_token"] != tokens["refresh_token"]
    assert (refreshed["patient"], refreshed["scope"]) == (tokens["patient"], tokens["scope"])
    assert client.read("Patient/ana")["status"] == 200
    assert client.ask("userinfo")["sub"] == claims["sub"]

    assert checker.ask("introspect", token=refreshed["refresh_token"]) == {"active": False}
    with pytest.raises(Refused) as refused:
        client.ask("revoke", token=tokens["id_token"])
    assert (refused.value.kind, refused.value.code) == ("ResponseBodyError", "unsupported_token_type")
    assert client.ask("revoke", token=refreshed["refresh_token"], hint="refresh_token") is None
    assert checker.ask("introspect", token=refreshed["access_token"]) == {"active": False}
    assert_ended(client)
    with pytest.raises(Refused) as refused:
        client.ask("refresh")
    assert (refused.value.kind, refused.value.code) == ("ResponseBodyError", "invalid_grant")


@pytest.mark.clocked
@pytest.mark.requirement("REVOKE-05", "REVOKE-08")
def test_an_access_token_is_revoked_alone(
    world: World, make_app: MakeApp, make_person: MakePerson, library: Library
) -> None:
    client = library.client(world, make_app(named(library, "alone")))
    ana = make_person(named(library, "ana-alone"), "Patient/ana")
    tokens = client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    assert client.read("Patient/ana")["status"] == 200
    client.ask("revoke", token=tokens["access_token"], hint="access_token")
    assert_ended(client)
    client.ask("refresh")
    assert client.read("Patient/ana")["status"] == 200


@pytest.mark.clocked
@pytest.mark.requirement("TOK-10", "AUTHZ-20", "T-33")
def test_a_code_that_comes_again_ends_what_it_gave(
    world: World, make_app: MakeApp, make_person: MakePerson, library: Library
) -> None:
    client = library.client(world, make_app(named(library, "again")))
    callback = make_person(named(library, "ana-again"), "Patient/ana").launch(client.authorize(), patient="ana")
    client.ask("exchange", url=callback)
    assert client.read("Patient/ana")["status"] == 200
    for step, request in (("exchange", {"url": callback}), ("refresh", {})):
        with pytest.raises(Refused) as refused:
            client.ask(step, **request)
        assert (refused.value.kind, refused.value.code) == ("ResponseBodyError", "invalid_grant")
    assert_ended(client)


@pytest.mark.requirement("EXT-01", "EXT-03", "EXT-04", "ASYM-19")
@pytest.mark.parametrize("method", ["none", "client_secret_basic", "private_key_jwt"])
def test_a_request_is_pushed(
    world: World, make_app: MakeApp, make_person: MakePerson, library: Library, method: str
) -> None:
    app = make_app(named(library, "push", method), method, require_pushed_authorization_requests=True)
    client = library.client(world, app)
    ana = make_person(f"ana-{app.client_id}", "Patient/ana")
    url = client.authorize(push=True)
    assert set(parse_qs(urlsplit(url).query)) == {"client_id", "request_uri"}
    tokens = client.ask("exchange", url=ana.launch(url, patient="ana"))
    assert (tokens["token_type"], tokens["patient"]) == ("bearer", "ana")
    with pytest.raises(Refused) as refused:
        client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    assert (refused.value.kind, refused.value.code) == ("AuthorizationResponseError", "invalid_request")


BOUND = [
    # method               pushed  demands a nonce
    ("none",                False, False),
    ("none",                True,  True),
    ("client_secret_basic", True,  False),
    ("private_key_jwt",     False, True),
]  # fmt: skip


@pytest.mark.requirement("EXT-05", "EXT-06", "EXT-07", "EXT-08", "SEC-04")
@pytest.mark.parametrize(("method", "push", "demands_nonce"), BOUND)
def test_tokens_are_bound_to_a_key(
    world: World,
    make_app: MakeApp,
    make_person: MakePerson,
    library: Library,
    method: str,
    push: bool,
    demands_nonce: bool,
) -> None:
    name = named(library, "bound", method, push, demands_nonce)
    app = make_app(name, method, dpop_bound_access_tokens=True, require_dpop_nonce=demands_nonce)
    client = library.client(world, app, bind=True)
    ana = make_person(f"ana-{name}", "Patient/ana")

    # Libraries learn nonces from answers: they ask again whenever they are told one.
    callback = ana.launch(client.authorize(push=push), patient="ana")
    tokens = client.ask("exchange", url=callback)
    assert (tokens["token_type"], tokens["patient"]) == ("dpop", "ana")
    assert AuthorizationCode.objects.filter(application__client_id=name).exclude(dpop_jkt="").count() == 1
    assert [status for _, status in client.answered() if status >= 400] == ([400] if demands_nonce else [])

    client.ask("forget_nonces")
    assert client.ask("userinfo")["sub"] == tokens["claims"]["sub"]
    assert [status for _, status in client.answered()] == ([401, 200] if demands_nonce else [200])
    for _ in range(2):
        assert client.ask("userinfo")["sub"] == tokens["claims"]["sub"]
        for path in ("Patient/ana", "Observation?patient=ana&_count=2"):
            assert client.read(path)["status"] == 200
        refreshed = client.ask("refresh")
        assert (refreshed["token_type"], refreshed["patient"]) == ("dpop", "ana")

    stolen = library.client(world, make_app(f"thief-{name}"))
    with pytest.raises(Refused) as refused:
        stolen.read("Patient/ana", token=refreshed["access_token"])
    seen = refused.value
    assert (seen.kind, seen.status) == ("WWWAuthenticateChallengeError", 401)
    assert "dpop" in seen.schemes


@pytest.mark.requirement("OIDC-16", "OIDC-17", "OIDC-18", "OIDC-19")
def test_an_app_signs_its_user_out(
    world: World, make_app: MakeApp, make_person: MakePerson, openid_client: Library
) -> None:
    home = "https://app.example.org/openid-logout/home"
    client = openid_client.client(world, make_app("openid-logout", post_logout_redirect_uris=[home]))
    ana = make_person("ana-logout", "Patient/ana")
    client.ask("exchange", url=ana.launch(client.authorize(), patient="ana"))
    # Signed in at the browser: the app showed an ID token about her, so nobody asks.
    url = client.ask("end_session", post_logout_redirect_uri=home, state="back.again")
    assert ana.launch(url) == f"{home}?state=back.again"
    assert ana.kinds == []
    client.ask("refresh")  # offline_access does not end with the session.
    assert client.read("Patient/ana")["status"] == 200
    ana.launch(client.authorize(), patient="ana")
    assert ana.kinds[0] == "sign-in"
