"""How answers travel: what they may be kept by, how they are named, and what browsers are told about pages.

RFC 6749 §5.1, §5.2 and §3.2; RFC 7662 §4; RFC 9700 §4.2.4, §4.12, §4.13 and §4.16; RFC 9110 §15.5.14 and §15.5.15.
"""

import base64
import re
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth import rates
from smartauth.audit.models import AuditRecord
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.conftest import Configure
from tests.endpoints.app_launch import App, authorize_params, begin, decide, open_consent, sign_in
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_token_client_credentials import rule_of
from tests.factories import TOKEN_URL, make_client, web_app

FORM = "application/x-www-form-urlencoded"
TOKEN = "/auth/sandbox/token"

# What is asked, and what is answered.
REFUSED = [
    # method   path                          body                                            status
    ("GET",    TOKEN,                        "",                                             405),
    ("POST",   TOKEN,                        "",                                             400),
    ("POST",   TOKEN,                        "grant_type=x",                                 400),
    ("POST",   TOKEN,                        "grant_type=client_credentials",                401),
    ("POST",   TOKEN,                        f"grant_type={'x' * 70_000}",                   413),
    ("POST",   TOKEN,                        "grant_type=refresh_token&refresh_token=x",     400),
    ("POST",   "/auth/token",                "grant_type=authorization_code&client_id=x",    401),
    ("POST",   "/auth/nowhere/token",        "grant_type=client_credentials",                404),
    ("POST",   "/auth/sandbox/introspect",   "token=x",                                      401),
    ("GET",    "/auth/sandbox/introspect",   "",                                             405),
    ("POST",   "/auth/sandbox/introspect",   f"token={'x' * 70_000}",                        413),
    ("POST",   "/auth/sandbox/revoke",       "token=x",                                      401),
    ("PUT",    "/auth/sandbox/revoke",       "",                                             405),
    ("GET",    "/auth/sandbox/userinfo",     "",                                             401),
    ("DELETE", "/auth/sandbox/userinfo",     "",                                             405),
    ("POST",   f"/auth/token?x={'y' * 40_000}", "",                                          414),
]  # fmt: skip


def assert_private_json(answer: Any) -> None:
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"


@pytest.mark.requirement("HDR-03", "HDR-04", "HDR-05", "HDR-12", "HDR-16", "T-13")
@pytest.mark.parametrize(("method", "path", "body", "status"), REFUSED, ids=lambda part: str(part)[:40])
def test_refusals_are_json_that_nobody_keeps(
    tenant: TenantInfo, method: str, path: str, body: str, status: int
) -> None:
    answer: Any = Browser().generic(method, path, body, content_type=FORM)
    assert answer.status_code == status, answer.content
    assert_private_json(answer)
    assert answer.json()["trace_id"] == answer.headers["X-Trace-Id"]
    assert Receipt.objects.filter(trace_id=answer.headers["X-Trace-Id"]).exists()
    assert ("Allow" in answer.headers) is (status == 405)


@pytest.mark.requirement("HDR-03", "HDR-04", "T-13")
@pytest.mark.parametrize(("kind", "status"), [(RuntimeError, 500), (OperationalError, 503)])
def test_our_own_faults_are_json_that_nobody_keeps(
    tenant: TenantInfo, monkeypatch: pytest.MonkeyPatch, kind: type[Exception], status: int
) -> None:
    def broken(*args: object, **kwargs: object) -> None:
        raise kind

    monkeypatch.setattr("smartauth.views.token.authenticate_client", broken)
    answer: Any = Browser().post(TOKEN, "grant_type=client_credentials", content_type=FORM)
    assert answer.status_code == status
    assert_private_json(answer)


@pytest.mark.requirement("HDR-03", "HDR-15", "T-13")
def test_being_told_to_wait_is_json_that_nobody_keeps(tenant: TenantInfo, configure: Configure) -> None:
    rates.forget()
    configure(rate_per_address=1)
    for status in (400, 429):
        answer: Any = Browser().post(TOKEN, "grant_type=x", content_type=FORM)
        assert answer.status_code == status
        assert_private_json(answer)
    rates.forget()


@pytest.mark.requirement("HDR-06")
@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_a_token_is_taken_in_any_case_of_its_scheme(
    small: object, bulk_loader: Service, post: Post, scheme: str
) -> None:
    params = {"grant_type": "client_credentials", "scope": "system/*.rs", **bulk_loader.credentials()}
    token = post(TOKEN, params).json()["access_token"]
    told = {"Authorization": f"{scheme} {token}"}
    assert Browser().get("/fhir/sandbox/r4/Patient/ana", headers=told).status_code == 200
    assert Browser().get("/auth/sandbox/userinfo", headers=told).status_code == 403  # Known, and without a user.


@pytest.mark.requirement("HDR-06")
@pytest.mark.parametrize("scheme", ["Basic", "basic", "BASIC"])
def test_a_secret_is_taken_in_any_case_of_its_scheme(post: Post, cardio_secret: str, scheme: str) -> None:
    shown = base64.b64encode(f"cardio:{cardio_secret}".encode()).decode()
    answer = post(TOKEN, {"grant_type": "authorization_code", "code": "x"}, Authorization=f"{scheme} {shown}")
    assert answer.json()["error"] in ("invalid_grant", "invalid_request")


@pytest.fixture
def cardio_secret(tenant: TenantInfo) -> str:
    return str(make_client(web_app(grant_types=["authorization_code"]), activate_at=(tenant,)).secret)


@pytest.mark.requirement("HDR-10", "T-06")
def test_the_audience_of_an_assertion_is_configured_whatever_host_is_asked(bulk_loader: Service, post: Post) -> None:
    def ask(audience: str) -> Any:
        proof = bulk_loader.credentials(aud=audience)
        return post(TOKEN, {"grant_type": "client_credentials", "scope": "system/*.rs", **proof}, Host="localhost")

    assert ask(TOKEN_URL).status_code == 200
    refused = ask(TOKEN_URL.replace("127.0.0.1", "localhost"))
    assert (refused.status_code, rule_of(refused)) == (401, "assertion.aud")


@pytest.mark.requirement("HDR-13")
def test_an_empty_parameter_is_absent_an_unknown_one_ignored_and_a_known_one_comes_once(
    bulk_loader: Service,
) -> None:
    def ask(more: str) -> Any:
        proof = "&".join(f"{name}={value}" for name, value in bulk_loader.credentials().items())
        body = f"grant_type=client_credentials&scope=system/*.rs&{proof}{more}"
        return Browser().post(TOKEN, body, content_type=FORM)

    for more in ("", "&client_secret=&code=&resource=", "&unknown=1&unknown=2", "&unknown="):
        assert ask(more).status_code == 200, more
    for more in ("&scope=system/*.rs", "&grant_type=client_credentials", "&client_id=&client_id=bulk-loader"):
        answer = ask(more)
        assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request"), more


# ---- pages


def pages_of(browser: Browser, app: App, user: User) -> dict[str, Any]:
    """Return answers with every kind of page, by name."""
    continuation = begin(browser, app, scope="launch/patient patient/*.rs")
    found: dict[str, Any] = {
        "sign-in": browser.get("/account/login/"),
        "landing": browser.get("/"),
        "error at the authorization endpoint": browser.get("/auth/sandbox/authorize"),
        "wrong method": browser.put("/auth/sandbox/authorize"),
        "unknown request": browser.get(f"/auth/consent/{UUID(int=1)}"),
        "not found": browser.get("/nothing"),
        "out of date": Browser(enforce_csrf_checks=True).post("/account/login/", {"login": "x"}),
        "sample app": browser.get("/launcher/app/"),
        "launcher": browser.get("/launcher/"),
        "administration": browser.get("/admin/", follow=True),
    }
    found["consent"] = open_consent(browser, continuation, user, patient="ana")
    found["picker"] = browser.get(f"{continuation}/patient")
    found["sign-in again"] = browser.get("/account/reauthenticate/")
    found["sign-out"] = browser.get("/account/logout/")
    found["answered"] = decide(browser, continuation, open_consent(browser, continuation, user)) and browser.get(
        continuation
    )
    return found


ELSEWHERE = re.compile(
    r"""<(?:script|img|link|iframe|object|embed|form|source)\b[^>]*(?:src|href|data|action)=["']?(?:https?:)?//"""
)


@pytest.mark.requirement("HDR-07", "HDR-16", "LAUNCH-09")
def test_every_page_is_framed_by_nobody_and_loads_nothing_from_elsewhere(
    small: object, growth_chart: App, dr_grey: User
) -> None:
    for name, page in pages_of(Browser(), growth_chart, dr_grey).items():
        assert page.headers["Content-Type"].startswith("text/html"), (name, page.status_code)
        policy = dict(part.strip().split(" ", 1) for part in page.headers["Content-Security-Policy"].split(";"))
        assert policy["default-src"] == "'none'", name
        assert policy["frame-ancestors"] == "'none'", name
        assert policy["base-uri"] == "'none'", name
        sources = [policy[f"{kind}-src"] for kind in ("script", "style", "font", "connect")]
        assert set(sources) == {"'self'"}, name
        assert page.headers["X-Frame-Options"] == "DENY", name
        assert page.headers["X-Content-Type-Options"] == "nosniff", name
        assert page.headers["Referrer-Policy"] == "no-referrer", name
        # Only what an app opens in a window beside itself is not cut off from it: such a window tells of the answer.
        is_opened_by_apps = page.request["PATH_INFO"].startswith(("/auth/", "/account/", "/launcher/"))
        assert page.headers["Cross-Origin-Opener-Policy"] == ("unsafe-none" if is_opened_by_apps else "same-origin"), (
            name
        )
        assert "no-store" in page.headers["Cache-Control"], name
        assert UUID(page.headers["X-Trace-Id"]), name
        assert ELSEWHERE.search(page.content.decode()) is None, name


@pytest.mark.requirement("HDR-09")
def test_a_posted_form_is_never_posted_on(small: object, growth_chart: App, dr_grey: User, post: Post) -> None:
    browser = Browser()
    posted = post("/auth/sandbox/authorize", authorize_params(growth_chart))
    continuation = begin(browser, growth_chart, scope="launch/patient patient/*.rs")
    signed_in = sign_in(browser, dr_grey, then=continuation)
    picked = browser.post(f"{continuation}/patient", {"patient": "ana"})
    page = open_consent(browser, continuation, dr_grey)
    answered = decide(browser, continuation, page)
    signed_out = browser.post("/account/logout/")
    statuses = [one.status_code for one in (posted, signed_in, picked, answered, signed_out)]
    assert set(statuses) <= {302, 303}, statuses
    assert answered.headers["Location"].startswith(growth_chart.redirect_uri)


@pytest.mark.requirement("HDR-12")
@pytest.mark.parametrize(("length", "status"), [(8_192, 303), (30_000, 303), (40_000, 414)])
def test_an_authorization_request_may_be_long_and_not_longer(growth_chart: App, length: int, status: int) -> None:
    answer = Browser().get("/auth/sandbox/authorize", authorize_params(growth_chart, state="s" * length))
    assert answer.status_code == status, answer.content[:200]
    if status == 414:
        assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "http.url_size"


@pytest.mark.requirement("HDR-16")
def test_the_number_in_the_header_finds_what_was_recorded(bulk_loader: Service, post: Post) -> None:
    params = {"grant_type": "client_credentials", "scope": "system/*.rs"}
    granted = post(TOKEN, params | bulk_loader.credentials())
    assert AuditRecord.objects.get(trace_id=granted.headers["X-Trace-Id"]).action == "token"
    refused = post(TOKEN, params)
    assert Receipt.objects.get(trace_id=refused.headers["X-Trace-Id"]).rule == "client.missing"
    fhir = Browser().get("/fhir/sandbox/r4/Patient/ana")
    assert fhir.json()["issue"][0]["diagnostics"] == fhir.headers["X-Trace-Id"]
    # It is a number of ours, whatever the caller says.
    own = Browser().get("/fhir/sandbox/r4/Patient/ana", headers={"X-Request-ID": "mine", "X-Trace-Id": "mine"})
    assert UUID(own.headers["X-Trace-Id"]).version == 4
