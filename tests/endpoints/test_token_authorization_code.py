"""Codes at the token endpoint.

RFC 6749 §4.1.3, §5 and §10.5; RFC 7636 §4.6; RFC 8707 §2.2; RFC 9700 §4.5; OIDC Core §2 and §3.1.3; SMART 2.2
app-launch, "Obtain access token", and scopes-and-launch-context.
"""

import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.db import connection
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clients import registered
from clients.key_pairs import KeyPair
from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.models import AccessToken, Authorization, AuthorizationCode, RefreshToken
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import FHIR_BASE, SCOPE, App, Launch, Pkce, launch, make_app
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_token_client_credentials import rule_of, statements
from tests.endpoints.token_requests import (
    APPS,
    ISSUER,
    KEYED,
    SHORT,
    STATEMENTS,
    TOKEN,
    Ask,
    Post,
    Service,
    basic,
    body_of,
    redemption,
    verified,
)
from tests.factories import make_tenant, phone_app
from tests.proxy.conftest import Caller

__all__ = ["auditor"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")


def assert_refused(answer: Any, error: str, rule: str, status: int = 400) -> None:
    assert (answer.status_code, answer.json()["error"]) == (status, error), answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert rule_of(answer) == rule


def assert_nothing_issued() -> None:
    assert not AccessToken.objects.filter(authorization__kind="user").exists()
    assert not RefreshToken.objects.exists()


def assert_burned(ask: Ask, app: App, launched: Launch) -> None:
    """Make sure that the code is worth nothing any more to whom it was issued, and has given nothing to anybody."""
    assert AuthorizationCode.objects.get(code=digest(launched.code)).spent_at is not None
    assert_refused(ask(app, redemption(launched)), "invalid_grant", "code.reused")
    assert_nothing_issued()


@pytest.mark.requirement("HDR-03", "HDR-04", "TOK-04", "TOK-12", "TOK-14", "TOK-16", "TOK-25", "T-12", "T-13", "T-44")
@pytest.mark.parametrize(("name", "lifetime"), APPS)
def test_a_code_is_exchanged_for_tokens_and_the_launch_context(
    request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, name: str, lifetime: int
) -> None:
    app: App = request.getfixturevalue(name)
    launched = launch(browser, app, ana)

    answer = ask(app, redemption(launched))

    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert not answer.cookies
    body = answer.json()
    opaque = {"access_token", "refresh_token", "id_token", "smart_style_url"}
    assert {name: value for name, value in body.items() if name not in opaque} == {
        "token_type": "Bearer",
        "expires_in": lifetime,
        "scope": SCOPE,
        "patient": "ana",
        "need_patient_banner": True,
    }
    assert opaque <= set(body)
    assert isinstance(body["expires_in"], int)
    assert isinstance(body["need_patient_banner"], bool)
    assert all(isinstance(body[name], str) and body[name] for name in opaque)

    row = AccessToken.objects.get()
    assert row.token_checksum == digest(body["access_token"])
    refresh = RefreshToken.objects.get()
    assert refresh.token_checksum == digest(body["refresh_token"])
    assert refresh.authorization_id == row.authorization_id
    assert (row.user_id, row.application.client_id) == (ana.pk, app.client_id)
    code = AuthorizationCode.objects.get()
    assert code.code == digest(launched.code)
    assert code.spent_at is not None
    stored = f"{row.__dict__} {refresh.__dict__} {code.__dict__} {row.authorization.__dict__}"
    secret = (body["access_token"], body["refresh_token"], body["id_token"], launched.code, launched.verifier)
    assert not [value for value in secret if value in stored]
    record = AuditRecord.objects.get(action="token")
    assert (record.rule, record.client_id, record.tenant) == ("token.authorization_code", app.client_id, "sandbox")
    assert (record.user_id, record.patient, record.authorization) == (ana.pk, "ana", row.authorization_id)
    assert str(record.trace_id) == answer.headers["X-Trace-Id"]
    assert not Receipt.objects.exists()


@pytest.mark.requirement("AT-03")
@pytest.mark.parametrize("name", [name for name, _ in APPS])
def test_the_access_token_is_a_jwt_that_reads_the_chosen_record(
    request: pytest.FixtureRequest, browser: Browser, ask: Ask, call: Caller, ana: User, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    body = body_of(ask(app, redemption(launch(browser, app, ana))))

    token = verified(body["access_token"], "ES256")

    assert token.header["typ"] == "at+jwt"
    claims = token.claims
    assert (claims["iss"], claims["aud"], claims["client_id"]) == (ISSUER, FHIR_BASE, app.client_id)
    assert claims["sub"] == str(ana.subject)
    assert claims["exp"] - claims["iat"] == body["expires_in"]
    assert (claims["scope"], claims["patient"]) == (SCOPE, "ana")
    assert call("/Patient/ana", body["access_token"]).json()["id"] == "ana"
    assert call("/Patient/ben", body["access_token"]).status_code == 404


def test_the_style_is_a_public_document(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
    body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
    url = urlsplit(body["smart_style_url"])
    assert f"{url.scheme}://{url.netloc}" == ISSUER
    style = Browser().get(url.path)
    assert (style.status_code, style.headers["Content-Type"]) == (200, "application/json")
    assert style.headers["Access-Control-Allow-Origin"] == "*"
    assert style.json()["color_background"]


@pytest.mark.requirement("TOK-16")
def test_without_a_patient_nothing_is_said_about_one(
    browser: Browser, ask: Ask, growth_chart: App, dr_grey: User
) -> None:
    launched = launch(browser, growth_chart, dr_grey, scope="user/Patient.rs")
    assert set(body_of(ask(growth_chart, redemption(launched)))) == {
        "access_token",
        "token_type",
        "expires_in",
        "scope",
    }


def test_a_clinicians_choice_of_patient_is_told(browser: Browser, ask: Ask, growth_chart: App, dr_grey: User) -> None:
    body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, dr_grey, patient="ben"))))
    assert body["patient"] == "ben"
    assert verified(body["id_token"], "RS256").claims["fhirUser"] == f"{FHIR_BASE}/Practitioner/dr-grey"


REFRESHING = [
    # scope                                             granted                                          refresh token
    ("patient/*.rs",                                    "patient/*.rs",                                  False),
    ("patient/*.rs openid",                             "patient/*.rs openid",                           False),
    ("patient/*.rs offline_access",                     "patient/*.rs offline_access",                   True),
    ("patient/*.rs online_access",                      "patient/*.rs online_access",                    True),
    ("patient/*.rs offline_access online_access",       "patient/*.rs offline_access",                   True),
]  # fmt: skip


@pytest.mark.requirement("REFRESH-01", "TOK-15")
@pytest.mark.parametrize(("scope", "granted", "refreshes"), REFRESHING)
def test_a_refresh_token_comes_only_where_it_was_granted(
    browser: Browser, ask: Ask, growth_chart: App, ana: User, scope: str, granted: str, refreshes: bool
) -> None:
    body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana, scope=scope))))
    assert body["scope"] == granted
    assert ("refresh_token" in body) is refreshes
    assert RefreshToken.objects.count() == refreshes


@pytest.mark.requirement("TOK-15")
def test_a_refused_stay_connected_gives_no_refresh_token(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    launched = launch(browser, growth_chart, ana, untick=["offline_access"])
    body = body_of(ask(growth_chart, redemption(launched)))
    assert "offline_access" not in body["scope"].split()
    assert "refresh_token" not in body
    assert not RefreshToken.objects.exists()


@pytest.mark.requirement("TOK-21")
def test_a_scope_parameter_changes_nothing(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
    launched = launch(browser, growth_chart, ana, scope="patient/Observation.rs")
    body = body_of(ask(growth_chart, redemption(launched, scope="patient/*.cruds openid offline_access")))
    assert body["scope"] == "patient/Observation.rs"
    assert not {"id_token", "refresh_token"} & set(body)


class TestIdToken:
    """What the ID token says.  OIDC Core §2 and §3.1.3.6; SMART 2.2 scopes-and-launch-context."""

    @pytest.mark.requirement(
        "AUTHZ-19",
        "AUTHZ-24",
        "OIDC-04",
        "OIDC-05",
        "OIDC-06",
        "OIDC-08",
        "OIDC-12",
        "OIDC-20",
        "TOK-14",
        "T-41",
        "T-43",
        "T-44",
    )
    @pytest.mark.parametrize("name", [name for name, _ in APPS])
    def test_it_tells_every_app_who_signed_in_and_when(
        self, request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, name: str
    ) -> None:
        app: App = request.getfixturevalue(name)
        began = int(datetime.now(UTC).timestamp())
        launched = launch(browser, app, ana, nonce="n-0S6_WzA2Mj ü")

        body = body_of(ask(app, redemption(launched)))

        token = verified(body["id_token"], "RS256")
        assert (token.header["alg"], token.header["typ"]) == ("RS256", "JWT")
        assert token.header["kid"]
        claims = token.claims
        assert 300 <= claims.pop("exp") - claims["iat"] <= 3600
        assert began <= claims.pop("auth_time") <= claims["iat"] <= datetime.now(UTC).timestamp()
        del claims["iat"]
        assert claims == {
            "iss": ISSUER,
            "sub": str(ana.subject),
            "aud": app.client_id,
            "nonce": "n-0S6_WzA2Mj ü",
            "at_hash": at_hash(body["access_token"]),
            "fhirUser": f"{FHIR_BASE}/Patient/ana",
        }

    @pytest.mark.requirement("OIDC-03", "T-42")
    def test_its_issuer_is_the_one_of_the_openid_configuration(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        issuer = Browser().get("/.well-known/openid-configuration").json()["issuer"]
        assert verified(body["id_token"], "RS256").claims["iss"] == issuer

    @pytest.mark.requirement("OIDC-12")
    def test_a_client_may_have_it_signed_with_es256(
        self, browser: Browser, ask: Ask, tenant: TenantInfo, ana: User
    ) -> None:
        app = make_app(phone_app(id_token_signed_response_alg="ES256"), tenant)
        body = body_of(ask(app, redemption(launch(browser, app, ana))))
        token = verified(body["id_token"], "ES256")
        assert (token.header["alg"], token.header["typ"]) == ("ES256", "JWT")
        assert token.claims["at_hash"] == at_hash(body["access_token"])
        # Neither token passes for the other, although the algorithm is the same.
        assert token.header["kid"] != verified(body["access_token"], "ES256").header["kid"]

    @pytest.mark.requirement("OIDC-05")
    def test_it_has_no_nonce_where_none_was_sent(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        assert "nonce" not in verified(body["id_token"], "RS256").claims

    @pytest.mark.requirement("OIDC-11", "TOK-14")
    def test_without_openid_there_is_none(self, browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
        launched = launch(browser, growth_chart, ana, scope="launch/patient patient/*.rs offline_access", nonce="n")
        assert "id_token" not in body_of(ask(growth_chart, redemption(launched)))

    @pytest.mark.requirement("OIDC-06")
    @pytest.mark.parametrize(
        ("scope", "told"),
        [("openid", set()), ("openid fhirUser", {"fhirUser"}), ("openid profile", {"profile"})],
    )
    def test_who_the_user_is_in_the_records_is_told_under_the_name_asked_for(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User, scope: str, told: set[str]
    ) -> None:
        body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana, scope=scope))))
        claims = verified(body["id_token"], "RS256").claims
        found = {name: claims[name] for name in ("fhirUser", "profile") if name in claims}
        assert found == dict.fromkeys(told, f"{FHIR_BASE}/Patient/ana")

    @pytest.mark.requirement("OIDC-09", "T-43")
    def test_the_record_it_names_can_be_read_with_the_access_token(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, dr_grey: User
    ) -> None:
        launched = launch(browser, growth_chart, dr_grey, scope="openid fhirUser")
        body = body_of(ask(growth_chart, redemption(launched)))
        named = verified(body["id_token"], "RS256").claims["fhirUser"].removeprefix(FHIR_BASE)
        assert call(named, body["access_token"]).json()["id"] == "dr-grey"
        assert call("/Patient/ana", body["access_token"]).status_code == 403

    @pytest.mark.requirement("OIDC-05")
    def test_the_time_of_the_sign_in_stays_until_the_next_one(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        first = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        earlier = timezone.now() - timedelta(hours=1)
        session = browser.session
        session["account_authentication_methods"][-1]["at"] = earlier.timestamp()
        session.save()
        second = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        third = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana, prompt="login"))))
        times = [verified(one["id_token"], "RS256").claims["auth_time"] for one in (first, second, third)]
        assert times[1] == int(earlier.timestamp())
        assert times[2] >= times[0]

    @pytest.mark.requirement("AT-06", "JWT-07")
    def test_it_is_no_access_token(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, ana: User
    ) -> None:
        body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        assert call("/Patient/ana", body["id_token"]).status_code == 401


def at_hash(access_token: str) -> str:
    half = hashlib.sha256(access_token.encode("ascii")).digest()[:16]
    return base64.urlsafe_b64encode(half).decode().rstrip("=")


@pytest.mark.requirement("AT-08", "INTRO-02", "INTRO-03", "INTRO-04", "INTRO-05", "INTRO-13", "OIDC-15", "T-50")
def test_introspection_tells_the_same_as_the_token_response(
    browser: Browser, ask: Ask, post: Post, growth_chart: App, ana: User, auditor: Service
) -> None:
    body = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
    claims = verified(body["id_token"], "RS256").claims

    told = post(INTROSPECT, {"token": body["access_token"], **auditor.credentials()}).json()

    assert told["active"] is True
    context = ("patient", "need_patient_banner", "smart_style_url")
    assert {name: told[name] for name in context} == {name: body[name] for name in context}
    assert told["scope"] == body["scope"]
    assert told["client_id"] == "growth-chart"
    assert told["aud"] == FHIR_BASE
    assert told["exp"] == told["iat"] + body["expires_in"]
    assert {name: told[name] for name in ("iss", "sub", "fhirUser")} == {
        name: claims[name] for name in ("iss", "sub", "fhirUser")
    }
    assert post(INTROSPECT, {"token": body["refresh_token"], **auditor.credentials()}).json() == {"active": False}
    assert post(INTROSPECT, {"token": body["id_token"], **auditor.credentials()}).json() == {"active": False}


@pytest.mark.requirement("AUTHZ-19", "SEC-03")
def test_a_code_lives_a_minute_and_is_stored_as_a_digest(browser: Browser, growth_chart: App, ana: User) -> None:
    launched = launch(browser, growth_chart, ana)
    row = AuthorizationCode.objects.get()
    assert len(launched.code) >= 43  # 256 bits in base64url
    assert launched.code not in str(row.__dict__)
    assert row.expires - row.created <= timedelta(seconds=60)


OTHER = Pkce().verifier
BURNING = [
    # changed parameters                                              error              rule
    ({"redirect_uri": "https://elsewhere.example.org/callback"},       "invalid_grant",   "code.redirect_uri"),
    ({"redirect_uri": "https://cardio.example.org/callback/"},         "invalid_grant",   "code.redirect_uri"),
    ({"redirect_uri": "https://cardio.example.org/callback?x=1"},      "invalid_grant",   "code.redirect_uri"),
    ({"redirect_uri": "https://cardio.example.org/second"},            "invalid_grant",   "code.redirect_uri"),
    ({"redirect_uri": ...},                                            "invalid_request", "http.parameter_missing"),
    ({"code_verifier": ...},                                           "invalid_grant",   "pkce.verifier_missing"),
    ({"code_verifier": ""},                                            "invalid_grant",   "pkce.verifier_missing"),
    ({"code_verifier": OTHER},                                         "invalid_grant",   "pkce.verifier"),
    ({"code_verifier": OTHER[:42]},                                    "invalid_grant",   "pkce.verifier_malformed"),
    ({"code_verifier": "x" * 129},                                     "invalid_grant",   "pkce.verifier_malformed"),
    ({"code_verifier": OTHER[:42] + "="},                              "invalid_grant",   "pkce.verifier_malformed"),
    ({"code_verifier": OTHER[:42] + "ü"},                              "invalid_grant",   "pkce.verifier_malformed"),
    ({"code_verifier": OTHER + "\n"},                                  "invalid_grant",   "pkce.verifier_malformed"),
]  # fmt: skip


@pytest.mark.requirement("AUTHZ-19", "AUTHZ-22", "PKCE-01", "PKCE-02", "PKCE-04", "TOK-09", "TOK-10", "T-32")
@pytest.mark.parametrize(("change", "error", "rule"), BURNING)
def test_one_wrong_parameter_is_refused_and_spends_the_code(
    browser: Browser,
    ask: Ask,
    tenant: TenantInfo,
    ana: User,
    change: dict[str, Any],
    error: str,
    rule: str,
) -> None:
    redirect_uris = ["https://cardio.example.org/callback", "https://cardio.example.org/second"]
    app = make_app(phone_app(redirect_uris=redirect_uris), tenant)
    launched = launch(browser, app, ana)
    assert_refused(ask(app, redemption(launched, **change)), error, rule)
    assert_nothing_issued()
    stored = str(Receipt.objects.get().__dict__)
    assert launched.code not in stored
    assert launched.verifier not in stored
    assert_burned(ask, app, launched)


@pytest.mark.requirement("PKCE-02", "T-32")
@pytest.mark.parametrize("name", [name for name, _ in APPS])
def test_the_challenge_is_no_verifier_for_any_kind_of_client(
    request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    launched = launch(browser, app, ana)
    shown = Pkce(launched.verifier).challenge
    assert_refused(ask(app, redemption(launched, code_verifier=shown)), "invalid_grant", "pkce.verifier")
    assert_burned(ask, app, launched)


@pytest.mark.requirement("PKCE-03")
def test_a_verifier_for_a_code_without_a_challenge_is_refused(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    launched = launch(browser, growth_chart, ana)
    AuthorizationCode.objects.update(code_challenge="", code_challenge_method="")
    assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "pkce.verifier")
    assert_burned(ask, growth_chart, launched)


@pytest.mark.requirement("PKCE-01", "PKCE-04")
@pytest.mark.parametrize("verifier", ["a" * 43, "Az09-._~" * 16], ids=len)
def test_verifiers_of_any_permitted_length_are_taken(
    browser: Browser, ask: Ask, growth_chart: App, ana: User, verifier: str
) -> None:
    launched = launch(browser, growth_chart, ana, code_challenge=Pkce(verifier).challenge)
    assert ask(growth_chart, redemption(launched, code_verifier=verifier)).status_code == 200


HARMLESS = [
    # changed parameters              error              rule
    ({"code": ...},                    "invalid_request", "http.parameter_missing"),
    ({"code": ""},                     "invalid_request", "http.parameter_missing"),
    ({"code": "made-up"},              "invalid_grant",   "code.unknown"),
    ({"code": "ü" * 300},              "invalid_grant",   "code.unknown"),
]  # fmt: skip


@pytest.mark.requirement("TOK-09", "TOK-10")
@pytest.mark.parametrize(("change", "error", "rule"), HARMLESS)
def test_what_is_no_code_of_ours_is_refused_and_changes_nothing(
    browser: Browser, ask: Ask, growth_chart: App, ana: User, change: dict[str, Any], error: str, rule: str
) -> None:
    launched = launch(browser, growth_chart, ana)
    assert_refused(ask(growth_chart, redemption(launched, **change)), error, rule)
    assert_nothing_issued()
    assert ask(growth_chart, redemption(launched)).status_code == 200


@pytest.mark.requirement("AUTHZ-19", "TOK-10")
def test_an_expired_code_is_refused(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
    launched = launch(browser, growth_chart, ana)
    AuthorizationCode.objects.update(expires=timezone.now() - timedelta(seconds=1))
    assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "code.expired")
    assert_burned(ask, growth_chart, launched)


class TestClientAuthentication:
    """Who may exchange a code.  RFC 6749 §2.3, §3.2.1 and §4.1.3."""

    NOBODY = [
        # parameters                        Authorization                                     rule
        ({},                                 "",                                               "client.missing"),
        ({"client_id": "cardio"},            "",                                               "client.auth_method"),
        ({"client_id": "nobody"},            "",                                               "client.unknown"),
        ({},                                 basic("cardio", "wrong"),                         "client.secret"),
        ({},                                 basic("cardio", ""),                              "client.secret_empty"),
        ({},                                 basic("growth-chart", ""),                        "client.auth_method"),
        ({"client_id": "cardio", "client_secret": "x"}, "",                                    "client.auth_method"),
    ]  # fmt: skip

    @pytest.mark.requirement("TOK-03", "TOK-05", "TOK-11", "TOK-19", "T-62")
    @pytest.mark.parametrize(("params", "authorization", "rule"), NOBODY)
    @pytest.mark.usefixtures("growth_chart")
    def test_who_is_not_authenticated_gets_nothing_and_takes_nothing_away(
        self,
        browser: Browser,
        ask: Ask,
        post: Post,
        cardio: App,
        ana: User,
        params: dict[str, str],
        authorization: str,
        rule: str,
    ) -> None:
        launched = launch(browser, cardio, ana)
        headers = {"Authorization": authorization} if authorization else {}
        answer = post(TOKEN, redemption(launched, **params), **headers)
        assert_refused(answer, "invalid_client", rule, status=401)
        assert ("WWW-Authenticate" in answer.headers) is bool(authorization)
        assert_nothing_issued()
        assert ask(cardio, redemption(launched)).status_code == 200

    @pytest.mark.requirement("TOK-05", "T-62")
    def test_an_app_with_a_key_is_never_treated_as_a_public_one(
        self, browser: Browser, post: Post, atlas: App, ana: User
    ) -> None:
        launched = launch(browser, atlas, ana)
        answer = post(TOKEN, redemption(launched, client_id=KEYED))
        assert_refused(answer, "invalid_client", "client.auth_method", status=401)
        assert_nothing_issued()

    @pytest.mark.requirement("TOK-06")
    def test_two_ways_at_once_are_refused(
        self, browser: Browser, post: Post, ec: KeyPair, atlas: App, ana: User
    ) -> None:
        launched = launch(browser, atlas, ana)
        params = {**redemption(launched), **Service(KEYED, ec).credentials()}
        answer = post(TOKEN, params, Authorization=basic(KEYED, "x"))
        assert_refused(answer, "invalid_request", "client.two_methods")
        assert_nothing_issued()

    @pytest.mark.requirement("ASYM-16", "ASYM-19")
    def test_an_assertion_is_taken_once(self, browser: Browser, post: Post, ec: KeyPair, atlas: App, ana: User) -> None:
        proof = Service(KEYED, ec).credentials()
        assert post(TOKEN, {**redemption(launch(browser, atlas, ana)), **proof}).status_code == 200
        answer = post(TOKEN, {**redemption(launch(browser, atlas, ana)), **proof})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
        assert AccessToken.objects.count() == 1

    @pytest.mark.requirement("AUTHZ-19", "AUTHZ-22", "TOK-11")
    @pytest.mark.parametrize("thief", ["growth_chart", "atlas"])
    def test_another_client_gets_nothing_and_spends_the_code(
        self, request: pytest.FixtureRequest, browser: Browser, ask: Ask, cardio: App, ana: User, thief: str
    ) -> None:
        launched = launch(browser, cardio, ana)
        answer = ask(request.getfixturevalue(thief), redemption(launched))
        assert_refused(answer, "invalid_grant", "code.not_yours")
        assert_nothing_issued()
        assert_burned(ask, cardio, launched)

    @pytest.mark.requirement("TOK-20")
    def test_a_client_that_lost_the_grant_type_is_refused(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        Client.objects.update(grant_types=["refresh_token"])
        assert_refused(ask(growth_chart, redemption(launched)), "unauthorized_client", "client.grant_type")
        assert_nothing_issued()


class TestReuse:
    """A code that comes twice.  RFC 6749 §4.1.2; RFC 9700 §4.2.4."""

    @pytest.mark.requirement("AUTHZ-20", "TOK-10", "T-33")
    def test_it_ends_everything_the_first_use_gave(
        self, browser: Browser, ask: Ask, post: Post, call: Caller, growth_chart: App, ana: User, auditor: Service
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        body = body_of(ask(growth_chart, redemption(launched)))
        assert call("/Patient/ana", body["access_token"]).status_code == 200

        assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "code.reused")

        assert call("/Patient/ana", body["access_token"]).status_code == 401
        told = post(INTROSPECT, {"token": body["access_token"], **auditor.credentials()})
        assert told.json() == {"active": False}
        refresh = {"grant_type": "refresh_token", "refresh_token": body["refresh_token"]}
        assert_refused(ask(growth_chart, refresh), "invalid_grant", "grant.revoked")
        authorization = Authorization.objects.get(kind="user")
        assert authorization.revoked_by == "reuse"
        record = AuditRecord.objects.get(action="revoke")
        assert (record.rule, record.authorization) == ("authorization.reuse", authorization.pk)
        assert (AccessToken.objects.filter(user=ana).count(), RefreshToken.objects.count()) == (1, 1)

    def test_it_stays_revoked_however_often_the_code_comes(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        body = body_of(ask(growth_chart, redemption(launched)))
        ask(growth_chart, redemption(launched))
        first = Authorization.objects.get().revoked_at
        for change in ({}, {"code_verifier": OTHER}, {"redirect_uri": "https://elsewhere.example.org/"}):
            answer = ask(growth_chart, redemption(launched, **change))
            assert_refused(answer, "invalid_grant", "code.reused")
        assert first is not None
        assert Authorization.objects.get().revoked_at == first
        assert AuditRecord.objects.filter(action="revoke").count() == 1
        assert call("/Patient/ana", body["access_token"]).status_code == 401

    def test_it_ends_it_also_when_another_client_has_the_code(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, cardio: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        body = body_of(ask(growth_chart, redemption(launched)))
        assert_refused(ask(cardio, redemption(launched)), "invalid_grant", "code.not_yours")
        assert call("/Patient/ana", body["access_token"]).status_code == 401

    def test_it_ends_it_also_after_the_code_has_expired(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        body = body_of(ask(growth_chart, redemption(launched)))
        AuthorizationCode.objects.update(expires=timezone.now() - timedelta(minutes=30))
        assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "code.reused")
        assert call("/Patient/ana", body["access_token"]).status_code == 401

    def test_other_launches_of_the_same_user_go_on(
        self, browser: Browser, ask: Ask, call: Caller, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        other = body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana))))
        ask(growth_chart, redemption(launched))
        ask(growth_chart, redemption(launched))
        assert call("/Patient/ana", other["access_token"]).status_code == 200


def _user_deactivated() -> None:
    User.objects.update(is_active=False)


def _client_suspended() -> None:
    Client.objects.update(status=Client.Status.SUSPENDED)


def _activation_withdrawn() -> None:
    Activation.objects.update(is_active=False)


def _relation_ended() -> None:
    ProxyRelation.objects.update(ends_at=timezone.now() - timedelta(seconds=1))


def _relation_gone() -> None:
    ProxyRelation.objects.all().delete()


def _revoked() -> None:
    Authorization.objects.update(revoked_at=timezone.now(), revoked_by="administrator")


def _nothing_left() -> None:
    Client.objects.update(scope="user/Immunization.r")


def _nothing_left_at_the_tenant() -> None:
    Activation.objects.update(allowed_scope="user/Immunization.r")


CHANGES = [
    # between consent and exchange    status error             rule
    (_user_deactivated,                400,   "invalid_grant",  "grant.user_inactive"),
    (_client_suspended,                401,   "invalid_client", "client.suspended"),
    (_activation_withdrawn,            401,   "invalid_client", "client.not_activated"),
    (_relation_ended,                  400,   "invalid_grant",  "grant.relation_ended"),
    (_relation_gone,                   400,   "invalid_grant",  "grant.relation_ended"),
    (_revoked,                         400,   "invalid_grant",  "grant.revoked"),
    (_nothing_left,                    400,   "invalid_grant",  "grant.nothing_left"),
    (_nothing_left_at_the_tenant,      400,   "invalid_grant",  "grant.nothing_left"),
]  # fmt: skip


@pytest.mark.requirement("TOK-24")
@pytest.mark.parametrize("name", ["growth_chart", "cardio"])
@pytest.mark.parametrize(("change", "status", "error", "rule"), CHANGES)
def test_what_ended_between_consent_and_exchange_gives_nothing(
    request: pytest.FixtureRequest,
    browser: Browser,
    ask: Ask,
    parent: User,
    name: str,
    change: Callable[[], None],
    status: int,
    error: str,
    rule: str,
) -> None:
    app: App = request.getfixturevalue(name)
    launched = launch(browser, app, parent, patient="ben")
    change()
    answer = ask(app, redemption(launched))
    assert_refused(answer, error, rule, status)
    assert ("WWW-Authenticate" in answer.headers) is (status == 401 and app.secret is not None)
    assert_nothing_issued()


def test_a_parents_own_record_hangs_on_no_relation(browser: Browser, ask: Ask, growth_chart: App, parent: User) -> None:
    launched = launch(browser, growth_chart, parent, patient="ana")
    _relation_gone()
    assert body_of(ask(growth_chart, redemption(launched)))["patient"] == "ana"


def test_who_is_nobody_in_the_records_any_more_reaches_no_patient(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    launched = launch(browser, growth_chart, ana)
    FhirUser.objects.all().delete()
    assert_refused(ask(growth_chart, redemption(launched)), "invalid_grant", "grant.relation_ended")
    assert_nothing_issued()


class TestNarrowedRegistration:
    """The registration or the tenant came to allow less between consent and exchange."""

    @pytest.mark.requirement("SCOPE-18", "SCOPE-20")
    def test_what_is_still_allowed_is_issued(self, browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
        launched = launch(browser, growth_chart, ana)
        Client.objects.update(scope="launch/patient openid patient/Observation.r")
        body = body_of(ask(growth_chart, redemption(launched)))
        assert body["scope"] == "launch/patient openid patient/Observation.r"
        assert "refresh_token" not in body
        assert "fhirUser" not in verified(body["id_token"], "RS256").claims
        assert not RefreshToken.objects.exists()

    def test_the_tenants_limit_counts_as_well(self, browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
        launched = launch(browser, growth_chart, ana)
        Activation.objects.update(allowed_scope="launch/patient patient/Patient.r offline_access")
        body = body_of(ask(growth_chart, redemption(launched)))
        assert body["scope"] == "launch/patient offline_access patient/Patient.r"
        assert "id_token" not in body
        assert RefreshToken.objects.get().scope == body["scope"]

    def test_an_app_that_may_know_no_patient_is_told_none(
        self, browser: Browser, ask: Ask, growth_chart: App, ana: User
    ) -> None:
        launched = launch(browser, growth_chart, ana)
        Client.objects.update(scope="openid")
        body = body_of(ask(growth_chart, redemption(launched)))
        assert body["scope"] == "openid"
        assert "patient" not in body
        assert "patient" not in verified(body["access_token"], "ES256").claims


class TestTenant:
    """The request must be about the FHIR base the launch was about.  RFC 8707 §2.2."""

    @pytest.fixture
    def north(self) -> TenantInfo:
        return make_tenant("north")

    @pytest.fixture
    def app(self, tenant: TenantInfo, north: TenantInfo) -> App:
        return make_app(phone_app(), tenant, north)

    @pytest.mark.requirement("TOK-22")
    @pytest.mark.parametrize("path", [TOKEN, SHORT])
    @pytest.mark.parametrize("name", ["resource", "aud"])
    @pytest.mark.parametrize("value", [FHIR_BASE, f"{FHIR_BASE}/"])
    def test_naming_it_is_fine(
        self, browser: Browser, ask: Ask, app: App, ana: User, path: str, name: str, value: str
    ) -> None:
        launched = launch(browser, app, ana)
        assert ask(app, redemption(launched, **{name: value}), path=path).status_code == 200

    @pytest.mark.parametrize("name", ["growth_chart", "cardio", "atlas"])
    def test_the_short_url_needs_no_name(
        self, request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, name: str
    ) -> None:
        app: App = request.getfixturevalue(name)
        body = body_of(ask(app, redemption(launch(browser, app, ana)), path=SHORT))
        assert verified(body["access_token"], "ES256").claims["aud"] == FHIR_BASE

    @pytest.mark.requirement("AUTHZ-19")
    def test_another_tenants_url_is_refused(self, browser: Browser, ask: Ask, app: App, ana: User) -> None:
        launched = launch(browser, app, ana)
        answer = ask(app, redemption(launched), path="/auth/north/token")
        assert_refused(answer, "invalid_grant", "grant.other_tenant")
        assert_burned(ask, app, launched)

    @pytest.mark.requirement("TOK-22")
    @pytest.mark.parametrize("name", ["resource", "aud"])
    def test_another_tenants_base_is_no_target(
        self, browser: Browser, ask: Ask, app: App, north: TenantInfo, ana: User, name: str
    ) -> None:
        launched = launch(browser, app, ana)
        answer = ask(app, redemption(launched, **{name: north.fhir_base}), path=SHORT)
        assert_refused(answer, "invalid_target", "grant.other_tenant")
        assert_burned(ask, app, launched)

    MISMATCHES = [
        (TOKEN, {"resource": "http://127.0.0.1:8000/fhir/north/r4"}),
        (TOKEN, {"aud": "https://elsewhere.example.org/fhir"}),
        (SHORT, {"resource": "https://elsewhere.example.org/fhir"}),
        (SHORT, {"resource": FHIR_BASE, "aud": "http://127.0.0.1:8000/fhir/north/r4"}),
    ]

    @pytest.mark.requirement("TOK-22")
    @pytest.mark.parametrize(("path", "change"), MISMATCHES)
    def test_a_base_that_does_not_fit_the_url_is_no_target(
        self, browser: Browser, ask: Ask, app: App, ana: User, path: str, change: dict[str, str]
    ) -> None:
        launched = launch(browser, app, ana)
        assert_refused(ask(app, redemption(launched, **change), path=path), "invalid_target", "target.unknown")
        assert_nothing_issued()

    @pytest.mark.requirement("TOK-24")
    def test_a_closed_tenant_gives_nothing(self, browser: Browser, ask: Ask, app: App, ana: User) -> None:
        launched = launch(browser, app, ana)
        Tenant.objects.filter(slug="sandbox").update(is_active=False)
        assert_refused(ask(app, redemption(launched)), "not_found", "tenant.unknown", status=404)
        assert_refused(ask(app, redemption(launched), path=SHORT), "invalid_grant", "grant.tenant_inactive")
        assert_nothing_issued()


def test_two_launches_are_two_authorizations(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> None:
    bodies = [body_of(ask(growth_chart, redemption(launch(browser, growth_chart, ana)))) for _ in range(2)]
    assert Authorization.objects.count() == RefreshToken.objects.count() == 2
    for name in ("access_token", "refresh_token", "id_token"):
        assert bodies[0][name] != bodies[1][name]


@pytest.mark.parametrize("name", [name for name, _ in APPS])
def test_an_exchange_takes_few_statements(
    request: pytest.FixtureRequest, browser: Browser, ask: Ask, ana: User, serving: None, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    ask(app, redemption(launch(browser, app, ana)))  # Tenant, signing keys: loaded once per process.
    first, second = launch(browser, app, ana), launch(browser, app, ana)
    registered._clients.clear()
    with CaptureQueriesContext(connection) as cold:
        assert ask(app, redemption(first)).status_code == 200
    with CaptureQueriesContext(connection) as warm:
        assert ask(app, redemption(second)).status_code == 200
    assert statements(cold) <= STATEMENTS
    assert statements(warm) == statements(cold) - 1


@pytest.mark.requirement("TOK-23")
def test_a_whole_exchange_is_written_at_once_or_not_at_all(
    browser: Browser, ask: Ask, growth_chart: App, ana: User
) -> None:
    """The database refuses the last of what is written; so the code is not spent either, and may come again."""
    launched = launch(browser, growth_chart, ana)
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord ADD CONSTRAINT none CHECK (action <> 'token') NOT VALID")
    answer = ask(growth_chart, redemption(launched))
    assert (answer.status_code, answer.json()["error"]) == (500, "server_error")
    assert_nothing_issued()
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE audit_auditrecord DROP CONSTRAINT none")
    assert ask(growth_chart, redemption(launched)).status_code == 200
