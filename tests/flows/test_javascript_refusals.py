"""Our errors as libraries nobody here wrote understand them: each arrives as their own class, with our code in it.

RFC 6749 §4.1.2.1 and §5.2; RFC 6750 §3; RFC 7009 §2.2.1; RFC 9126 §2.3; RFC 9449 §8 and §9; OIDC Core §3.1.2.6.
"""

from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from tests.flows.javascript import JavascriptClient, Library, Refused
from tests.person import Person
from tests.world import LAUNCH_SCOPE, App, MakeApp, MakePartner, World, new_key

BODY, CHALLENGE, CALLBACK = "ResponseBodyError", "WWWAuthenticateChallengeError", "AuthorizationResponseError"
SERVICE_SCOPE = "system/Patient.rs"
ENDPOINTS: dict[str, dict[str, Any]] = {
    "refresh": {"token": "made-up"},
    "introspect": {"token": "made-up"},
    "revoke": {"token": "made-up"},
    "authorize": {"redirect_uri": "https://app.example.org", "parameters": {"scope": LAUNCH_SCOPE}, "push": True},
}


def told(client: JavascriptClient, step: str, **request: Any) -> tuple[str, int | None, str]:
    """Return the class, the status and the code of the error a step ends with."""
    with pytest.raises(Refused) as refused:
        client.ask(step, **request)
    return refused.value.kind, refused.value.status, refused.value.code


def broken(app: App) -> App:
    """Return the app with another secret or another key than it is registered with."""
    key = None
    if app.key is not None:
        key = new_key("ES384")
        key = type(key).import_key({**key.as_dict(private=True), "kid": app.key.kid})
    return replace(app, secret=app.secret and "wrong", key=key)


@pytest.mark.requirement("TOK-17", "TOK-19", "ASYM-18", "ASYM-19", "REVOKE-06", "INTRO-11", "EXT-02")
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post", "private_key_jwt"])
def test_failed_authentication_is_understood_at_every_endpoint(
    world: World, make_app: MakeApp, library: Library, method: str
) -> None:
    client = library.client(world, broken(make_app(f"{library.name}-broken-{method}".replace("_", "-"), method)))
    for step, request in ENDPOINTS.items():
        with pytest.raises(Refused) as refused:
            client.ask(step, **request)
        seen = refused.value
        if (
            method == "client_secret_basic"
        ):  # What came in the header is answered in a header, where libraries look first.
            assert (seen.kind, seen.status, seen.schemes) == (CHALLENGE, 401, ["basic"])
        else:
            assert (seen.kind, seen.status, seen.code) == (BODY, 401, "invalid_client")


APP_REFUSALS = [
    # step        request                                                              status, code
    ("refresh",   {"token": "made-up"},                                                400, "invalid_grant"),
    ("grant",     {"grant_type": "password", "parameters": {}},                        400, "unsupported_grant_type"),
    ("grant",     {"grant_type": "client_credentials", "parameters": {"scope": "x"}},  400, "unauthorized_client"),
    ("grant",     {"grant_type": "authorization_code", "parameters": {}},              400, "invalid_request"),
    ("grant",     {"grant_type": "refresh_token", "parameters": {}},                   400, "invalid_request"),
]  # fmt: skip


@pytest.mark.requirement("TOK-02", "TOK-17", "TOK-20", "REFRESH-16", "T-38")
def test_refusals_of_the_token_endpoint_are_understood(world: World, make_app: MakeApp, library: Library) -> None:
    client = library.client(world, make_app(f"{library.name}-refused".replace("_", "-"), "private_key_jwt"))
    for step, request, status, code in APP_REFUSALS:
        assert told(client, step, **request) == (BODY, status, code)


@pytest.mark.requirement("BACK-02", "BACK-03", "TOK-17", "TOK-22")
@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({}, "invalid_scope"),
        ({"scope": "system/Condition.rs"}, "invalid_scope"),
        ({"scope": SERVICE_SCOPE, "resource": "https://elsewhere.example.org/fhir"}, "invalid_target"),
    ],
)
def test_refusals_of_services_are_understood(
    world: World, make_partner: MakePartner, library: Library, parameters: dict[str, str], code: str
) -> None:
    name = f"{library.name}-service-{'-'.join(parameters)}-{code}".replace("_", "-")
    client = library.client(world, make_partner(name, scope=SERVICE_SCOPE))
    assert told(client, "client_credentials", parameters=parameters) == (BODY, 400, code)


@pytest.mark.requirement("TOK-10", "TOK-17")
def test_a_code_that_nobody_gave_is_understood(world: World, make_app: MakeApp, library: Library) -> None:
    app = make_app(f"{library.name}-made-up".replace("_", "-"))
    client = library.client(world, app)
    state = parse_qs(urlsplit(client.authorize()).query)["state"][0]
    callback = f"{app.redirect_uri}?{urlencode({'code': 'made-up', 'state': state})}"
    assert told(client, "exchange", url=callback) == (BODY, 400, "invalid_grant")


CALLBACKS = [
    # parameters                                    code
    ({"prompt": "none"},                            "login_required"),
    ({"scope": "system/*.rs"},                      "invalid_scope"),
    ({"aud": "https://elsewhere.example.org/fhir"}, "invalid_request"),
    ({"response_mode": "fragment"},                 "invalid_request"),
    ({"request": "e30.e30."},                       "request_not_supported"),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-08", "AUTHZ-17", "AUTHZ-24", "AUTHZ-26", "AUTHZ-27", "T-26")
def test_errors_on_the_callback_are_understood(world: World, make_app: MakeApp, library: Library) -> None:
    client = library.client(world, make_app(f"{library.name}-callbacks".replace("_", "-")))
    nobody = Person(world.base_url, "nobody", "")
    for parameters, code in CALLBACKS:
        callback = nobody.launch(client.authorize(**parameters))
        assert told(client, "exchange", url=callback) == (CALLBACK, None, code)
    assert nobody.kinds == []


@pytest.mark.requirement("EXT-01", "EXT-02")
def test_a_library_learns_at_once_what_is_wrong_with_a_pushed_request(
    world: World, make_app: MakeApp, library: Library
) -> None:
    app = make_app(f"{library.name}-push-wrong".replace("_", "-"))
    client = library.client(world, app)
    for parameters, code in CALLBACKS[1:]:
        wanted = {"scope": LAUNCH_SCOPE, "aud": world.fhir_base} | parameters
        request = {"redirect_uri": app.redirect_uri, "parameters": wanted, "push": True}
        assert told(client, "authorize", **request) == (BODY, 400, code)


@pytest.mark.requirement("EXT-05", "EXT-06", "EXT-07")
def test_what_is_wrong_with_a_proof_is_understood(world: World, make_partner: MakePartner, library: Library) -> None:
    name = f"{library.name}-proofs".replace("_", "-")
    partner = make_partner(name, scope=SERVICE_SCOPE, dpop_bound_access_tokens=True)
    asked = {"parameters": {"scope": SERVICE_SCOPE}}
    assert told(library.client(world, partner), "client_credentials", **asked) == (BODY, 400, "invalid_dpop_proof")
    token = library.client(world, partner, bind=True).ask("client_credentials", **asked)["access_token"]
    read = {"url": f"{world.fhir_base}/Patient/ana", "token": token}
    with_another_key = library.client(world, partner, bind=True)
    assert told(with_another_key, "read", **read) == (CHALLENGE, 401, "invalid_dpop_proof")
    with pytest.raises(Refused) as refused:
        library.client(world, partner).ask("read", **read)
    assert (refused.value.kind, refused.value.schemes) == (CHALLENGE, ["bearer", "dpop"])


@pytest.mark.requirement("EXT-07")
def test_the_demand_for_a_nonce_is_understood(world: World, make_partner: MakePartner, oauth4webapi: Library) -> None:
    """openid-client understands it, too, but asks again by itself, so nobody sees the demand."""
    bound = {"dpop_bound_access_tokens": True, "require_dpop_nonce": True}
    client = oauth4webapi.client(world, make_partner("oauth4webapi-nonces", scope=SERVICE_SCOPE, **bound), bind=True)
    asked = {"parameters": {"scope": SERVICE_SCOPE}, "once": True}
    assert told(client, "client_credentials", **asked) == (BODY, 400, "use_dpop_nonce")
    client.ask("client_credentials", **asked)
    client.ask("forget_nonces")
    read = {"url": f"{world.fhir_base}/Patient/ana", "once": True}
    assert told(client, "read", **read) == (CHALLENGE, 401, "use_dpop_nonce")
    assert client.ask("read", **read)["status"] == 200


@pytest.mark.requirement("T-52")
def test_refusals_of_the_fhir_api_are_understood(world: World, make_partner: MakePartner, library: Library) -> None:
    client = library.client(world, make_partner(f"{library.name}-reads".replace("_", "-"), scope=SERVICE_SCOPE))
    client.ask("client_credentials", parameters={"scope": SERVICE_SCOPE})
    observations = f"{world.fhir_base}/Observation?patient=ana"
    assert told(client, "read", url=observations) == (CHALLENGE, 403, "insufficient_scope")
    assert told(client, "read", url=observations, token="made-up") == (CHALLENGE, 401, "invalid_token")


@pytest.mark.requirement("REVOKE-03", "REVOKE-06")
def test_refusals_of_revocation_are_understood(world: World, make_partner: MakePartner, library: Library) -> None:
    prefix = library.name.replace("_", "-")
    owner = library.client(world, make_partner(f"{prefix}-owner", scope=SERVICE_SCOPE))
    thief = library.client(world, make_partner(f"{prefix}-thief", scope=SERVICE_SCOPE))
    token = owner.ask("client_credentials", parameters={"scope": SERVICE_SCOPE})["access_token"]
    kind, status, code = told(thief, "revoke", token=token)
    assert (kind, status, code) == (BODY, 400, "unauthorized_client")
    assert owner.read("Patient/ana")["status"] == 200
