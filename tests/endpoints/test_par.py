"""Pushed authorization requests.

RFC 9126; RFC 7521 §4.2; RFC 7523 §3; RFC 8707 §2; SMART 2.2 app-launch, "Obtain authorization code".
"""

import re
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode, urlsplit

import pytest
from django.db.models import F
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.key_pairs import KeyPair
from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registration import describe_client, register_client
from clients.tenants import TenantInfo
from smartauth import rates
from smartauth.conf import config
from smartauth.digests import digest
from smartauth.models import AuthorizationCode, PendingAuthorization
from smartauth.people.models import User
from smartauth.policy.advertising import CATEGORIES
from smartauth.receipts.models import Receipt
from smartauth.retention import purge
from tests.conftest import Configure
from tests.endpoints.app_launch import (
    AUTHORIZE,
    FHIR_BASE,
    App,
    Launch,
    Pkce,
    authorize_params,
    callback,
    decide,
    make_app,
    open_consent,
    page_refusal,
    sign_in,
    told_in,
)
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_token_authorization_code import assert_refused
from tests.endpoints.token_requests import KEYED, Ask, basic, body_of, redemption
from tests.factories import make_tenant, phone_app, service, web_app

pytestmark = pytest.mark.usefixtures("signing_key")

PAR = "/auth/sandbox/par"
FORM = "application/x-www-form-urlencoded"
REQUEST_URI = re.compile(r"urn:ietf:params:oauth:request_uri:[A-Za-z0-9_-]{43}")  # 43 characters hold 256 bits
APPS = ["growth_chart", "cardio", "atlas"]
OTHER_BASE = "http://127.0.0.1:8000/fhir/north/r4"


def push(post: Post, app: App, ec: KeyPair, *, path: str = PAR, **changes: Any) -> HttpResponse:
    """Push a good request, with changes, as the app authenticates."""
    params = authorize_params(app, **changes)
    if app.secret is not None:
        return post(path, params, Authorization=basic(app.client_id, app.secret))
    if app.client_id == KEYED:
        params |= Service(KEYED, ec).credentials(aud="http://127.0.0.1:8000/auth/sandbox/token")
    return post(path, params)


def pushed_uri(answer: HttpResponse) -> str:
    """Return the reference of an accepted push."""
    assert answer.status_code == 201, answer.content
    request_uri: str = answer.json()["request_uri"]
    return request_uri


def open_request(request_uri: str, client_id: str = "growth-chart", *, path: str = AUTHORIZE, **more: str) -> Any:
    """Come to authorize as a browser that has never been here."""
    return Browser().get(path, {"client_id": client_id, "request_uri": request_uri, **more})


def assert_nothing_stored() -> None:
    assert not PendingAuthorization.objects.exists()


# Pushing


@pytest.mark.requirement("EXT-01", "EXT-02")
@pytest.mark.parametrize("path", [PAR, "/auth/par"])
@pytest.mark.parametrize("name", APPS)
@pytest.mark.requirement("HDR-05")
def test_an_app_of_any_kind_pushes_its_request(
    request: pytest.FixtureRequest, post: Post, ec: KeyPair, name: str, path: str
) -> None:
    app: App = request.getfixturevalue(name)
    answer = push(post, app, ec, path=path, state="s-1", nonce="n-1", prompt="login", max_age="60")
    assert answer.status_code == 201, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    body = answer.json()
    assert set(body) == {"request_uri", "expires_in"}
    assert REQUEST_URI.fullmatch(body["request_uri"])
    assert (body["expires_in"], type(body["expires_in"])) == (60, int)
    stored = PendingAuthorization.objects.get()
    assert (stored.client.client_id, stored.tenant.slug) == (app.client_id, "sandbox")
    assert (stored.state, stored.nonce, stored.prompts, stored.max_age) == ("s-1", "n-1", ["login"], 60)
    assert stored.request_uri == digest(body["request_uri"])
    assert body["request_uri"] not in str(stored.__dict__)
    assert stored.expires_at - stored.created_at == timedelta(seconds=60)
    assert (stored.opened_at, stored.browser, stored.user) == (None, "", None)


def test_each_push_gets_a_reference_of_its_own(post: Post, ec: KeyPair, growth_chart: App) -> None:
    assert len({pushed_uri(push(post, growth_chart, ec)) for _ in range(3)}) == 3


REFUSED = [
    ({"redirect_uri": ...}, "invalid_request", "redirect_uri.missing"),
    ({"redirect_uri": "https://evil.example/"}, "invalid_request", "redirect_uri.not_registered"),
    ({"redirect_uri": "https://cardio.example.org/callback/"}, "invalid_request", "redirect_uri.not_registered"),
    ({"response_type": ...}, "invalid_request", "authorize.response_type_missing"),
    ({"response_type": "token"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_mode": "fragment"}, "invalid_request", "authorize.response_mode"),
    ({"state": ...}, "invalid_request", "authorize.state_missing"),
    ({"scope": ...}, "invalid_scope", "scope.missing"),
    ({"scope": "system/*.rs"}, "invalid_scope", None),
    ({"code_challenge": ...}, "invalid_request", "pkce.missing"),
    ({"code_challenge_method": "plain"}, "invalid_request", "pkce.method"),
    ({"code_challenge": "short"}, "invalid_request", "pkce.challenge"),
    ({"aud": ...}, "invalid_request", "aud.missing"),
    ({"aud": "https://fhir.evil.example/r4"}, "invalid_request", "aud.unknown"),
    ({"resource": "https://fhir.evil.example/r4"}, "invalid_target", "target.unknown"),
    ({"request": "a.b.c"}, "request_not_supported", "authorize.request_object"),
    ({"prompt": "none login"}, "invalid_request", "authorize.prompt_none"),
    ({"launch": "Zr3pQ8mX0tYwLb7dKc2nVg", "scope": "launch openid"}, "unauthorized_client", "launch.not_registered"),
    ({"request_uri": "urn:ietf:params:oauth:request_uri:abc"}, "invalid_request", "par.request_uri"),
    ({"request_uri": "https://app.example.org/r"}, "invalid_request", "par.request_uri"),
]


@pytest.mark.requirement("EXT-02", "EXT-10")
@pytest.mark.parametrize(("changes", "error", "rule"), REFUSED, ids=lambda value: ascii(value)[:60])
def test_what_authorize_would_refuse_is_refused_at_once(
    post: Post, ec: KeyPair, growth_chart: App, changes: dict[str, Any], error: str, rule: str | None
) -> None:
    answer = push(post, growth_chart, ec, **changes)
    receipt = Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])
    assert_refused(answer, error, rule or receipt.rule)
    assert (receipt.endpoint, receipt.client_id) == ("par", "growth-chart")
    assert_nothing_stored()


def test_a_resource_beside_the_same_aud_is_taken_and_two_are_not(post: Post, ec: KeyPair, growth_chart: App) -> None:
    pushed_uri(push(post, growth_chart, ec, resource=FHIR_BASE))
    pushed_uri(push(post, growth_chart, ec, resource=FHIR_BASE + "/", aud=...))
    twice: Any = [*authorize_params().items(), ("resource", FHIR_BASE), ("resource", FHIR_BASE)]
    assert_refused(post(PAR, twice), "invalid_target", "target.several")
    repeated: Any = [*authorize_params().items(), ("scope", "openid")]
    assert_refused(post(PAR, repeated), "invalid_request", "http.parameter_repeated")


def test_the_short_url_serves_the_tenant_that_aud_names(post: Post, ec: KeyPair, tenant: TenantInfo) -> None:
    app = make_app(phone_app(), tenant, make_tenant("north"))
    pushed_uri(push(post, app, ec, path="/auth/par", aud=OTHER_BASE))
    assert PendingAuthorization.objects.get().tenant.slug == "north"
    assert_refused(push(post, app, ec, aud=OTHER_BASE), "invalid_request", "aud.unknown")
    assert post("/auth/nowhere/par", authorize_params(app)).status_code == 404


# Who pushes


@pytest.mark.requirement("EXT-01", "EXT-02")
def test_who_cannot_prove_who_it_is_pushes_nothing(
    post: Post, ec: KeyPair, cardio: App, atlas: App, tenant: TenantInfo
) -> None:
    wrong = post(PAR, authorize_params(cardio), Authorization=basic("cardio", "guess"))
    assert_refused(wrong, "invalid_client", "client.secret", 401)
    assert wrong.headers["WWW-Authenticate"].startswith("Basic ")
    assert_refused(post(PAR, authorize_params(cardio)), "invalid_client", "client.auth_method", 401)
    assert_refused(post(PAR, authorize_params(atlas)), "invalid_client", "client.auth_method", 401)
    assert_refused(post(PAR, authorize_params(client_id="nobody")), "invalid_client", "client.unknown", 401)
    assert_refused(post(PAR, authorize_params(client_id=...)), "invalid_client", "client.missing", 401)
    assert cardio.secret is not None
    foreign = post(PAR, authorize_params(atlas), Authorization=basic("cardio", cardio.secret))
    assert_refused(foreign, "invalid_client", "client.id_mismatch", 401)
    both = authorize_params(atlas) | Service(KEYED, ec).credentials()
    assert_refused(
        post(PAR, both, Authorization=basic("cardio", cardio.secret)), "invalid_request", "client.two_methods"
    )
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert_refused(push(post, cardio, ec), "invalid_client", "client.suspended", 401)
    assert_nothing_stored()


AUDIENCES = [
    ("http://127.0.0.1:8000", True),
    ("http://127.0.0.1:8000/auth/token", True),
    ("http://127.0.0.1:8000/auth/sandbox/token", True),
    ("http://127.0.0.1:8000/auth/sandbox/par", True),
    ("http://127.0.0.1:8000/auth/north/par", False),
    ("http://127.0.0.1:8000/auth/north/token", False),
    ("http://testserver/auth/sandbox/par", False),
    (FHIR_BASE, False),
]


@pytest.mark.requirement("EXT-01")
@pytest.mark.parametrize(("audience", "taken"), AUDIENCES)
def test_an_assertion_may_name_the_endpoint_it_is_sent_to(
    post: Post, ec: KeyPair, atlas: App, audience: str, taken: bool
) -> None:
    make_tenant("north")
    answer = post(PAR, authorize_params(atlas) | Service(KEYED, ec).credentials(aud=audience))
    if taken:
        pushed_uri(answer)
    else:
        assert_refused(answer, "invalid_client", "assertion.aud", 401)


@pytest.mark.parametrize("path", ["/auth/sandbox/token", "/auth/sandbox/revoke"])
def test_an_assertion_for_this_endpoint_is_good_nowhere_else(post: Post, ec: KeyPair, atlas: App, path: str) -> None:
    credentials = Service(KEYED, ec).credentials(aud="http://127.0.0.1:8000/auth/sandbox/par")
    answer = post(path, {"grant_type": "authorization_code", "code": "x", "token": "x", **credentials})
    assert_refused(answer, "invalid_client", "assertion.aud", 401)


@pytest.mark.requirement("ASYM-19")
def test_an_assertion_is_good_for_one_push(post: Post, ec: KeyPair, atlas: App) -> None:
    params = authorize_params(atlas) | Service(KEYED, ec).credentials()
    pushed_uri(post(PAR, params))
    assert_refused(post(PAR, params), "invalid_client", "assertion.jti_replayed", 401)


def test_a_service_has_nothing_to_push(post: Post, ec: KeyPair, bulk_loader: Service) -> None:
    params = authorize_params(client_id="bulk-loader", scope="system/*.rs") | bulk_loader.credentials()
    answer = post(PAR, params)
    assert answer.status_code == 400
    assert_nothing_stored()


@pytest.mark.requirement("EXT-02")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE"])
def test_only_post_pushes(growth_chart: App, method: str) -> None:
    answer = Browser().generic(method, f"{PAR}?{urlencode(authorize_params())}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")
    assert answer.headers["Cache-Control"] == "no-store"
    assert_nothing_stored()


UNREADABLE = [
    ("application/json", b"{}", 400, "http.content_type"),
    (FORM, b"client_id=growth-chart&x=" + b"x" * 65_536, 413, "http.size"),
    (FORM, b"client_id=\xc3\xa9", 400, "http.encoding"),
]


@pytest.mark.requirement("EXT-02")
@pytest.mark.parametrize(("content_type", "body", "status", "rule"), UNREADABLE, ids=lambda value: str(value)[:40])
def test_a_body_that_is_no_small_form_is_refused(
    growth_chart: App, content_type: str, body: bytes, status: int, rule: str
) -> None:
    answer = Browser().post(PAR, body, content_type=content_type)
    assert answer.status_code == status
    assert Receipt.objects.get(trace_id=answer.json()["trace_id"]).rule == rule


def test_parameters_in_the_url_are_not_read(growth_chart: App) -> None:
    answer = Browser().post(f"{PAR}?{urlencode(authorize_params())}", "x=1", content_type=FORM)
    assert_refused(answer, "invalid_client", "client.missing", 401)
    assert_nothing_stored()


@pytest.mark.requirement("EXT-02")
@pytest.mark.parametrize("name", APPS)
def test_who_pushes_too_much_is_told_to_wait(
    request: pytest.FixtureRequest, post: Post, ec: KeyPair, configure: Configure, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    rates.forget()
    configure(rate_per_address=2, rate_per_client=2)
    for _ in range(2):
        pushed_uri(push(post, app, ec))
    answer = push(post, app, ec)
    assert_refused(answer, "temporarily_unavailable", "rate.address" if name == "growth_chart" else "rate.client", 429)
    assert 0 < int(answer.headers["Retry-After"]) <= 60
    assert PendingAuthorization.objects.count() == 2
    rates.forget()


# Opening


@pytest.mark.requirement("EXT-03")
@pytest.mark.parametrize("path", [AUTHORIZE, "/auth/authorize"])
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_browser_opens_the_request_and_is_like_any_other_from_there(
    post: Post, ec: KeyPair, growth_chart: App, path: str, method: str
) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec))
    query = urlencode({"client_id": "growth-chart", "request_uri": request_uri})
    browser = Browser(enforce_csrf_checks=True)
    answer: Any = browser.get(f"{path}?{query}") if method == "GET" else browser.post(path, query, content_type=FORM)
    stored = PendingAuthorization.objects.get()
    assert (answer.status_code, answer.headers["Location"]) == (303, f"/auth/consent/{stored.pk}")
    assert answer.headers["Cache-Control"] == "no-store"
    assert stored.opened_at is not None
    assert stored.expires_at - stored.opened_at == config().pending_lifetime


@pytest.mark.requirement("EXT-03")
def test_nothing_else_that_the_browser_sends_counts(post: Post, ec: KeyPair, growth_chart: App) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec, scope="launch/patient patient/Patient.rs", state="mine"))
    changed = {
        "scope": "launch/patient patient/*.cruds",
        "redirect_uri": "https://evil.example/",
        "state": "other",
        "response_type": "token",
        "code_challenge": Pkce().challenge,
        "aud": OTHER_BASE,
        "request": "a.b.c",
    }
    assert open_request(request_uri, **changed).status_code == 303
    stored = PendingAuthorization.objects.get()
    assert (stored.scope, stored.state) == ("launch/patient patient/Patient.rs", "mine")
    assert stored.redirect_uri == growth_chart.redirect_uri


@pytest.mark.requirement("EXT-03")
def test_a_reference_is_good_once(post: Post, ec: KeyPair, growth_chart: App) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec))
    assert open_request(request_uri).status_code == 303
    receipt = page_refusal(open_request(request_uri), 400)
    assert (receipt.rule, receipt.client_id) == ("request_uri.used", "growth-chart")
    assert receipt.seen.startswith("first used at ")


@pytest.mark.requirement("EXT-03")
def test_a_reference_is_good_for_a_minute(post: Post, ec: KeyPair, growth_chart: App) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec))
    minute = timedelta(seconds=60)
    PendingAuthorization.objects.update(created_at=F("created_at") - minute, expires_at=F("expires_at") - minute)
    receipt = page_refusal(open_request(request_uri), 400)
    assert (receipt.rule, receipt.seen.endswith(" s ago")) == ("request_uri.expired", True)
    assert PendingAuthorization.objects.get().opened_at is None


@pytest.mark.requirement("EXT-03")
def test_a_reference_is_good_for_the_client_that_got_it(
    post: Post, ec: KeyPair, growth_chart: App, tenant: TenantInfo
) -> None:
    make_app(phone_app(client_id="mallory"), tenant)
    request_uri = pushed_uri(push(post, growth_chart, ec))
    foreign = open_request(request_uri, "mallory")
    unknown = open_request(f"urn:ietf:params:oauth:request_uri:{'x' * 43}", "mallory")
    assert page_refusal(foreign, 400).rule == "request_uri.not_yours"
    assert page_refusal(unknown, 400).rule == "request_uri.unknown"
    shown = [page.content.decode().replace(page.headers["X-Trace-Id"], "") for page in (foreign, unknown)]
    assert shown[0] == shown[1]
    assert page_refusal(open_request(request_uri, "nobody"), 400).rule == "client.unknown"
    assert open_request(request_uri).status_code == 303  # Who guessed has not used it up.


@pytest.mark.requirement("EXT-03")
@pytest.mark.parametrize("tail", ["", "x" * 20_000, "\x00", "é", "' OR 1=1"])
def test_odd_references_lead_nowhere(growth_chart: App, tail: str) -> None:
    odd = open_request(f"urn:ietf:params:oauth:request_uri:{tail}")
    assert page_refusal(odd, 400).rule == "request_uri.unknown"


def test_a_reference_that_is_repeated_is_none(post: Post, ec: KeyPair, growth_chart: App) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec))
    query = urlencode(
        [("client_id", "growth-chart"), ("request_uri", request_uri), ("request_uri", "https://x.example")]
    )
    assert page_refusal(Browser().get(f"{AUTHORIZE}?{query}"), 400).rule == "http.parameter_repeated"


@pytest.mark.requirement("EXT-03")
def test_a_reference_is_opened_where_it_was_pushed(post: Post, ec: KeyPair, tenant: TenantInfo) -> None:
    app = make_app(phone_app(), tenant, make_tenant("north"))
    request_uri = pushed_uri(push(post, app, ec))
    assert page_refusal(open_request(request_uri, path="/auth/north/authorize"), 400).rule == "request_uri.other_tenant"
    assert open_request(request_uri).status_code == 303


def test_a_client_that_was_stopped_meanwhile_gets_a_page(post: Post, ec: KeyPair, growth_chart: App) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec))
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert page_refusal(open_request(request_uri), 400).rule == "client.suspended"


LAB = CATEGORIES["Observation"][0]


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("name", APPS)
@pytest.mark.requirement("AUTHZ-32")
def test_a_pushed_request_ends_in_tokens_with_its_scopes_unchanged(
    request: pytest.FixtureRequest, post: Post, ask: Ask, ec: KeyPair, browser: Browser, ana: User, name: str
) -> None:
    app: App = request.getfixturevalue(name)
    pkce = Pkce()
    scope = f"launch/patient openid patient/Patient.rs patient/Observation.rs?category={LAB}"
    answer = push(post, app, ec, scope=scope, code_challenge=pkce.challenge, state="s&t=a+b %")
    query = urlencode({"client_id": app.client_id, "request_uri": pushed_uri(answer)})
    continuation = urlsplit(browser.get(f"{AUTHORIZE}?{query}").headers["Location"]).path
    told = callback(decide(browser, continuation, open_consent(browser, continuation, ana)), app.redirect_uri)
    assert told["state"] == "s&t=a+b %"
    launched = Launch(told["code"], told["state"], pkce.verifier, app.client_id, app.redirect_uri)
    body = body_of(ask(app, redemption(launched)))
    assert (body["scope"], body["patient"], body["token_type"]) == (scope, "ana", "Bearer")


@pytest.mark.usefixtures("small")
def test_who_signed_in_before_the_browser_came_signs_in_again_when_the_app_wants_it(
    post: Post, ec: KeyPair, growth_chart: App, browser: Browser, ana: User
) -> None:
    request_uri = pushed_uri(push(post, growth_chart, ec, prompt="login"))
    sign_in(browser, ana)
    answer = browser.get(AUTHORIZE, {"client_id": "growth-chart", "request_uri": request_uri})
    page = browser.get(answer.headers["Location"])
    assert page.headers["Location"].startswith("/account/reauthenticate/")
    assert not AuthorizationCode.objects.exists()


# Clients that must push


@pytest.mark.requirement("EXT-04")
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_client_that_is_registered_to_push_must(post: Post, ec: KeyPair, tenant: TenantInfo, method: str) -> None:
    app = make_app(phone_app(require_pushed_authorization_requests=True), tenant)
    asked = authorize_params(app)
    browser = Browser()
    answer: Any = browser.get(AUTHORIZE, asked) if method == "GET" else browser.post(AUTHORIZE, urlencode(asked), FORM)
    assert told_in(answer, app.redirect_uri, asked["state"], "invalid_request").rule == "authorize.not_pushed"
    assert_nothing_stored()
    assert open_request(pushed_uri(push(post, app, ec))).status_code == 303


@pytest.mark.requirement("EXT-04")
def test_registration_keeps_and_tells_that_a_client_must_push(tenant: TenantInfo) -> None:
    client = register_client(web_app(require_pushed_authorization_requests=True), operator=True).client
    assert describe_client(client)["require_pushed_authorization_requests"] is True
    assert "require_pushed_authorization_requests" not in describe_client(
        register_client(phone_app(), operator=True).client
    )


@pytest.mark.requirement("EXT-04")
@pytest.mark.parametrize("value", ["true", 1, 0, "", [], {}])
def test_whether_it_must_is_true_or_false(db: None, value: object) -> None:
    with pytest.raises(InvalidClientMetadata) as refused:
        register_client(phone_app(require_pushed_authorization_requests=value), operator=True)
    assert refused.value.member == "require_pushed_authorization_requests"


def test_a_service_cannot_be_registered_to_push(db: None, ec: KeyPair) -> None:
    metadata = service(jwks={"keys": [ec.public_jwk]}, require_pushed_authorization_requests=True)
    with pytest.raises(InvalidClientMetadata) as refused:
        register_client(metadata, operator=True)
    assert refused.value.member == "require_pushed_authorization_requests"


def test_old_requests_that_nobody_opened_are_purged(post: Post, ec: KeyPair, growth_chart: App) -> None:
    pushed_uri(push(post, growth_chart, ec))
    purge(timezone.now() + timedelta(days=2))
    assert_nothing_stored()
