"""Everything the documents advertise is called and seen to work, and what is left out is seen to be refused.

SMART 2.2 conformance; RFC 8414 §2; OIDC Discovery §3.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client as Browser
from joserfc.jwk import ECKey, RSAKey

from clients.key_pairs import KeyPair, generate_key_pair
from clients.metadata import InvalidClientMetadata
from clients.tenants import TenantInfo
from smartauth.people.models import User
from smartauth.policy import advertising
from tests.conftest import Configure
from tests.endpoints.app_launch import FHIR_BASE, App, authorize_params, callback, make_app
from tests.endpoints.brands import FULL, publish
from tests.endpoints.conftest import Post, Service
from tests.endpoints.ehr import LAUNCH_URL, Begin, begin_answer, begin_launch, chart, ehr, visits
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_token_refresh_token import Refresh, Start, refresh, start
from tests.endpoints.token_requests import Ask, basic, verified
from tests.factories import make_client, phone_app, service, web_app
from tests.proofs import Holder
from tests.proxy.conftest import Caller

__all__ = [
    "auditor",
    "begin_answer",
    "begin_launch",
    "chart",
    "ehr",
    "refresh",
    "start",
    "visits",
]

pytestmark = pytest.mark.usefixtures("signing_key", "small", "visits")

DOCUMENTS = {
    "smart": "/fhir/sandbox/r4/.well-known/smart-configuration",
    "openid": "/.well-known/openid-configuration",
    "oauth": "/.well-known/oauth-authorization-server",
}
TOKEN, REVOKE = "/auth/sandbox/token", "/auth/sandbox/revoke"
SYSTEM = "system/Patient.rs"


@dataclass(frozen=True, slots=True)
class Here:
    """What a proof may use."""

    tenant: TenantInfo
    post: Post
    start: Start
    refresh: Refresh
    ask: Ask
    call: Caller
    ec: KeyPair
    bulk_loader: Service
    auditor: Service
    growth_chart: App
    cardio: App
    atlas: App
    ana: User
    dr_grey: User
    chart: App
    begin_launch: Begin

    def service_token(self, who: Service, scope: str = SYSTEM) -> Any:
        params = {"grant_type": "client_credentials", "scope": scope, **who.credentials()}
        return self.post(TOKEN, params)

    def id_token(self, app: App, **options: Any) -> str:
        token: str = self.start(app, **options)["id_token"]
        return token

    def granted(self, scope: str, user: User | None = None, **options: Any) -> dict[str, Any]:
        """Launch growth-chart for these scopes and return the token response; all of them must be granted."""
        tokens = self.start(self.growth_chart, user or self.ana, scope=scope, **options)
        assert set(tokens["scope"].split(" ")) == set(scope.split(" ")), tokens["scope"]
        return tokens

    def launched(self, scope: str, **said: Any) -> dict[str, Any]:
        """Let the EHR launch chart for these scopes and return the token response; all of them must be granted."""
        tokens = self.start(self.chart, self.dr_grey, scope=scope, launch=self.begin_launch(**said))
        assert set(tokens["scope"].split(" ")) == set(scope.split(" ")), tokens["scope"]
        return tokens

    def reads_ana(self, tokens: dict[str, Any]) -> bool:
        return self.call("/Patient/ana", tokens["access_token"]).status_code == 200


@pytest.fixture
def here(
    tenant: TenantInfo,
    post: Post,
    start: Start,
    refresh: Refresh,
    ask: Ask,
    call: Caller,
    ec: KeyPair,
    bulk_loader: Service,
    auditor: Service,
    growth_chart: App,
    cardio: App,
    atlas: App,
    ana: User,
    dr_grey: User,
    chart: App,
    begin_launch: Begin,
) -> Here:
    apps = (growth_chart, cardio, atlas)
    return Here(
        tenant, post, start, refresh, ask, call, ec, bulk_loader, auditor, *apps, ana, dr_grey, chart, begin_launch
    )


# ---- how to ask: each returns whether it works


def _code(here: Here) -> bool:
    return here.reads_ana(here.start())


def _refreshed(here: Here) -> bool:
    return here.reads_ana(here.refresh(here.start()["refresh_token"]).json())


def _credentials(here: Here) -> bool:
    return here.call("/Patient/ana", here.service_token(here.bulk_loader).json()["access_token"]).status_code == 200


def _grant_type(name: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        answer = here.post(TOKEN, {"grant_type": name, **here.bulk_loader.credentials()})
        assert answer.json()["error"] == "unsupported_grant_type"
        return False

    return works


def _response_type(name: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        answer = Browser().get("/auth/sandbox/authorize", authorize_params(here.growth_chart, response_type=name))
        return answer.headers["Location"].startswith("/auth/consent/")

    return works


def _speaks(language: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        browser = Browser(headers={"Accept-Language": "es" if language == "en" else "en"})
        asked = browser.get("/auth/sandbox/authorize", authorize_params(here.growth_chart, ui_locales=language))
        sign_in = browser.get(browser.get(asked.headers["Location"]).headers["Location"])
        return f'<html lang="{language}">' in sign_in.content.decode()

    return works


def _pkce(method: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        answer = Browser().get(
            "/auth/sandbox/authorize", authorize_params(here.growth_chart, code_challenge_method=method)
        )
        return answer.headers["Location"].startswith("/auth/consent/") and _code(here)

    return works


# ---- how to say who asks


def _redeems(fixture: str) -> Callable[[Here], bool]:
    return lambda here: here.reads_ana(here.start(getattr(here, fixture)))


def _secret_in_body(path: str, **params: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        metadata = web_app(client_id="poster", token_endpoint_auth_method="client_secret_post", scope="__introspect")
        try:
            secret = make_client(metadata, activate_at=(here.tenant,)).secret
        except InvalidClientMetadata:  # It cannot even be registered.
            return False
        answer = here.post(path, {"client_id": "poster", "client_secret": str(secret), **params})
        return answer.status_code != 401

    return works


def _revokes(fixture: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        app: App = getattr(here, fixture)
        tokens = here.start(app)
        assert here.ask(app, {"token": tokens["access_token"]}, path=REVOKE).status_code == 200
        return not here.reads_ana(tokens)

    return works


def _introspects(show: Callable[[Here], tuple[dict[str, str], dict[str, str]]]) -> Callable[[Here], bool]:
    """Say whether a caller with these form parameters and headers is told about a live token."""

    def works(here: Here) -> bool:
        token = here.start()["access_token"]
        params, headers = show(here)
        answer = here.post(INTROSPECT, {"token": token, **params}, **headers)
        return answer.status_code == 200 and answer.json()["active"] is True

    return works


def _with_secret(here: Here) -> tuple[dict[str, str], dict[str, str]]:
    metadata = web_app(client_id="watcher", scope="__introspect")
    secret = make_client(metadata, activate_at=(here.tenant,)).secret
    return {}, {"Authorization": basic("watcher", str(secret))}


def _with_token(here: Here) -> tuple[dict[str, str], dict[str, str]]:
    return {}, {"Authorization": f"Bearer {here.service_token(here.auditor, '__introspect').json()['access_token']}"}


def _with_name(here: Here) -> tuple[dict[str, str], dict[str, str]]:
    return {"client_id": "growth-chart"}, {}


def _signs(alg: str, path: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        pair = generate_key_pair(alg, kid=alg)
        scope = "__introspect" if path == INTROSPECT else SYSTEM
        metadata = service(client_id=f"signs-{alg}", jwks={"keys": [pair.public_jwk]}, scope=scope)
        make_client(metadata, activate_at=(here.tenant,))
        params = {"grant_type": "client_credentials", "scope": scope, "token": "x"}
        answer = here.post(path, params | Service(f"signs-{alg}", pair).credentials())
        return answer.status_code == 200

    return works


def _binds(alg: str) -> Callable[[Here], bool]:
    """Say whether a service gets a token bound to the key of a proof of this algorithm, and reads with it."""

    def works(here: Here) -> bool:
        key = ECKey.generate_key("P-256" if alg == "ES256" else "P-384") if alg[0] == "E" else RSAKey.generate_key(2048)
        holder = Holder(key, alg)
        metadata = service(client_id="binds", jwks={"keys": [here.ec.public_jwk]}, dpop_bound_access_tokens=True)
        make_client(metadata | {"scope": SYSTEM}, activate_at=(here.tenant,))
        params = {"grant_type": "client_credentials", "scope": SYSTEM, **Service("binds", here.ec).credentials()}
        body = here.post(TOKEN, params, DPoP=holder.proof()).json()
        if body.get("token_type") != "DPoP":
            return False
        token = body["access_token"]
        proof = holder.proof("GET", f"{FHIR_BASE}/Patient/ana", token)
        answer = here.call("/Patient/ana", HTTP_AUTHORIZATION=f"DPoP {token}", HTTP_DPOP=proof)
        return answer.status_code == 200

    return works


def _unsigned(here: Here) -> bool:
    """Say whether an assertion counts that nobody signed."""
    head, _, _ = here.bulk_loader.credentials()["client_assertion"].rpartition(".")
    _, payload = head.split(".")
    header = base64.urlsafe_b64encode(json.dumps({"alg": "none", "kid": "ec-1"}).encode()).rstrip(b"=").decode()
    params = here.bulk_loader.credentials() | {"client_assertion": f"{header}.{payload}."}
    return here.post(TOKEN, {"grant_type": "client_credentials", "scope": SYSTEM, **params}).status_code == 200


# ---- what is known of people


def _id_token_alg(alg: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        metadata = phone_app(client_id=f"reads-{alg}", id_token_signed_response_alg=alg)
        token = here.id_token(make_app(metadata, here.tenant))
        return verified(token, alg).header["alg"] == alg

    return works


def _claim(name: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        scope = "openid fhirUser profile launch/patient patient/*.rs"
        return name in verified(here.id_token(here.growth_chart, scope=scope, nonce="n-0S6_WzA2Mj"), "RS256").claims

    return works


def _same_subject_everywhere(here: Here) -> bool:
    told = [verified(here.id_token(app), "RS256").claims["sub"] for app in (here.growth_chart, here.cardio)]
    return told[0] == told[1]


def _answers_in_the_query(here: Here) -> bool:
    app = here.growth_chart
    answer = Browser().get("/auth/sandbox/authorize", authorize_params(app, response_type="token"))
    return "error" in callback(answer, app.redirect_uri)


# ---- capabilities


def _launches_alone(here: Here) -> bool:
    return here.reads_ana(here.granted("launch/patient patient/*.rs"))


def _launches_from_an_ehr(here: Here) -> bool:
    return here.reads_ana(here.launched("launch patient/*.rs"))


def _tells_the_patient_of_the_ehr(here: Here) -> bool:
    return bool(here.launched("launch user/Patient.rs")["patient"] == "ana")


def _tells_the_encounter(here: Here) -> bool:
    scope = "launch/patient launch/encounter patient/Encounter.rs"
    tokens = here.granted(scope, here.dr_grey, patient="ana", visit="visit-of-ana")
    found = here.call(f"/Encounter/{tokens['encounter']}", tokens["access_token"])
    return found.status_code == 200 and tokens["patient"] == "ana"


def _tells_the_encounter_of_the_ehr(here: Here) -> bool:
    tokens = here.launched("launch user/Encounter.rs", encounter="visit-of-ana")
    found = here.call(f"/Encounter/{tokens['encounter']}", tokens["access_token"])
    return found.status_code == 200


def _authorizes_by_post(here: Here) -> bool:
    answer = here.post("/auth/sandbox/authorize", authorize_params(here.growth_chart))
    return answer.status_code == 303 and answer.headers["Location"].startswith("/auth/consent/")


def _signs_people_in(here: Here) -> bool:
    claims = verified(here.granted("openid fhirUser launch/patient patient/*.rs")["id_token"], "RS256").claims
    return claims["fhirUser"] == "http://127.0.0.1:8000/fhir/sandbox/r4/Patient/ana"


def _tells_of_a_banner(here: Here) -> bool:
    return isinstance(here.granted("launch/patient patient/*.rs")["need_patient_banner"], bool)


def _tells_a_style(here: Here) -> bool:
    url = here.granted("launch/patient patient/*.rs")["smart_style_url"]
    return "color_background" in Browser().get(urlsplit(url).path).json()


def _tells_the_patient(here: Here) -> bool:
    return bool(here.granted("launch/patient", here.dr_grey, patient="ana")["patient"] == "ana")


def _stays(scope: str) -> Callable[[Here], bool]:
    def works(here: Here) -> bool:
        tokens = here.granted(f"launch/patient patient/*.rs {scope}")
        return here.reads_ana(here.refresh(tokens["refresh_token"]).json())

    return works


def _reads_with(scope: str) -> Callable[[Here], bool]:
    return lambda here: here.reads_ana(here.granted(scope))


METHODS = "_endpoint_auth_methods_supported"
ALGORITHMS = "_endpoint_auth_signing_alg_values_supported"
SIGNING = "_signing_alg_values_supported"
ASSERTED = ("RS384", "ES384", "RS256", "ES256", "PS256", "PS384")
# member, value: what shows that it works. A value that no document names must be seen to be refused.
PROOFS: dict[tuple[str, str], Callable[[Here], bool]] = {
    ("grant_types_supported", "authorization_code"): _code,
    ("grant_types_supported", "refresh_token"): _refreshed,
    ("grant_types_supported", "client_credentials"): _credentials,
    ("grant_types_supported", "password"): _grant_type("password"),
    ("grant_types_supported", "implicit"): _grant_type("implicit"),
    ("response_types_supported", "code"): _response_type("code"),
    ("response_types_supported", "token"): _response_type("token"),
    ("response_types_supported", "code id_token"): _response_type("code id_token"),
    ("response_modes_supported", "query"): _answers_in_the_query,
    **{("ui_locales_supported", code): _speaks(code) for code in ("en", "es", "fr")},
    ("code_challenge_methods_supported", "S256"): _pkce("S256"),
    ("code_challenge_methods_supported", "plain"): _pkce("plain"),
    ("token" + METHODS, "client_secret_basic"): _redeems("cardio"),
    ("token" + METHODS, "client_secret_post"): _secret_in_body(TOKEN, grant_type="authorization_code"),
    ("token" + METHODS, "private_key_jwt"): _redeems("atlas"),
    ("token" + METHODS, "none"): _redeems("growth_chart"),
    ("revocation" + METHODS, "client_secret_basic"): _revokes("cardio"),
    ("revocation" + METHODS, "client_secret_post"): _secret_in_body(REVOKE, token="x"),
    ("revocation" + METHODS, "private_key_jwt"): _revokes("atlas"),
    ("revocation" + METHODS, "none"): _revokes("growth_chart"),
    ("introspection" + METHODS, "client_secret_basic"): _introspects(_with_secret),
    ("introspection" + METHODS, "client_secret_post"): _secret_in_body(INTROSPECT, token="x"),
    ("introspection" + METHODS, "private_key_jwt"): _introspects(lambda here: (here.auditor.credentials(), {})),
    ("introspection" + METHODS, "Bearer"): _introspects(_with_token),
    ("introspection" + METHODS, "none"): _introspects(_with_name),
    **{("token" + ALGORITHMS, alg): _signs(alg, TOKEN) for alg in ASSERTED},
    **{("revocation" + ALGORITHMS, alg): _signs(alg, REVOKE) for alg in ASSERTED},
    **{("introspection" + ALGORITHMS, alg): _signs(alg, INTROSPECT) for alg in ASSERTED},
    ("token" + ALGORITHMS, "none"): _unsigned,
    **{("dpop" + SIGNING, alg): _binds(alg) for alg in ASSERTED},
    ("id_token_signing_alg_values_supported", "RS256"): _id_token_alg("RS256"),
    ("id_token_signing_alg_values_supported", "ES256"): _id_token_alg("ES256"),
    ("subject_types_supported", "public"): _same_subject_everywhere,
    **{("claims_supported", name): _claim(name) for name in advertising.ID_TOKEN_CLAIMS},
    ("capabilities", "launch-ehr"): _launches_from_an_ehr,
    ("capabilities", "launch-standalone"): _launches_alone,
    ("capabilities", "authorize-post"): _authorizes_by_post,
    ("capabilities", "client-public"): _redeems("growth_chart"),
    ("capabilities", "client-confidential-symmetric"): _redeems("cardio"),
    ("capabilities", "client-confidential-asymmetric"): _redeems("atlas"),
    ("capabilities", "sso-openid-connect"): _signs_people_in,
    ("capabilities", "context-banner"): _tells_of_a_banner,
    ("capabilities", "context-style"): _tells_a_style,
    ("capabilities", "context-ehr-patient"): _tells_the_patient_of_the_ehr,
    ("capabilities", "context-ehr-encounter"): _tells_the_encounter_of_the_ehr,
    ("capabilities", "context-standalone-patient"): _tells_the_patient,
    ("capabilities", "context-standalone-encounter"): _tells_the_encounter,
    ("capabilities", "permission-offline"): _stays("offline_access"),
    ("capabilities", "permission-online"): _stays("online_access"),
    ("capabilities", "permission-patient"): _reads_with("patient/Patient.rs"),
    ("capabilities", "permission-user"): _reads_with("user/Patient.rs"),
    ("capabilities", "permission-v1"): _reads_with("patient/Patient.read"),
    ("capabilities", "permission-v2"): _reads_with("patient/Patient.r"),
}
# Shown by the tests below, value by value.
SHOWN_ELSEWHERE = {"scopes_supported"}


def told() -> set[tuple[str, str]]:
    """Return every (member, value) of every list in every document."""
    return {
        (member, value)
        for path in DOCUMENTS.values()
        for member, values in Browser().get(path).json().items()
        if isinstance(values, list) and member not in SHOWN_ELSEWHERE
        for value in values
    }


@pytest.mark.requirement("DISC-21")
def test_whatever_is_advertised_is_called_below(tenant: TenantInfo) -> None:
    assert told() - PROOFS.keys() == set()


@pytest.mark.requirement("DISC-07", "DISC-09", "DISC-18", "DISC-21", "META-04")
@pytest.mark.parametrize(("member", "value"), PROOFS, ids=lambda part: part)
def test_it_works_if_it_is_advertised_and_only_then(here: Here, member: str, value: str) -> None:
    assert PROOFS[member, value](here) is ((member, value) in told())


# ---- scopes


@pytest.mark.requirement("DISC-12", "T-68")
@pytest.mark.parametrize("level", ["patient", "user"])
def test_every_scope_of_a_level_is_granted_to_whoever_is_registered_for_it(
    here: Here, configure: Configure, level: str
) -> None:
    configure(app_state=True)  # It brings scopes of its own.
    listed = Browser().get(DOCUMENTS["smart"]).json()["scopes_supported"]
    context = [one for one in listed if "/" not in one or one.startswith("launch")]
    assert set(context) | {one for one in listed if one.startswith(("patient/", "user/", "system/"))} == set(listed)
    scopes = [one for one in listed if one.startswith(f"{level}/")]
    wildcard, rest = [one for one in scopes if "*" in one], [one for one in scopes if "*" not in one]
    metadata = phone_app(client_id="greedy", scope=" ".join(listed), launch_urls=[LAUNCH_URL])
    app = make_app(metadata, here.tenant)
    online = [one for one in context if one != "offline_access"]
    offline = [one for one in context if one != "online_access"]
    for asked in ([*offline, *rest], [*online, *wildcard]):
        handle = here.begin_launch(client_id="greedy", encounter="visit-of-ana")
        tokens = here.start(app, here.dr_grey, scope=" ".join(asked), launch=handle)
        assert sorted(tokens["scope"].split(" ")) == sorted(asked)


@pytest.mark.requirement("DISC-12", "T-68")
def test_every_system_scope_is_granted_to_whoever_is_registered_for_it(here: Here) -> None:
    listed = Browser().get(DOCUMENTS["smart"]).json()["scopes_supported"]
    scopes = [one for one in listed if one.startswith("system/")]
    for asked in ([one for one in scopes if "*" in one], [one for one in scopes if "*" not in one]):
        answer = here.service_token(here.bulk_loader, " ".join(asked))
        assert answer.json()["scope"].split(" ") == asked


# ---- endpoints


ENDPOINTS: dict[str, tuple[str, set[int]]] = {
    # member                    how it is asked, and what only the endpoint itself answers
    "authorization_endpoint": ("GET", {400}),
    "token_endpoint": ("POST", {400}),
    "introspection_endpoint": ("POST", {401}),
    "revocation_endpoint": ("POST", {401}),
    "userinfo_endpoint": ("GET", {401}),
    "jwks_uri": ("GET", {200}),
    "pushed_authorization_request_endpoint": ("POST", {400, 401}),
    "management_endpoint": ("GET", {200, 302}),
    "end_session_endpoint": ("GET", {303}),
    "registration_endpoint": ("POST", {401}),
}


@pytest.mark.requirement("DISC-05", "DISC-06", "DISC-10", "DISC-15", "META-02")
@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_endpoint_is_where_it_is_said_to_be(client: Any, tenant: TenantInfo, document: str) -> None:
    found = client.get(DOCUMENTS[document]).json()
    named = {member for member in found if member.endswith(("_endpoint", "_uri"))}
    assert named <= ENDPOINTS.keys()
    assert named >= {"authorization_endpoint", "token_endpoint", "introspection_endpoint", "revocation_endpoint"}
    for member in named:
        method, expected = ENDPOINTS[member]
        kind = "application/x-www-form-urlencoded"
        answer = client.generic(method, urlsplit(found[member]).path, "token=x" * (method == "POST"), kind)
        assert answer.status_code in expected, (member, answer.status_code)


@pytest.mark.requirement("DISC-19", "BRAND-01", "BRAND-09")
def test_the_brand_is_where_it_is_said_to_be_and_known_by_that_name_alone(client: Any, tenant: TenantInfo) -> None:
    publish("sandbox", FULL | {"identifiers": FULL["identifiers"][1:]})  # Not the one that follows from the website.
    told = client.get(DOCUMENTS["smart"]).json()
    answer = client.get(urlsplit(told["user_access_brand_bundle"]).path)
    assert (answer.status_code, answer.json()["resourceType"]) == (200, "Bundle")
    organizations = [one["resource"] for one in answer.json()["entry"] if "telecom" in one["resource"]]
    assert len(organizations) == 3
    (mine,) = [one for one in organizations if told["user_access_brand_identifier"] in one["identifier"]]
    assert mine["name"] == FULL["name"]


@pytest.mark.requirement("DISC-11", "T-42")
def test_the_issuer_is_the_one_of_id_tokens(here: Here) -> None:
    issuers = {Browser().get(path).json()["issuer"] for path in DOCUMENTS.values()}
    assert issuers == {verified(here.id_token(here.growth_chart), "RS256").claims["iss"]}
