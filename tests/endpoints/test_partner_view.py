"""What the owner of a client reads about each refusal: causes told apart, with the way out, and nothing about others.

Assertions have their own table in tests/tokens/test_clinic_causes.py.
Source: RFC 6749 §4.1.2.1 and §5.2; RFC 6750 §3.1; RFC 7636 §4.6; RFC 9700 §4.14.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.sessions.models import Session
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Activation, Client
from clients.tenants import TenantInfo
from smartauth.models import AccessToken, Authorization, AuthorizationCode
from smartauth.people.models import User
from smartauth.receipts.views import describe, find_receipt
from tests.endpoints.app_launch import FHIR_BASE, App, Launch, authorize_params, launch, make_app
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_authorize import send as authorize
from tests.endpoints.test_token_client_credentials import TOKEN
from tests.endpoints.test_token_refresh_token import ONLINE, Refresh, Start, let_pass, refresh, start
from tests.endpoints.token_requests import Ask, basic, body_of, redemption
from tests.factories import make_tenant, phone_app
from tests.proxy.conftest import Caller, Mint, minted

__all__ = ["minted", "refresh", "start"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")


def partner_view(answer: HttpResponse) -> dict[str, Any]:
    found = find_receipt(answer.headers["X-Trace-Id"])
    assert found is not None
    return describe(found, "partner")


def words(told: dict[str, Any]) -> str:
    return " | ".join((told["reason"], told["expected"], told["seen"], told["fix"]))


@dataclass
class Codes:
    """Launches of growth-chart, and the token endpoint."""

    browser: Browser
    ask: Ask
    app: App
    user: User

    def launched(self, **options: Any) -> Launch:
        return launch(self.browser, self.app, self.user, **options)

    def exchange(self, launched: Launch | None = None, **changes: Any) -> HttpResponse:
        return self.ask(self.app, redemption(launched or self.launched(), **changes))


@pytest.fixture
def codes(browser: Browser, ask: Ask, growth_chart: App, ana: User) -> Codes:
    return Codes(browser, ask, growth_chart, ana)


def used_code(codes: Codes) -> HttpResponse:
    launched = codes.launched()
    body_of(codes.exchange(launched))
    return codes.exchange(launched)


def expired_code(codes: Codes) -> HttpResponse:
    launched = codes.launched()
    AuthorizationCode.objects.update(expires=timezone.now() - timedelta(seconds=90))
    return codes.exchange(launched)


def stopped_by_the_user(codes: Codes) -> HttpResponse:
    launched = codes.launched()
    Authorization.objects.update(revoked_at=timezone.now(), revoked_by="user")
    return codes.exchange(launched)


def no_longer_a_user(codes: Codes) -> HttpResponse:
    launched = codes.launched()
    User.objects.update(is_active=False)
    return codes.exchange(launched)


def at_another_tenant(codes: Codes) -> HttpResponse:
    make_tenant("north")
    return codes.ask(codes.app, redemption(codes.launched()), path="/auth/north/token")


def not_allowed_any_more(codes: Codes) -> HttpResponse:
    launched = codes.launched()
    Activation.objects.update(allowed_scope="launch")
    return codes.exchange(launched)


WITH_CODES = {
    # cause: rule, words the partner needs
    "unknown": (lambda codes: codes.exchange(code="made-up"), "code.unknown", "exactly as it was issued"),
    "used": (used_code, "code.reused", "first used at 20"),
    "expired": (expired_code, "code.expired", " s ago"),
    "redirect": (
        lambda codes: codes.exchange(redirect_uri="https://cardio.example.org/callback/"),
        "code.redirect_uri",
        "https://cardio.example.org/callback | https://cardio.example.org/callback/",
    ),
    "no verifier": (lambda codes: codes.exchange(code_verifier=...), "pkce.verifier_missing", "code_verifier"),
    "short verifier": (lambda codes: codes.exchange(code_verifier="short"), "pkce.verifier_malformed", "5 characters"),
    "other verifier": (lambda codes: codes.exchange(code_verifier="v" * 43), "pkce.verifier", "one per launch"),
    "revoked": (stopped_by_the_user, "grant.revoked", "by user"),
    "user gone": (no_longer_a_user, "grant.user_inactive", "Nothing an app can mend"),
    "other tenant": (at_another_tenant, "grant.other_tenant", "the token URL of the FHIR base"),
    "nothing left": (not_allowed_any_more, "grant.nothing_left", "Launch again"),
}


@pytest.mark.parametrize("cause", WITH_CODES)
def test_each_way_a_code_is_refused_has_its_rule_and_a_way_out(cause: str, codes: Codes) -> None:
    act, rule, needed = WITH_CODES[cause]
    answer = act(codes)
    assert answer.json()["error"] == "invalid_grant"
    told = partner_view(answer)
    assert (told["rule"], told["client_id"]) == (rule, "growth-chart")
    assert needed in words(told)
    assert told["fix"]


def replaced_long_ago(start: Start, refresh: Refresh) -> HttpResponse:
    first = start()
    body_of(refresh(first["refresh_token"]))
    let_pass(timedelta(minutes=1))
    return refresh(first["refresh_token"])


def not_used_for_a_hundred_days(start: Start, refresh: Refresh) -> HttpResponse:
    first = start()
    let_pass(timedelta(days=100, seconds=30))
    return refresh(first["refresh_token"])


def stopped(start: Start, refresh: Refresh, by: str) -> HttpResponse:
    first = start()
    Authorization.objects.filter(kind="user").update(revoked_at=timezone.now(), revoked_by=by)
    return refresh(first["refresh_token"])


def signed_out(start: Start, refresh: Refresh) -> HttpResponse:
    first = start(scope=ONLINE)
    Session.objects.update(expire_date=timezone.now() - timedelta(seconds=1))
    return refresh(first["refresh_token"])


WITH_REFRESH_TOKENS = {
    "unknown": (lambda start, refresh: refresh("made-up"), "refresh_token.unknown", "exactly as it was issued"),
    "rotated": (replaced_long_ago, "refresh_token.reused", "replaced at 20"),
    "expired": (not_used_for_a_hundred_days, "refresh_token.expired", " s ago"),
    "stopped by the user": (lambda start, refresh: stopped(start, refresh, "user"), "grant.revoked", "by user"),
    "stopped by us": (lambda start, refresh: stopped(start, refresh, "admin"), "grant.revoked", "by admin"),
    "session ended": (signed_out, "grant.session_ended", "offline_access"),
}


@pytest.mark.parametrize("cause", WITH_REFRESH_TOKENS)
def test_each_way_a_refresh_token_is_refused_has_its_rule_and_a_way_out(
    cause: str, start: Start, refresh: Refresh
) -> None:
    act, rule, needed = WITH_REFRESH_TOKENS[cause]
    answer = act(start, refresh)
    assert answer.json()["error"] == "invalid_grant"
    told = partner_view(answer)
    assert (told["rule"], told["client_id"]) == (rule, "growth-chart")
    assert needed in words(told)
    assert told["fix"]


@pytest.fixture
def thief(tenant: TenantInfo) -> App:
    """Another app, which has got hold of what is not its own. It is at home at another tenant."""
    return make_app(phone_app(client_id="thief"), make_tenant("north"), tenant)


@pytest.mark.parametrize("state", ["good", "used", "expired", "revoked"])
def test_about_another_client_s_code_nothing_is_told(state: str, codes: Codes, thief: App, ask: Ask) -> None:
    launched = codes.launched()
    if state == "used":
        body_of(codes.exchange(launched))
    AuthorizationCode.objects.update(expires=timezone.now() + timedelta(seconds=60 if state != "expired" else -60))
    if state == "revoked":
        Authorization.objects.update(revoked_at=timezone.now(), revoked_by="user")
    told = partner_view(ask(thief, redemption(launched), path="/auth/token"))
    assert (told["rule"], told["reason"]) == ("code.not_yours", "the code was issued to another client")
    assert_tells_nothing(told)


@pytest.mark.parametrize("state", ["live", "rotated", "revoked"])
def test_about_another_client_s_refresh_token_nothing_is_told(
    state: str, start: Start, refresh: Refresh, thief: App, ask: Ask
) -> None:
    token = start()["refresh_token"]
    if state == "rotated":
        body_of(refresh(token))
    if state == "revoked":
        Authorization.objects.update(revoked_at=timezone.now(), revoked_by="user")
    answer = ask(thief, {"grant_type": "refresh_token", "refresh_token": token}, path="/auth/token")
    told = partner_view(answer)
    assert told["rule"] == "refresh_token.not_yours"
    assert_tells_nothing(told)


def assert_tells_nothing(told: dict[str, Any]) -> None:
    assert (told["client_id"], told["tenant"], told["expected"], told["seen"]) == ("thief", "", "", "")
    text = json.dumps(told)
    for other in ("growth-chart", "sandbox", "ana", "cardio.example.org"):
        assert other not in text


IN_BODY = {"client_id": "cardio", "client_secret": "some"}
WITH_A_SECRET = [
    # Authorization header      in the body                  rule                      words
    (("cardio", "wrong"),       {},                          "client.secret",          "shown last"),
    (("cardio", ""),            {},                          "client.secret_empty",    "shown last"),
    (("growth-chart", "some"),  {},                          "client.auth_method",     "none | client_secret_basic"),
    (("nobody", "some"),        {},                          "client.unknown",         "nobody"),
    ("Basic %%%",               {},                          "client.basic_malformed", "base64 of"),
    ("Bearer some",             {},                          "client.auth_scheme",     "Basic | bearer"),
    ("",                        {},                          "client.missing",         "Send client_id"),
    ("",                        {"client_id": "cardio"},     "client.auth_method",     "client_secret_basic | none"),
    ("",                        IN_BODY,                     "client.auth_method",     "client_secret_post"),
    (("cardio", "some"),        {"client_secret": "some"},   "client.two_methods",     "one method"),
]  # fmt: skip


@pytest.mark.parametrize(("header", "body", "rule", "needed"), WITH_A_SECRET)
def test_each_way_a_secret_is_refused_has_its_rule_and_a_way_out(
    header: str | tuple[str, str],
    body: dict[str, str],
    rule: str,
    needed: str,
    cardio: App,
    growth_chart: App,
    post: Post,
) -> None:
    authorization = header if isinstance(header, str) else basic(*header)
    headers = {"Authorization": authorization} if authorization else {}
    answer = post(TOKEN, {"grant_type": "authorization_code", "code": "x", **body}, **headers)
    told = partner_view(answer)
    assert (told["rule"], bool(told["fix"])) == (rule, True)
    assert needed.lower() in words(told).lower()


SCOPES = [
    # requested                                   registered          rule                    words
    ("system/Patient.x",                          "system/*.rs",      "scope.grammar",        "system/Patient.x"),
    ("system/Patient.cud",                        "system/*.rs",      "scope.not_registered", "system/Patient.cud"),
    ("patient/Patient.rs",                        "system/*.rs",      "scope.level",          "system/ scopes only"),
    ("openid",                                    "system/*.rs",      "scope.user_only",      "there is no user"),
    ("openid user/*.rs",                          "system/*.rs",      "scope.nothing_granted", "user/*.rs: client_"),
]  # fmt: skip


@pytest.mark.parametrize(("requested", "registered", "rule", "needed"), SCOPES)
def test_each_way_a_scope_is_refused_has_its_rule_and_names_the_scope(
    requested: str, registered: str, rule: str, needed: str, register: Callable[..., Service], post: Post
) -> None:
    who = register(scope=registered)
    answer = post(TOKEN, {"grant_type": "client_credentials", "scope": requested, **who.credentials()})
    assert answer.json()["error"] == "invalid_scope"
    told = partner_view(answer)
    assert (told["rule"], bool(told["fix"])) == (rule, True)
    assert needed in words(told)


def test_a_scope_the_tenant_does_not_allow_is_told_as_such(bulk_loader: Service, post: Post) -> None:
    Activation.objects.update(allowed_scope="system/Observation.rs")
    answer = post(
        TOKEN, {"grant_type": "client_credentials", "scope": "system/Patient.rs", **bulk_loader.credentials()}
    )
    told = partner_view(answer)
    assert (told["rule"], told["seen"]) == ("scope.not_registered", "system/Patient.rs")
    assert "at the tenant" in told["reason"]


AT_AUTHORIZE = [
    # changes                                                       rule                           words
    ({"client_id": "nobody"},                                       "client.unknown",              "nobody"),
    ({"redirect_uri": "https://cardio.example.org/callback/"},      "redirect_uri.not_registered", "character for"),
    ({"redirect_uri": ...},                                         "redirect_uri.missing",        "character for"),
    ({"scope": "patient/*.rs system/*.rs"},                         "scope.not_registered",        "system/*.rs"),
    ({"aud": "https://elsewhere.example.org/fhir"},                 "aud.unknown",                 FHIR_BASE),
    ({"aud": ...},                                                  "aud.missing",                 FHIR_BASE),
    ({"code_challenge_method": "plain"},                            "pkce.method",                 "S256"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "rule", "needed"), AT_AUTHORIZE)
def test_each_refusal_at_authorize_is_told_to_the_owner_and_not_on_the_page(
    changes: dict[str, Any], rule: str, needed: str, growth_chart: App
) -> None:
    answer = authorize(authorize_params(**changes))
    told = partner_view(answer)
    assert (told["rule"], bool(told["fix"])) == (rule, True)
    assert needed in words(told)
    if told["error"] == "page":
        page = answer.content.decode()
        assert not any(one and one in page for one in (told["expected"], told["seen"], told["fix"], rule))
    else:
        error = parse_qs(urlsplit(answer.headers["Location"]).query)
        assert told["fix"] not in error["error_description"][0]


def test_the_nearest_redirect_is_the_owner_s_to_see(growth_chart: App) -> None:
    answer = authorize(authorize_params(redirect_uri="https://cardio.example.org/callbak"))
    told = partner_view(answer)
    assert (told["expected"], told["client_id"]) == ("https://cardio.example.org/callback", "growth-chart")
    assert b"cardio.example.org" not in answer.content
    told = partner_view(authorize(authorize_params(client_id="nobody", redirect_uri="https://cardio.example.org/x")))
    assert (told["expected"], "cardio" in json.dumps(told)) == ("", False)


def expired(mint: Mint) -> str:
    token = mint("patient/*.rs", patient="ana")
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=90))
    return token


def revoked(mint: Mint) -> str:
    token = mint("patient/*.rs", patient="ana")
    AccessToken.objects.update(revoked_at=timezone.now())
    return token


def for_another_tenant(mint: Mint) -> str:
    tenant = make_tenant("north")
    Activation.objects.create(client=Client.objects.get(client_id="growth-chart"), tenant_id=tenant.pk)
    return mint("patient/*.rs", patient="ana", tenant="north", aud="http://127.0.0.1:8000/fhir/north/r4")


def of_a_suspended_client(mint: Mint) -> str:
    token = mint("patient/*.rs", patient="ana")
    Client.objects.update(status="suspended")
    return token


def good(scope: str = "patient/*.rs") -> Callable[[Mint], str]:
    return lambda mint: mint(scope, patient="ana")


AT_THE_PROXY = [
    # the token                      request                       status  rule                      words
    (lambda mint: "",                "/Patient/ana",              401, "bearer.missing",              "Bearer"),
    (lambda mint: "made-up",         "/Patient/ana",              401, "token.unknown",               "latest token"),
    (lambda mint: '"quoted"',        "/Patient/ana",              401, "bearer.malformed",            "without quotes"),
    (expired,                        "/Patient/ana",              401, "token.expired",               "90 s ago"),
    (revoked,                        "/Patient/ana",              401, "token.revoked",               "new access"),
    (for_another_tenant,             "/Patient/ana",              401, "token.audience",              "/north/r4"),
    (of_a_suspended_client,          "/Patient/ana",              401, "token.client_not_approved",   "operator"),
    (good("patient/Observation.rs"), "/Condition?code=x",         403, "scope",                       "Condition.s"),
    (good(),                         "/Observation?patient=ben",  403, "compartment",                 "launch context"),
    (good(),                         "/Observation/ben-glucose",  404, "read.absent_or_outside",      "not told apart"),
    (good(),                         "/Observation/nowhere",      404, "read.absent_or_outside",      "not told apart"),
    (good(),                         "/Observation?colour=red",   400, "search.parameter",            "/metadata"),
    (good(),                         "/Observation/$lastword",    404, "interaction.unknown_operation","/metadata"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "path", "status", "rule", "needed"), AT_THE_PROXY)
def test_each_refusal_of_the_proxy_has_its_rule_and_a_way_out(
    make: Callable[[Mint], str], path: str, status: int, rule: str, needed: str, minted: Mint, call: Caller
) -> None:
    token = make(minted)
    answer = call(path, token)
    told = partner_view(answer)
    assert (answer.status_code, told["status"], told["rule"]) == (status, status, rule)
    assert needed in words(told)
    assert told["fix"]
    assert not token or token not in json.dumps(told)
