"""Clients of SMART 1.0 and of Bulk Data's first release: the same server, in their words.

SMART App Launch 1.0, scopes-and-launch-context and conformance; Bulk Data Access STU 1, "Authorization"; RFC 6749
§2.3.1.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.key_pairs import KeyPair
from clients.tenants import TenantInfo
from smartauth.models import Authorization
from smartauth.people.models import User
from tests.endpoints.app_launch import (
    AUTHORIZE,
    FHIR_BASE,
    App,
    Pkce,
    authorize_params,
    callback,
    decide,
    launch,
    make_app,
    open_consent,
    told_in,
)
from tests.endpoints.conftest import Post
from tests.endpoints.test_introspect import auditor
from tests.endpoints.test_token_client_credentials import TOKEN
from tests.endpoints.token_requests import Ask, basic, body_of, redemption, verified
from tests.factories import ASSERTION_TYPE, TOKEN_URL, claims_at, make_client, phone_app, service, signed
from tests.proxy.conftest import Behind, Caller, ids, restored

__all__ = ["auditor", "restored"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")

OAUTH_URIS = "http://fhir-registry.smarthealthit.org/StructureDefinition/oauth-uris"
# The last part of an extension, the member of smart-configuration.
TWINS = {
    "authorize": "authorization_endpoint",
    "token": "token_endpoint",
    "introspect": "introspection_endpoint",
    "revoke": "revocation_endpoint",
    "manage": "management_endpoint",
    "register": "registration_endpoint",
}


@pytest.mark.requirement("V1-01", "T-46")
def test_both_places_name_the_same_endpoints_and_each_answers(client: Any, call: Caller) -> None:
    told = client.get(f"{FHIR_BASE}/.well-known/smart-configuration").json()
    assert {"authorization_endpoint", "token_endpoint", "capabilities"} <= told.keys()
    (extension,) = call("/metadata").json()["rest"][0]["security"]["extension"]
    assert extension["url"] == OAUTH_URIS
    uris = {one["url"]: one["valueUri"] for one in extension["extension"]}
    assert uris == {short: told[member] for short, member in TWINS.items() if member in told}
    for short in ("authorize", "token", "introspect", "revoke"):
        path = uris[short].removeprefix("http://127.0.0.1:8000")
        assert path != uris[short]
        assert client.get(path).status_code == (400 if short == "authorize" else 405)


@pytest.mark.requirement("V1-08")
def test_capabilities_are_a_list_of_words(client: Any) -> None:
    capabilities = client.get(f"{FHIR_BASE}/.well-known/smart-configuration").json()["capabilities"]
    assert all(isinstance(one, str) and one for one in capabilities)
    assert {"permission-v1", "permission-v2", "launch-standalone", "client-public"} <= set(capabilities)
    assert len(set(capabilities)) == len(capabilities)


# Scopes


ASKED = [
    # signed in, scope, what works with it, what does not
    ("ana", "patient/*.read", ["GET Observation", "GET Patient/ana"], ["GET Patient/ben", "POST Observation"]),
    ("ana", "patient/Observation.read", ["GET Observation"], ["GET Condition", "POST Observation"]),
    ("ana", "patient/Observation.write", ["POST Observation"], ["GET Observation"]),
    ("ana", "patient/Observation.*", ["GET Observation", "POST Observation"], ["GET Condition"]),
    ("ana", "patient/*.*", ["GET Condition", "POST Observation"], ["GET Patient/ben"]),
    ("dr_grey", "user/*.read", ["GET Patient/ana", "GET Patient/ben"], ["POST Observation"]),
    ("dr_grey", "user/*.*", ["GET Patient/ben", "POST Observation"], []),
    ("dr_grey", "user/Patient.read", ["GET Patient/ben"], ["GET Observation?patient=ben"]),
]
WEIGHT = """{"resourceType": "Observation", "status": "final", "subject": {"reference": "Patient/ana"},
 "code": {"coding": [{"system": "http://loinc.org", "code": "29463-7"}]}}"""


def does(call: Caller, line: str, token: str) -> int:
    method, _, path = line.partition(" ")
    answer = call(f"/{path}", token) if method == "GET" else call.write(method, f"/{path}", token, WEIGHT)
    return answer.status_code


@pytest.mark.requirement("V1-02", "SCOPE-04", "SCOPE-08")
@pytest.mark.parametrize(("name", "scope", "works", "fails"), ASKED, ids=lambda value: str(value)[:40])
def test_v1_scopes_reach_what_they_say(
    request: pytest.FixtureRequest,
    browser: Browser,
    ask: Ask,
    call: Caller,
    growth_chart: App,
    restored: Behind,
    name: str,
    scope: str,
    works: list[str],
    fails: list[str],
) -> None:
    user: User = request.getfixturevalue(name)
    launched = launch(browser, growth_chart, user, scope=f"launch/patient openid profile {scope}", patient="ana")
    body = body_of(ask(growth_chart, redemption(launched)))
    assert body["scope"] == f"launch/patient openid profile {scope}"
    for line in works:
        assert does(call, line, body["access_token"]) == (200 if line.startswith("GET") else 201), line
    for line in fails:
        assert does(call, line, body["access_token"]) in (403, 404), line


# The way


@pytest.mark.requirement("V1-03", "PKCE-05")
@pytest.mark.parametrize("version", ["1.0", "2.2"])
def test_the_parameters_mean_the_same_and_pkce_comes_on_top(
    browser: Browser, tenant: TenantInfo, ask: Ask, ana: User, version: str
) -> None:
    app = make_app(phone_app(smart_version=version), tenant)
    pkce = Pkce()
    asked = authorize_params(scope="launch/patient patient/*.read", state="of-1.0", code_challenge=pkce.challenge)
    of_1_0 = {name: asked[name] for name in asked if not name.startswith("code_challenge")}
    assert of_1_0.keys() == {"response_type", "client_id", "redirect_uri", "scope", "state", "aud"}
    answer = browser.get(f"{AUTHORIZE}?{urlencode(of_1_0)}")
    assert told_in(answer, app.redirect_uri, "of-1.0", "invalid_request").rule == "pkce.missing"
    plain = of_1_0 | {"code_challenge": pkce.verifier, "code_challenge_method": "plain"}
    answer = browser.get(f"{AUTHORIZE}?{urlencode(plain)}")
    assert told_in(answer, app.redirect_uri, "of-1.0", "invalid_request").rule == "pkce.method"

    path = browser.get(f"{AUTHORIZE}?{urlencode(asked)}").headers["Location"]
    told = callback(decide(browser, path, open_consent(browser, path, ana)), app.redirect_uri)
    assert (told.keys(), told["state"]) == ({"code", "state"}, "of-1.0")
    exchange = {"grant_type": "authorization_code", "code": told["code"], "redirect_uri": app.redirect_uri}
    assert body_of(ask(app, exchange | {"code_verifier": pkce.verifier}))["patient"] == "ana"


def as_public(app: App, post: Post, params: dict[str, str]) -> HttpResponse:
    return post(TOKEN, {**params, "client_id": app.client_id})


def with_basic(app: App, post: Post, params: dict[str, str]) -> HttpResponse:
    assert app.secret is not None
    return post(TOKEN, params, Authorization=basic(app.client_id, app.secret))


KINDS: list[tuple[str, Callable[[App, Post, dict[str, str]], HttpResponse]]] = [
    ("growth_chart", as_public),
    ("cardio", with_basic),
]


@pytest.mark.requirement("V1-04", "V1-05")
@pytest.mark.parametrize(("name", "show"), KINDS)
def test_tokens_are_answered_as_1_0_has_them(
    request: pytest.FixtureRequest,
    browser: Browser,
    post: Post,
    ana: User,
    name: str,
    show: Callable[[App, Post, dict[str, str]], HttpResponse],
) -> None:
    app: App = request.getfixturevalue(name)
    scope = "launch/patient openid profile offline_access patient/*.read"
    first = show(app, post, redemption(launch(browser, app, ana, scope=scope)))
    again = show(app, post, {"grant_type": "refresh_token", "refresh_token": first.json()["refresh_token"]})
    for answer in (first, again):
        body = body_of(answer)
        assert (body["token_type"], body["scope"], body["patient"]) == ("Bearer", scope, "ana")
        assert isinstance(body["access_token"], str)
        assert type(body["expires_in"]) is int
        assert body["need_patient_banner"] is True
        assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
        assert answer.headers["Content-Type"] == "application/json"


@pytest.mark.requirement("V1-04")
def test_a_confidential_app_is_no_public_one_because_it_is_old(
    browser: Browser, post: Post, cardio: App, ana: User
) -> None:
    answer = as_public(cardio, post, redemption(launch(browser, cardio, ana)))
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.requirement("V1-06", "SCOPE-27")
@pytest.mark.parametrize("names", ["profile", "fhirUser", "profile fhirUser"])
def test_profile_is_the_older_word_for_who_the_user_is(
    browser: Browser, ask: Ask, call: Caller, growth_chart: App, ana: User, names: str
) -> None:
    body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana, scope=f"openid {names}"))))
    claims = verified(body["id_token"], "RS256").claims
    found = {name: claims[name] for name in ("profile", "fhirUser") if name in claims}
    assert found == dict.fromkeys(names.split(), f"{FHIR_BASE}/Patient/ana")
    # Under either word the record can be read, and no other.
    assert (body["scope"], Authorization.objects.get().scope) == (f"openid {names}", f"openid {names}")


# Backend services


@pytest.mark.requirement("V1-09")
@pytest.mark.parametrize("scope", ["system/*.read", "system/Patient.read system/Observation.read"])
def test_a_service_of_the_first_bulk_data_release_works_unchanged(
    tenant: TenantInfo, post: Post, call: Caller, rsa: KeyPair, scope: str
) -> None:
    make_client(service(jwks=rsa.jwks, scope=scope), activate_at=(tenant,))
    # As that release has them: no iat, RS384, the token URL as audience.
    claims = claims_at(datetime.now(UTC), aud=TOKEN_URL, iat=...)
    assertion = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": signed(rsa, claims)}
    body = body_of(post(TOKEN, {"grant_type": "client_credentials", "scope": scope, **assertion}))
    assert (body["token_type"], body["scope"]) == ("Bearer", scope)
    assert body["expires_in"] <= 300
    assert "Patient/ben" in ids(call("/Patient", body["access_token"]))
    kick_off = {"HTTP_ACCEPT": "application/fhir+json", "HTTP_PREFER": "respond-async"}
    assert call("/Patient/$export?_type=Patient", body["access_token"], **kick_off).status_code == 202
