"""Authorization endpoint: what is taken, what is refused where, and what is stored.

RFC 6749 §3.1, §4.1.1 and §4.1.2.1; RFC 7636 §4.3; RFC 8707 §2; RFC 9700 §2.1, §4.11 and §4.12; OIDC Core §3.1.2;
SMART 2.2 app-launch, "Obtain authorization code".
"""

from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode
from uuid import UUID

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients.key_pairs import KeyPair
from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.conf import config
from smartauth.models import PendingAuthorization
from smartauth.policy.advertising import CATEGORIES
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import AUTHORIZE, FHIR_BASE, App, authorize_params, make_app, page_refusal, told_in
from tests.factories import make_client, make_tenant, phone_app, service, web_app

FORM = "application/x-www-form-urlencoded"
OTHER_BASE = "http://127.0.0.1:8000/fhir/north/r4"
NATIVE = "com.example.app:/callback"
LAB = CATEGORIES["Observation"][0]
Pairs = dict[str, str] | list[tuple[str, str]]


@pytest.fixture(params=["GET", "POST"])
def method(request: pytest.FixtureRequest) -> str:
    """Name both methods: what one does the other does."""
    return str(request.param)


def send(params: Pairs, method: str = "GET", *, path: str = AUTHORIZE, **extra: Any) -> HttpResponse:
    """Send a request as a browser that has never been here."""
    browser = Browser(enforce_csrf_checks=True)
    if method == "GET":
        answer = browser.get(f"{path}?{urlencode(params)}", **extra)
    else:
        answer = browser.post(path, urlencode(params), content_type=FORM, **extra)
    assert isinstance(answer, HttpResponse)
    return answer


def stored(answer: HttpResponse) -> PendingAuthorization:
    """Return the one request that was stored; the browser must be on its way to the page that continues it."""
    assert answer.status_code == 303, answer.content.decode()
    pending = PendingAuthorization.objects.get()
    assert answer.headers["Location"] == f"/auth/consent/{pending.pk}"
    return pending


def assert_nothing_stored() -> None:
    assert not PendingAuthorization.objects.exists()
    assert not AuditRecord.objects.exists()


def without(params: dict[str, str], *names: str) -> dict[str, str]:
    return {name: value for name, value in params.items() if name not in names}


# What is taken


@pytest.mark.requirement("AUTHZ-01", "AUTHZ-02", "T-28")
def test_a_good_request_is_stored_and_goes_on_by_get_on_a_page_of_ours(growth_chart: App, method: str) -> None:
    asked = authorize_params(scope="launch/patient openid patient/*.rs", nonce="n-81f2", max_age="300", prompt="login")
    answer = send(asked, method)
    pending = stored(answer)
    assert (pending.client.client_id, pending.tenant.slug) == ("growth-chart", "sandbox")
    assert (pending.redirect_uri, pending.state) == (asked["redirect_uri"], asked["state"])
    assert (pending.scope, pending.dropped) == ("launch/patient openid patient/*.rs", "")
    assert (pending.code_challenge, pending.nonce) == (asked["code_challenge"], "n-81f2")
    assert (pending.prompts, pending.max_age) == (["login"], 300)
    assert (pending.browser, pending.user, pending.patient, pending.answered_at) == ("", None, "", None)
    assert pending.expires_at - pending.created_at == config().pending_lifetime == timedelta(minutes=15)
    assert answer.content == b""
    assert not answer.cookies  # No cookie is read with a POST from another site, and none is set.
    assert not Receipt.objects.exists()
    assert not AuditRecord.objects.exists()


def test_what_is_not_sent_is_stored_as_absent(growth_chart: App) -> None:
    pending = stored(send(authorize_params()))
    assert (pending.nonce, pending.prompts, pending.max_age) == ("", [], None)


def test_every_request_is_stored_as_one_of_its_own(growth_chart: App) -> None:
    asked = authorize_params()
    first, second = (send(asked).headers["Location"] for _ in range(2))
    assert first != second
    assert PendingAuthorization.objects.count() == 2


@pytest.mark.requirement("AUTHZ-13", "T-32")
def test_apps_of_every_kind_need_the_same(growth_chart: App, cardio: App, pocket: App, method: str) -> None:
    for app in (growth_chart, cardio, pocket):
        pending = stored(send(authorize_params(app), method))
        assert (pending.client.client_id, pending.redirect_uri) == (app.client_id, app.redirect_uri)
        pending.delete()
        answer = send(authorize_params(app, code_challenge=...), method)
        assert told_in_full(answer, app, "invalid_request").rule == "pkce.missing"
    assert_nothing_stored()


def told_in_full(answer: HttpResponse, app: App, error: str) -> Receipt:
    """Return the receipt of an error redirect whose state we do not compare here."""
    state = answer.headers["Location"].rpartition("&state=")[2]
    receipt = told_in(answer, app.redirect_uri, state, error)
    assert (receipt.client_id, receipt.endpoint) == (app.client_id, "authorize")
    return receipt


IGNORED = {
    "display": "popup",
    "ui_locales": "de fr",
    "claims_locales": "de",
    "login_hint": "ana",
    "acr_values": "1",
    "id_token_hint": "not.a.token",
    "client_secret": "x",
    "utm_source": "newsletter",
    "response_mode": "query",
    "prompt": "select_account",
}


@pytest.mark.requirement("AUTHZ-25")
@pytest.mark.parametrize("name", IGNORED)
def test_parameters_that_change_nothing_are_no_error(growth_chart: App, method: str, name: str) -> None:
    stored(send(authorize_params() | {name: IGNORED[name]}, method))


@pytest.mark.requirement("AUTHZ-01")
@pytest.mark.parametrize("name", ["nonce", "prompt", "max_age", "launch", "request", "request_uri", "resource", "x"])
def test_an_empty_parameter_is_an_absent_one(growth_chart: App, method: str, name: str) -> None:
    stored(send(authorize_params() | {name: ""}, method))


@pytest.mark.requirement("AUTHZ-08", "AUTHZ-09", "AUTHZ-10", "EXT-10", "T-27")
@pytest.mark.parametrize("name", ["aud", "resource"])
@pytest.mark.parametrize("path", [AUTHORIZE, "/auth/authorize"])
@pytest.mark.parametrize("slash", ["", "/"])
def test_aud_is_the_fhir_base_with_or_without_a_slash(
    growth_chart: App, method: str, name: str, path: str, slash: str
) -> None:
    asked = authorize_params(aud=...) | {name: FHIR_BASE + slash}
    assert stored(send(asked, method, path=path)).tenant.slug == "sandbox"


@pytest.mark.requirement("AUTHZ-10")
def test_aud_and_resource_may_say_the_same(growth_chart: App, method: str) -> None:
    stored(send(authorize_params(resource=FHIR_BASE + "/"), method))


@pytest.mark.requirement("AUTHZ-08")
def test_the_short_url_serves_the_tenant_that_aud_names(tenant: TenantInfo, method: str) -> None:
    make_app(phone_app(), tenant, make_tenant("north"))
    assert stored(send(authorize_params(aud=OTHER_BASE), method, path="/auth/authorize")).tenant.slug == "north"


@pytest.mark.requirement("AUTHZ-06")
def test_a_long_state_and_a_long_url_are_taken(growth_chart: App, method: str) -> None:
    for length in (2_048, 9_000, 16_384):
        state = ("0123456789abcdef" * 1_024)[:length]
        pending = stored(send(authorize_params(state=state), method))
        assert pending.state == state
        pending.delete()


STATES = [
    "4f0c2b9e-5d2a-4e0e-9b6f-3d1f7a0c8e55",
    " leading and trailing ",
    "a+b c%20d%2Bd%%",
    "a&state=b&code=c#fragment",
    "eyJhIjoxfQ==",
    "ABCabc",
    "/?:@!$'()*,;-._~",
    'quote" back\\slash <script>alert(1)</script>',
    "é 漢字 🙂 e\u0301",
    "line\r\nX-Injected: yes\ttab",
    "0",
]


@pytest.mark.requirement("AUTHZ-06", "T-31")
@pytest.mark.parametrize("state", STATES, ids=ascii)
def test_state_is_opaque_and_comes_back_as_it_was(growth_chart: App, method: str, state: str) -> None:
    assert stored(send(authorize_params(state=state), method)).state == state
    PendingAuthorization.objects.all().delete()
    answer = send(authorize_params(state=state, aud=...), method)
    told_in(answer, growth_chart.redirect_uri, state, "invalid_request")
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-28")
def test_a_query_in_the_url_of_a_post_is_left_alone(growth_chart: App) -> None:
    stored(send(authorize_params(), "POST", path=f"{AUTHORIZE}?tenant=sandbox&campaign=spring"))


# Refused on a page: nothing goes to an address that is not proven


PAGES: list[tuple[dict[str, Any], str]] = [
    ({"client_id": ...}, "client.unknown"),
    ({"client_id": ""}, "client.unknown"),
    ({"client_id": "nobody"}, "client.unknown"),
    ({"client_id": "Growth-Chart"}, "client.unknown"),
    ({"client_id": "growth-chart "}, "client.unknown"),
    ({"client_id": "growth-chart\x00"}, "client.unknown"),
    ({"client_id": "<script>alert(1)</script>"}, "client.unknown"),
    ({"redirect_uri": ...}, "redirect_uri.missing"),
    ({"redirect_uri": ""}, "redirect_uri.missing"),
    *(
        ({"redirect_uri": uri}, "redirect_uri.not_registered")
        for uri in (
            "https://cardio.example.org/callback/",
            "https://cardio.example.org/callback?x=1",
            "https://cardio.example.org/callback#x",
            "https://cardio.example.org/callbac",
            "https://cardio.example.org/callback/../evil",
            "https://cardio.example.org/Callback",
            "https://CARDIO.example.org/callback",
            "https://cardio.example.org:443/callback",
            "https://cardio.example.org:8443/callback",
            "https://cardio.example.org/%63allback",
            "https://cardio.example.org",
            "https://user@cardio.example.org/callback",
            "https://cardio.example.org.evil.example/callback",
            "https://evil.example/https://cardio.example.org/callback",
            "http://cardio.example.org/callback",
            "//cardio.example.org/callback",
            " https://cardio.example.org/callback",
            "https://cardio.example.org/callback\r\nX: y",
            "https://cardio.example.org/callback https://cardio.example.org/callback",
            "http://127.0.0.1/callback",
            "javascript:alert(1)",
            "com.example.app:/callback",
            "https://cardio.example.org/\ufffd",
            "https://[/callback",
            "x" * 5_000,
        )
    ),
]


@pytest.mark.requirement("AUTHZ-03", "AUTHZ-04", "AUTHZ-33", "T-24", "T-25")
@pytest.mark.parametrize(("changes", "rule"), PAGES, ids=ascii)
def test_without_a_proven_client_and_redirect_uri_there_is_a_page(
    growth_chart: App, method: str, changes: dict[str, Any], rule: str
) -> None:
    answer = send(authorize_params(**changes), method)
    receipt = page_refusal(answer, 400)
    assert (receipt.rule, receipt.endpoint, receipt.method) == (rule, "authorize", method)
    page = answer.content.decode()
    for sent in ("evil.example", "alert(1)", "growth-chart", "cardio.example.org"):
        assert sent not in page
    assert_nothing_stored()


def test_a_page_leaves_its_receipt_with_the_client_that_was_named(growth_chart: App) -> None:
    assert page_refusal(send(authorize_params(redirect_uri=...)), 400).client_id == "growth-chart"
    assert page_refusal(send(authorize_params(client_id="nobody")), 400).client_id == "nobody"
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert page_refusal(send(authorize_params()), 400).client_id == "growth-chart"


def test_the_owner_of_the_client_sees_the_nearest_registered_uri_in_the_receipt(tenant: TenantInfo) -> None:
    uris = ["https://cardio.example.org/callback", "https://other.example.org/"]
    make_app(phone_app(redirect_uris=uris), tenant)
    receipt = page_refusal(send(authorize_params(redirect_uri=uris[0] + "/")), 400)
    assert (receipt.expected, receipt.seen) == (uris[0], uris[0] + "/")


@pytest.mark.requirement("AUTHZ-03", "T-24")
def test_client_then_redirect_uri_then_the_rest(growth_chart: App, method: str) -> None:
    everything_wrong = {
        "client_id": "nobody",
        "redirect_uri": "https://evil.example/",
        "response_type": "token",
        "scope": "",
        "aud": "x",
    }
    for mended, rule in (
        ({}, "client.unknown"),
        ({"client_id": "growth-chart"}, "redirect_uri.not_registered"),
    ):
        everything_wrong |= mended
        assert page_refusal(send(authorize_params(**everything_wrong), method), 400).rule == rule
    everything_wrong["redirect_uri"] = growth_chart.redirect_uri
    asked = authorize_params(**everything_wrong)
    answer = send(asked, method)
    receipt = told_in(answer, growth_chart.redirect_uri, asked["state"], "unsupported_response_type")
    assert receipt.rule == "authorize.response_type"
    assert_nothing_stored()


def test_the_rest_is_judged_in_the_order_a_developer_mends_it(growth_chart: App) -> None:
    steps: list[tuple[dict[str, str], str]] = [
        ({}, "authorize.request_object"),
        ({"request": ""}, "authorize.request_uri"),
        ({"request_uri": ""}, "authorize.response_type_missing"),
        ({"response_type": "code"}, "authorize.response_mode"),
        ({"response_mode": ""}, "scope.missing"),
        ({"scope": "system/*.rs openid patient/*.cruds nonsense"}, "pkce.missing"),
        ({"code_challenge": "x", "code_challenge_method": "plain"}, "pkce.method"),
        ({"code_challenge_method": "S256"}, "pkce.challenge"),
        ({"code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "authorize.prompt"),
        ({"prompt": ""}, "authorize.max_age"),
        ({"max_age": ""}, "aud.unknown"),
        ({"aud": FHIR_BASE}, "launch.not_registered"),
        ({"launch": ""}, "scope.not_registered"),
        ({"scope": "openid patient/*.cruds nonsense"}, ""),
    ]
    asked = authorize_params(
        response_type="", scope="", code_challenge="", aud="x", launch="x", request="x", request_uri="x"
    ) | {"response_mode": "fragment", "prompt": "x", "max_age": "x"}
    for mended, rule in steps:
        asked |= mended
        answer = send(asked)
        if rule:
            error = dict(one.split("=") for one in answer.headers["Location"].partition("?")[2].split("&"))["error"]
            assert told_in(answer, growth_chart.redirect_uri, asked["state"], error).rule == rule
            assert_nothing_stored()
        else:
            stored(answer)


STATUSES = [
    (Client.Status.SUSPENDED, "client.suspended"),
    (Client.Status.DRAFT, "client.not_approved"),
    (Client.Status.SUBMITTED, "client.not_approved"),
    (Client.Status.DECLINED, "client.not_approved"),
    (Client.Status.RETIRED, "client.not_approved"),
]


@pytest.mark.requirement("AUTHZ-03")
@pytest.mark.parametrize(("status", "rule"), STATUSES)
def test_a_client_that_may_not_act_gets_a_page(tenant: TenantInfo, method: str, status: str, rule: str) -> None:
    make_app(phone_app(), tenant, status=status)
    receipt = page_refusal(send(authorize_params(), method), 400)
    assert (receipt.rule, receipt.seen) == (rule, status)
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-03")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_two_answers_to_where_an_error_may_go_are_none(growth_chart: App, method: str, name: str) -> None:
    asked = authorize_params()
    for second in (asked[name], "https://evil.example/"):
        receipt = page_refusal(send([*asked.items(), (name, second)], method), 400)
        assert (receipt.rule, receipt.seen) == ("http.parameter_repeated", name)
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-28")
@pytest.mark.parametrize("name", ["client_id", "redirect_uri"])
def test_a_post_does_not_take_them_from_the_url(growth_chart: App, name: str) -> None:
    asked = authorize_params()
    path = f"{AUTHORIZE}?{urlencode({name: asked[name]})}"
    receipt = page_refusal(send(without(asked, name), "POST", path=path), 400)
    assert receipt.rule in ("client.unknown", "redirect_uri.missing")
    assert page_refusal(send(asked, "POST", path=path), 400).rule == "http.parameter_repeated"
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-28")
def test_a_name_in_the_url_and_in_the_body_is_repeated(growth_chart: App) -> None:
    asked = authorize_params()
    answer = send(asked, "POST", path=f"{AUTHORIZE}?{urlencode({'scope': 'openid'})}")
    receipt = told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_request")
    assert (receipt.rule, receipt.seen) == ("http.parameter_repeated", "scope")
    assert_nothing_stored()


@pytest.mark.parametrize("name", ["PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"])
def test_other_methods_are_refused(growth_chart: App, name: str) -> None:
    answer = Browser().generic(name, f"{AUTHORIZE}?{urlencode(authorize_params())}")
    assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, POST")
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.method"
    assert_nothing_stored()


UNREADABLE = [
    ("application/json", b"{}", 400, "http.content_type"),
    ("multipart/form-data; boundary=x", b"--x--\r\n", 400, "http.content_type"),
    (f"{FORM}; charset=iso-8859-1", b"client_id=growth-chart", 400, "http.content_type"),
    (FORM, b"client_id=\xc3\xa9", 400, "http.encoding"),
    (FORM, b"&".join(b"p%d=" % number for number in range(1_100)), 400, "http.encoding"),
    (FORM, b"client_id=growth-chart&x=" + b"x" * 65_536, 413, "http.size"),
]


@pytest.mark.parametrize(("content_type", "body", "status", "rule"), UNREADABLE, ids=lambda value: str(value)[:40])
def test_a_body_that_is_no_form_gets_a_page(
    growth_chart: App, content_type: str, body: bytes, status: int, rule: str
) -> None:
    answer = Browser().post(AUTHORIZE, body, content_type=content_type)
    assert page_refusal(answer, status).rule == rule
    assert_nothing_stored()


def test_a_large_request_below_the_limit_is_read(growth_chart: App) -> None:
    stored(send(authorize_params(x="x" * 60_000), "POST"))


@pytest.mark.parametrize("path", ["/auth/nowhere/authorize", "/auth/closed/authorize"])
def test_an_unknown_or_closed_tenant_gets_a_page(growth_chart: App, method: str, path: str) -> None:
    Tenant.objects.create(slug="closed", is_active=False)
    receipt = page_refusal(send(authorize_params(), method, path=path), 404)
    assert (receipt.rule, receipt.endpoint) == ("tenant.unknown", "authorize")
    assert_nothing_stored()


# Refused at the app: client and redirect URI are proven


REDIRECTS: list[tuple[dict[str, Any], str, str]] = [
    # what is wrong, what the app is told, what the receipt says
    ({"response_type": ...}, "invalid_request", "authorize.response_type_missing"),
    ({"response_type": ""}, "invalid_request", "authorize.response_type_missing"),
    ({"response_type": "token"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_type": "id_token"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_type": "code token"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_type": "code id_token"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_type": "Code"}, "unsupported_response_type", "authorize.response_type"),
    ({"response_type": "code "}, "unsupported_response_type", "authorize.response_type"),
    ({"response_mode": "fragment"}, "invalid_request", "authorize.response_mode"),
    ({"response_mode": "form_post"}, "invalid_request", "authorize.response_mode"),
    ({"state": "x" * 16_385}, "invalid_request", "authorize.state_long"),
    ({"state": "a\x00b"}, "invalid_request", "http.encoding"),
    ({"nonce": "x" * 2_049}, "invalid_request", "authorize.nonce_long"),
    ({"scope": ...}, "invalid_scope", "scope.missing"),
    ({"scope": ""}, "invalid_scope", "scope.missing"),
    ({"scope": "   "}, "invalid_scope", "scope.missing"),
    ({"code_challenge": ...}, "invalid_request", "pkce.missing"),
    ({"code_challenge": ""}, "invalid_request", "pkce.missing"),
    ({"code_challenge": ..., "code_challenge_method": ...}, "invalid_request", "pkce.missing"),
    ({"code_challenge_method": ...}, "invalid_request", "pkce.method"),
    ({"code_challenge_method": "plain"}, "invalid_request", "pkce.method"),
    ({"code_challenge_method": "s256"}, "invalid_request", "pkce.method"),
    ({"code_challenge_method": "S512"}, "invalid_request", "pkce.method"),
    ({"code_challenge": "x" * 42}, "invalid_request", "pkce.challenge"),
    ({"code_challenge": "x" * 44}, "invalid_request", "pkce.challenge"),
    ({"code_challenge": "x" * 42 + "="}, "invalid_request", "pkce.challenge"),
    ({"code_challenge": "x" * 42 + "+"}, "invalid_request", "pkce.challenge"),
    ({"code_challenge": "x" * 43 + "\n"}, "invalid_request", "pkce.challenge"),
    ({"code_challenge": "é" + "x" * 42}, "invalid_request", "pkce.challenge"),
    ({"aud": ...}, "invalid_request", "aud.missing"),
    ({"aud": ""}, "invalid_request", "aud.missing"),
    *(
        ({"aud": aud}, "invalid_request", "aud.unknown")
        for aud in (
            "https://fhir.evil.example/r4",
            FHIR_BASE + "//",
            FHIR_BASE + "/Patient",
            FHIR_BASE + "?x=1",
            FHIR_BASE + "#x",
            FHIR_BASE[:-1],
            FHIR_BASE.upper(),
            FHIR_BASE.replace("sandbox", "Sandbox"),
            FHIR_BASE.replace("127.0.0.1", "localhost"),
            FHIR_BASE.replace("http:", "https:"),
            FHIR_BASE.replace("sandbox", "nowhere"),
            FHIR_BASE.replace("sandbox", "%73andbox"),
            f" {FHIR_BASE}",
            f"{FHIR_BASE} {FHIR_BASE}",
            "/fhir/sandbox/r4",
            "http://127.0.0.1:8000",
            "x",
        )
    ),
    ({"aud": ..., "resource": "https://fhir.evil.example/r4"}, "invalid_target", "target.unknown"),
    ({"aud": ..., "resource": FHIR_BASE + "#x"}, "invalid_target", "target.unknown"),
    ({"aud": "https://fhir.evil.example/r4", "resource": FHIR_BASE}, "invalid_request", "aud.unknown"),
    ({"resource": "https://fhir.evil.example/r4"}, "invalid_target", "target.unknown"),
    ({"request": "a.b.c"}, "request_not_supported", "authorize.request_object"),
    ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported", "authorize.request_uri"),
    ({"request_uri": "urn:example:x"}, "request_uri_not_supported", "authorize.request_uri"),
    ({"prompt": "sometimes"}, "invalid_request", "authorize.prompt"),
    ({"prompt": "None"}, "invalid_request", "authorize.prompt"),
    ({"prompt": "login\tconsent"}, "invalid_request", "authorize.prompt"),
    ({"prompt": "none\n"}, "invalid_request", "authorize.prompt"),
    ({"prompt": "none login"}, "invalid_request", "authorize.prompt_none"),
    ({"prompt": "consent none"}, "invalid_request", "authorize.prompt_none"),
    *(
        ({"max_age": text}, "invalid_request", "authorize.max_age")
        for text in ("-1", "1.5", "soon", "1e3", "٣", " 1", "9" * 10)
    ),
    ({"launch": "Zr3pQ8mX0tYwLb7dKc2nVg"}, "unauthorized_client", "launch.not_registered"),
    ({"launch": "Zr3pQ8mX0tYwLb7dKc2nVg", "scope": "launch openid"}, "unauthorized_client", "launch.not_registered"),
]


@pytest.mark.requirement(
    "AUTHZ-05",
    "AUTHZ-07",
    "AUTHZ-08",
    "AUTHZ-09",
    "AUTHZ-10",
    "AUTHZ-11",
    "AUTHZ-13",
    "AUTHZ-14",
    "AUTHZ-17",
    "AUTHZ-24",
    "AUTHZ-26",
    "AUTHZ-27",
    "T-24",
    "T-26",
)
@pytest.mark.parametrize(("changes", "error", "rule"), REDIRECTS, ids=lambda value: ascii(value)[:80])
def test_everything_else_is_told_to_the_app(
    growth_chart: App, method: str, changes: dict[str, Any], error: str, rule: str
) -> None:
    asked = authorize_params(**changes)
    receipt = told_in(send(asked, method), growth_chart.redirect_uri, asked["state"], error)
    assert (receipt.rule, receipt.endpoint, receipt.client_id) == (rule, "authorize", "growth-chart")
    assert_nothing_stored()


LAUNCHES = [
    # asked with a launch parameter, what the app is told, what the receipt says
    ("openid", "The parameter launch needs the scope launch", "launch.scope_missing"),
    ("launch/patient patient/*.rs", "The parameter launch needs the scope launch", "launch.scope_missing"),
    ("launch openid", "The launch is not known here", "launch.unknown"),
    ("launch launch/patient openid", "The launch is not known here", "launch.unknown"),
]


@pytest.mark.requirement("AUTHZ-12")
@pytest.mark.parametrize(("scope", "told", "rule"), LAUNCHES)
def test_a_launch_is_asked_for_by_scope_and_parameter_together(
    tenant: TenantInfo, method: str, scope: str, told: str, rule: str
) -> None:
    app = make_app(phone_app(launch_urls=["https://cardio.example.org/launch"]), tenant)
    asked = authorize_params(scope=scope, launch="Zr3pQ8mX0tYwLb7dKc2nVg")
    answer = send(asked, method)
    assert told_in(answer, app.redirect_uri, asked["state"], "invalid_request").rule == rule
    assert f"error_description={quote(told)}" in answer.headers["Location"]
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-06")
@pytest.mark.parametrize("state", [..., ""])
def test_a_request_without_state_is_refused_without_one(growth_chart: App, method: str, state: Any) -> None:
    answer = send(authorize_params(state=state), method)
    assert told_in(answer, growth_chart.redirect_uri, None, "invalid_request").rule == "authorize.state_missing"
    assert_nothing_stored()


@pytest.mark.requirement("HDR-13")
@pytest.mark.requirement("AUTHZ-17")
@pytest.mark.parametrize(
    "name",
    [
        *("response_type", "scope", "aud", "code_challenge", "code_challenge_method"),
        *("nonce", "prompt", "max_age", "launch"),
    ],
)
@pytest.mark.parametrize("second", ["same", ""])
def test_a_repeated_parameter_is_refused(growth_chart: App, method: str, name: str, second: str) -> None:
    asked = authorize_params(nonce="n", prompt="login", max_age="1", launch="x")
    answer = send([*asked.items(), (name, second and asked[name])], method)
    receipt = told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_request")
    assert (receipt.rule, receipt.seen) == ("http.parameter_repeated", name)
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-06")
def test_of_two_states_none_is_right(growth_chart: App, method: str) -> None:
    asked = authorize_params()
    answer = send([*asked.items(), ("state", "another")], method)
    receipt = told_in(answer, growth_chart.redirect_uri, None, "invalid_request")
    assert (receipt.rule, receipt.seen) == ("http.parameter_repeated", "state")
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-10", "EXT-10")
def test_more_than_one_resource_is_an_invalid_target(growth_chart: App, method: str) -> None:
    asked = authorize_params(aud=..., resource=FHIR_BASE)
    answer = send([*asked.items(), ("resource", OTHER_BASE)], method)
    told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_target")
    assert_nothing_stored()


@pytest.mark.requirement("HDR-13")
def test_a_parameter_nobody_knows_may_be_repeated(growth_chart: App, method: str) -> None:
    stored(send([*authorize_params().items(), ("utm", "a"), ("utm", "b")], method))


@pytest.mark.requirement("AUTHZ-17")
@pytest.mark.parametrize(
    "name", ["scope", "nonce", "aud", "resource", "prompt", "launch", "login_hint", "response_type", "unknown"]
)
def test_a_nul_is_no_text(growth_chart: App, method: str, name: str) -> None:
    asked = authorize_params() | {name: "a\x00b"}
    receipt = told_in(send(asked, method), growth_chart.redirect_uri, asked["state"], "invalid_request")
    assert receipt.rule == "http.encoding"
    assert_nothing_stored()


CONTROLS = ["\x01", "\x1f", "\x7f", "\r\n", "\t", "\x85", "\u2028"]


@pytest.mark.requirement("AUTHZ-06", "AUTHZ-19")
@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_what_is_opaque_may_hold_control_characters(growth_chart: App, method: str, control: str) -> None:
    pending = stored(send(authorize_params(state=f"a{control}b", nonce=f"c{control}d"), method))
    assert (pending.state, pending.nonce) == (f"a{control}b", f"c{control}d")


@pytest.mark.requirement("AUTHZ-07", "SCOPE-01")
@pytest.mark.parametrize("control", CONTROLS, ids=ascii)
def test_only_a_blank_separates_scopes(growth_chart: App, method: str, control: str) -> None:
    asked = authorize_params(scope=f"openid{control}patient/Goal.rs")
    receipt = told_in(send(asked, method), growth_chart.redirect_uri, asked["state"], "invalid_scope")
    assert receipt.rule == "scope.nothing_granted"
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-17")
@pytest.mark.parametrize("name", ["state", "scope", "nonce", "unknown"])
def test_what_is_no_text_is_refused(growth_chart: App, method: str, name: str) -> None:
    query = urlencode(without(authorize_params(), name)) + f"&{name}=%FF%FE"
    browser = Browser()
    answer = (
        browser.get(f"{AUTHORIZE}?{query}") if method == "GET" else browser.post(AUTHORIZE, query, content_type=FORM)
    )
    location = answer.headers["Location"]
    assert location.startswith(f"{growth_chart.redirect_uri}?error=invalid_request&")
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.encoding"
    assert_nothing_stored()


def test_a_state_that_is_no_text_does_not_come_back_as_something_else(growth_chart: App, method: str) -> None:
    query = urlencode(authorize_params(state=...)) + "&state=%FF%FE"
    browser = Browser()
    answer = (
        browser.get(f"{AUTHORIZE}?{query}") if method == "GET" else browser.post(AUTHORIZE, query, content_type=FORM)
    )
    told_in(answer, growth_chart.redirect_uri, None, "invalid_request")


# Which client, which tenant


@pytest.mark.requirement("AUTHZ-17")
def test_a_client_without_the_grant_type_is_told_so(tenant: TenantInfo, ec: KeyPair, method: str) -> None:
    make_client(service(jwks={"keys": [ec.public_jwk]}), activate_at=(tenant,))
    # A service registers no redirect URI; one that is left over from another life does not help it.
    Client.objects.update(redirect_uris="https://bulk.example.org/callback")
    asked = authorize_params(client_id="bulk-loader", redirect_uri="https://bulk.example.org/callback")
    receipt = told_in(send(asked, method), asked["redirect_uri"], asked["state"], "unauthorized_client")
    assert (receipt.rule, receipt.client_id, receipt.tenant) == ("client.grant_type", "bulk-loader", "sandbox")
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-08")
@pytest.mark.parametrize("path", [AUTHORIZE, "/auth/authorize"])
def test_a_client_that_is_not_active_at_the_tenant_is_told_so(tenant: TenantInfo, method: str, path: str) -> None:
    app = make_app(phone_app(), make_tenant("north"))
    asked = authorize_params()
    receipt = told_in(send(asked, method, path=path), app.redirect_uri, asked["state"], "invalid_request")
    assert (receipt.rule, receipt.tenant, receipt.expected) == ("client.not_activated", "sandbox", "sandbox")
    assert_nothing_stored()


def test_an_activation_that_was_ended_counts_no_more(growth_chart: App, method: str) -> None:
    Activation.objects.update(is_active=False)
    asked = authorize_params()
    receipt = told_in(send(asked, method), growth_chart.redirect_uri, asked["state"], "invalid_request")
    assert receipt.rule == "client.not_activated"
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-08")
def test_the_url_of_one_tenant_does_not_serve_another(tenant: TenantInfo, method: str) -> None:
    app = make_app(phone_app(), tenant, make_tenant("north"))
    asked = authorize_params(aud=OTHER_BASE)
    receipt = told_in(send(asked, method), app.redirect_uri, asked["state"], "invalid_request")
    assert (receipt.rule, receipt.expected, receipt.seen) == ("aud.unknown", FHIR_BASE, OTHER_BASE)
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-10")
def test_aud_and_resource_must_agree(tenant: TenantInfo, method: str) -> None:
    app = make_app(phone_app(), tenant, make_tenant("north"))
    for path in (AUTHORIZE, "/auth/authorize"):
        asked = authorize_params(resource=OTHER_BASE)
        answer = send(asked, method, path=path)
        assert told_in(answer, app.redirect_uri, asked["state"], "invalid_target").rule == "target.unknown"
    assert_nothing_stored()


def test_a_closed_tenant_is_no_audience(growth_chart: App, method: str) -> None:
    Tenant.objects.create(slug="north", is_active=False)
    asked = authorize_params(aud=OTHER_BASE)
    answer = send(asked, method, path="/auth/authorize")
    assert told_in(answer, growth_chart.redirect_uri, asked["state"], "invalid_request").rule == "aud.unknown"
    assert_nothing_stored()


# Which scopes


@pytest.mark.requirement("AUTHZ-32", "T-55")
def test_scopes_survive_both_methods_unchanged(growth_chart: App, method: str) -> None:
    values = "&".join(f"category={value}" for value in CATEGORIES["Observation"][:2])
    scope = f"patient/Observation.rs?{values} patient/Condition.rs?code=a%26b|c patient/Goal.r openid"
    assert stored(send(authorize_params(scope=scope), method)).scope == scope


GRANTING = [
    # registered, allowed by the tenant, asked, put before the user
    ("patient/*.rs openid", "", "openid patient/Observation.rs", "openid patient/Observation.rs"),
    ("patient/Observation.rs", "", "patient/*.rs", "patient/Observation.rs"),
    ("patient/Observation.rs patient/Patient.r", "", "patient/*.cruds", "patient/Observation.rs patient/Patient.r"),
    ("patient/*.rs", "", "patient/*.cruds", "patient/*.rs"),
    ("patient/*.rs", "patient/Condition.rs", "patient/*.rs", "patient/Condition.rs"),
    (f"patient/Observation.rs?category={LAB}", "", "patient/Observation.rs", f"patient/Observation.rs?category={LAB}"),
    ("patient/*.rs", "", f"patient/Observation.rs?category={LAB}", f"patient/Observation.rs?category={LAB}"),
    (
        "patient/*.rs",
        "",
        f"patient/Observation.rs?category={LAB.replace('|', '%7C')}",
        f"patient/Observation.rs?category={LAB}",
    ),
    ("patient/*.read", "", "patient/Observation.read", "patient/Observation.read"),
    ("patient/*.read", "", "patient/Observation.rs", "patient/Observation.rs"),
    ("patient/*.rs", "", "patient/Observation.read", "patient/Observation.read"),
    ("patient/*.rs", "", "patient/*.*", "patient/*.read"),
    ("patient/Observation.rs", "", "patient/*.read", "patient/Observation.read"),
    ("patient/Observation.ru", "", "patient/*.*", "patient/Observation.ru"),
    (f"patient/Observation.rs?category={LAB}", "", "patient/*.read", f"patient/Observation.rs?category={LAB}"),
    (
        "patient/*.rs",
        f"patient/Observation.rs?category={LAB}",
        "patient/Observation.read",
        f"patient/Observation.rs?category={LAB}",
    ),
    ("openid fhirUser", "", "openid fhirUser", "openid fhirUser"),
    ("openid", "", "  openid   openid ", "openid"),
    ("patient/*.rs", "", "patient/Goal.rs patient/Goal.rs", "patient/Goal.rs"),
]


@pytest.mark.requirement("AUTHZ-07", "SCOPE-05", "SCOPE-07", "SCOPE-18", "SCOPE-25")
@pytest.mark.parametrize(("registered", "allowed", "asked", "kept"), GRANTING)
def test_scopes_are_narrowed_to_what_the_client_may_have(
    tenant: TenantInfo, registered: str, allowed: str, asked: str, kept: str
) -> None:
    make_app(phone_app(scope=registered), tenant)
    Activation.objects.update(allowed_scope=allowed)
    pending = stored(send(authorize_params(scope=asked)))
    assert (pending.scope, pending.dropped) == (kept, "")


OUTSIDE = [
    # registered, allowed by the tenant, asked
    ("openid patient/Patient.rs", "", "openid patient/Observation.rs"),
    ("openid patient/Patient.rs", "", "patient/Patient.rs user/Patient.rs"),
    ("openid patient/Patient.rs", "", "patient/Patient.cud"),
    ("openid patient/*.rs", "patient/Patient.rs", "openid patient/Patient.rs"),
    ("openid patient/*.rs", "openid patient/Patient.rs", "patient/Observation.rs"),
    ("patient/*.rs", "", "patient/*.rs offline_access"),
    ("patient/*.rs", "", "patient/*.rs openid"),
    ("patient/*.rs", "", "patient/*.rs launch/patient"),
    ("patient/*.rs", "", "patient/*.rs launch"),
    ("patient/*.rs", "", "patient/*.rs system/*.rs"),
    ("patient/*.rs", "", "patient/*.rs __note"),
    ("patient/*.rs", "", "patient/*.rs https://example.org/scope"),
    ("", "", "openid"),
]


@pytest.mark.requirement("SCOPE-19", "SCOPE-25")
@pytest.mark.parametrize(("registered", "allowed", "asked"), OUTSIDE)
def test_a_readable_scope_outside_the_registration_refuses_everything(
    tenant: TenantInfo, registered: str, allowed: str, asked: str
) -> None:
    app = make_app(phone_app(scope=registered), tenant)
    Activation.objects.update(allowed_scope=allowed)
    params = authorize_params(scope=asked)
    answer = send(params)
    receipt = told_in(answer, app.redirect_uri, params["state"], "invalid_scope")
    assert (receipt.rule, receipt.tenant) == ("scope.not_registered", "sandbox")
    assert receipt.seen in asked.split()
    assert receipt.seen not in answer.headers["Location"]  # Which one it was is for the receipt alone.
    assert_nothing_stored()


DROPPED = [
    # asked beside patient/Goal.rs, the rule that dropped it
    ("patient/Observation.dus", "scope.grammar"),
    ("patient/Observation.rr", "scope.grammar"),
    ("patient/Observation.x", "scope.grammar"),
    ("patient/Observation.", "scope.grammar"),
    ("patient/Observation", "scope.grammar"),
    ("patient/Nonsense.rs", "scope.grammar"),
    ("patient/observation.rs", "scope.grammar"),
    ("Patient/Observation.rs", "scope.grammar"),
    ("patient/Observation.rs?code:in=x", "scope.grammar"),
    ("patient/Observation.rs?patient.name=x", "scope.grammar"),
    ("patient/Observation.rs?_filter=x", "scope.grammar"),
    ("patient/Observation.rs?category=", "scope.grammar"),
    ("nonsense", "scope.grammar"),
    ("OpenID", "scope.grammar"),
    ("system/Goal.rs", "scope.no_use_here"),
    ("fhirUser", "scope.no_use_here"),
    ("profile", "scope.no_use_here"),
    ("launch", "scope.no_use_here"),
    ("launch/imagingstudy", "scope.no_use_here"),
]


@pytest.mark.requirement("SCOPE-01", "SCOPE-02", "SCOPE-11", "SCOPE-16", "SCOPE-19", "SCOPE-26")
@pytest.mark.parametrize(("text", "rule"), DROPPED)
def test_what_is_unknown_or_useless_is_dropped_and_noted(tenant: TenantInfo, text: str, rule: str) -> None:
    scope = "patient/*.rs system/*.rs openid fhirUser profile launch launch/patient launch/imagingstudy"
    app = make_app(phone_app(scope=scope), tenant)
    pending = stored(send(authorize_params(scope=f"{text} patient/Goal.rs")))
    assert (pending.scope, pending.dropped) == ("patient/Goal.rs", f"{text} ({rule})")
    pending.delete()
    params = authorize_params(scope=text)
    receipt = told_in(send(params), app.redirect_uri, params["state"], "invalid_scope")
    assert receipt.rule == "scope.nothing_granted"
    assert text in receipt.seen
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-12")
def test_the_launch_scope_without_a_launch_goes_on_standalone(growth_chart: App) -> None:
    pending = stored(send(authorize_params(scope="launch launch/patient patient/*.rs")))
    assert pending.scope == "launch/patient patient/*.rs"


@pytest.mark.requirement("SCOPE-18")
def test_a_client_without_refresh_tokens_cannot_stay_connected(tenant: TenantInfo) -> None:
    make_app(phone_app(grant_types=["authorization_code"]), tenant)
    scope = "openid offline_access online_access"
    assert stored(send(authorize_params(scope=scope))).scope == "openid"


def test_both_ways_to_stay_connected_are_put_before_the_user(growth_chart: App) -> None:
    scope = "openid online_access offline_access"
    assert stored(send(authorize_params(scope=scope))).scope == scope


def test_nobody_can_decide_about_hundreds_of_scopes(growth_chart: App) -> None:
    scopes = [f"patient/Observation.rs?code={number}" for number in range(201)]
    stored(send(authorize_params(scope=" ".join(scopes[:200])))).delete()
    params = authorize_params(scope=" ".join(scopes))
    receipt = told_in(send(params), growth_chart.redirect_uri, params["state"], "invalid_scope")
    assert (receipt.rule, receipt.seen) == ("scope.too_many", "201")
    assert_nothing_stored()


# How the answer is written


@pytest.mark.requirement("AUTHZ-15")
def test_a_query_of_the_redirect_uri_is_kept(tenant: TenantInfo, method: str) -> None:
    uri = "https://cardio.example.org/callback?tenant=7&x=%20a+b"
    make_app(phone_app(redirect_uris=[uri]), tenant)
    asked = authorize_params(redirect_uri=uri, aud=...)
    told_in(send(asked, method), uri, asked["state"], "invalid_request")


@pytest.mark.requirement("AUTHZ-31", "T-30")
def test_a_private_scheme_of_a_native_app_is_redirected_to(pocket: App, method: str) -> None:
    asked = authorize_params(pocket, aud=...)
    assert asked["redirect_uri"] == NATIVE
    answer = send(asked, method)
    told_in(answer, NATIVE, asked["state"], "invalid_request")
    assert answer.headers["Location"].startswith("com.example.app:/callback?error=invalid_request&")


@pytest.mark.requirement("AUTHZ-04")
@pytest.mark.parametrize("port", ["", ":1", ":49152"])
def test_a_native_app_listens_on_any_loopback_port(pocket: App, method: str, port: str) -> None:
    uri = f"http://127.0.0.1{port}/callback"
    assert stored(send(authorize_params(pocket, redirect_uri=uri), method)).redirect_uri == uri
    PendingAuthorization.objects.all().delete()
    asked = authorize_params(pocket, redirect_uri=uri, aud=...)
    told_in(send(asked, method), uri, asked["state"], "invalid_request")


@pytest.mark.requirement("AUTHZ-04", "AUTHZ-31", "T-25")
@pytest.mark.parametrize(
    "uri",
    [
        "http://127.0.0.1:49152/callback/",
        "http://127.0.0.1:49152/",
        "http://127.0.0.1:49152/callback?x=1",
        "http://127.0.0.1:49152/callback#x",
        "http://localhost:49152/callback",
        "http://[::1]:49152/callback",
        "http://127.0.0.2:49152/callback",
        "http://127.0.0.1.evil.example:49152/callback",
        "http://127.0.0.1:80@evil.example/callback",
        "http://evil.example:49152/callback",
        "https://127.0.0.1:49152/callback",
        "http://127.0.0.1:99999/callback",
        "http://127.0.0.1:x/callback",
        "HTTP://127.0.0.1:49152/callback",
        "\thttp://127.0.0.1:49152/callback",
        "http://127.0.0.1:49152/call\nback",
        "com.example.app:/callback/",
        "com.example.app://callback",
        "com.example.app:/Callback",
        "com.example.app.evil:/callback",
        "COM.example.app:/callback",
    ],
)
def test_of_a_native_app_only_the_port_is_free(pocket: App, uri: str) -> None:
    receipt = page_refusal(send(authorize_params(pocket, redirect_uri=uri)), 400)
    assert receipt.rule == "redirect_uri.not_registered"
    assert_nothing_stored()


@pytest.mark.requirement("AUTHZ-04")
def test_the_port_of_a_web_app_is_not_free(tenant: TenantInfo) -> None:
    make_app(web_app(redirect_uris=["http://127.0.0.1:3000/callback"]), tenant)
    params = authorize_params(client_id="cardio", redirect_uri="http://127.0.0.1:3001/callback")
    assert page_refusal(send(params), 400).rule == "redirect_uri.not_registered"
    assert_nothing_stored()


ENDS: list[dict[str, Any]] = [{}, {"aud": ...}, {"redirect_uri": ...}]


@pytest.mark.requirement("AUTHZ-33", "SEC-10")
@pytest.mark.parametrize("changes", ENDS, ids=["taken", "told to the app", "page"])
def test_no_answer_is_cached_framed_shared_or_referred_to(
    growth_chart: App, method: str, changes: dict[str, Any]
) -> None:
    asked = authorize_params(**changes)
    answer = send(asked, method, HTTP_ORIGIN="https://cardio.example.org")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert UUID(answer.headers["X-Trace-Id"])
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]
    assert not answer.cookies
    if answer.status_code == 400:
        policy = answer.headers["Content-Security-Policy"]
        for directive in ("default-src 'none'", "frame-ancestors 'none'", "form-action 'self'", "base-uri 'none'"):
            assert directive in policy.split("; ")
        page = answer.content.decode()
        assert "<script" not in page
        assert asked["state"] not in page
        assert asked["code_challenge"] not in page


@pytest.mark.parametrize("origin", ["https://cardio.example.org", "null"])
def test_no_other_site_is_told_that_it_may_ask(growth_chart: App, origin: str) -> None:
    preflight = {"HTTP_ORIGIN": origin, "HTTP_ACCESS_CONTROL_REQUEST_METHOD": "POST"}
    answer = Browser().options(AUTHORIZE, **preflight)
    assert answer.status_code == 405
    assert not [name for name in answer.headers if name.lower().startswith("access-control-")]


def test_a_redirect_says_nothing_in_its_body(growth_chart: App, method: str) -> None:
    answer = send(authorize_params(aud=...), method)
    assert (answer.status_code, answer.content) == (303, b"")
    assert "Content-Type" not in answer.headers
