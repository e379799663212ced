"""Which pages may read what: registered origins at token, revocation, userinfo and the proxy, errors included.

SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS) support"; Fetch standard, CORS protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import pytest
from django.db import OperationalError
from django.test import Client as Browser

from clients import origins
from clients.models import Client
from clients.origins import may_read, origins_from
from clients.tenants import TenantInfo
from smartauth import rates, styling
from tests.conftest import Configure
from tests.endpoints.brands import publish
from tests.endpoints.conftest import Post
from tests.factories import make_client, phone_app

APP = "https://app.example.org"
FORM = "application/x-www-form-urlencoded"
# What SMART apps send, and what they read.  SMART 2.2 app-launch; FHIR R4 http; Fetch standard.
SENT = ["Authorization", "Content-Type", "Accept", "Prefer", "If-Match", "If-None-Match", "If-None-Exist"]
SENT += ["If-Modified-Since", "DPoP"]
EXPOSED = ["ETag", "Location", "Content-Location", "Last-Modified", "WWW-Authenticate", "DPoP-Nonce", "Retry-After"]
EXPOSED += ["X-Progress", "X-Request-ID", "X-Trace-Id"]
READABLE = ["/auth/sandbox/token", "/auth/token", "/auth/sandbox/revoke", "/auth/sandbox/userinfo", "/auth/sandbox/par"]


@pytest.fixture
def app(tenant: TenantInfo) -> None:
    make_client(
        phone_app(grant_types=["authorization_code", "refresh_token"], redirect_uris=[f"{APP}/callback"]),
        activate_at=(tenant,),
    )


ORIGINS = [
    # redirect URIs and registered origins              in the sandbox                        elsewhere
    (["https://a.example/cb"], [],                      {"https://a.example"},                {"https://a.example"}),
    (["https://a.example:443/cb"], [],                  {"https://a.example"},                {"https://a.example"}),
    (["https://a.example:8443/cb"], [],                 {"https://a.example:8443"},           {"https://a.example:8443"}),
    (["http://127.0.0.1:3000/cb"], [],                  {"http://127.0.0.1:3000"},            set()),
    (["http://[::1]:3000/cb"], [],                      {"http://[::1]:3000"},                set()),
    (["com.example.app:/cb"], [],                       set(),                                set()),
    (["com.example.app:/cb"], ["https://a.example"],    {"https://a.example"},                {"https://a.example"}),
]  # fmt: skip


@pytest.mark.requirement("CORS-05")
@pytest.mark.parametrize(("uris", "allowed", "sandbox", "elsewhere"), ORIGINS)
def test_origins_are_those_of_redirect_uris_and_those_registered(
    configure: Configure, uris: list[str], allowed: list[str], sandbox: set[str], elsewhere: set[str]
) -> None:
    assert origins_from(uris, allowed) == sandbox
    configure(mode="production")
    assert origins_from(uris, allowed) == elsewhere


@dataclass(frozen=True, slots=True)
class Case:
    """A request that is refused, or not, with this status."""

    status: int
    path: str
    method: str = "POST"
    body: str = "grant_type=refresh_token&refresh_token=x&client_id=growth-chart&token=x"
    headers: dict[str, str] = field(default_factory=dict)

    def send(self, origin: str = APP, **more: str) -> Any:
        kind = {"content_type": self.headers.get("Content-Type", FORM)}
        headers = {"Origin": origin, **{k: v for k, v in self.headers.items() if k != "Content-Type"}, **more}
        return Browser().generic(self.method, self.path, self.body, headers=headers, **kind)


BEARER = {"Authorization": "Bearer x"}
FHIR = "/fhir/sandbox/r4/Patient"
_WRONG = "grant_type=refresh_token&client_id=growth-chart&client_secret=x"
ANSWERS = {
    "refused grant": Case(400, "/auth/sandbox/token"),
    "refused grant at the short URL": Case(400, "/auth/token"),
    "wrong method": Case(405, "/auth/sandbox/token", "GET", ""),
    "too large": Case(413, "/auth/sandbox/token", body=f"x={'x' * 70_000}"),
    "not a form": Case(400, "/auth/sandbox/token", body="{}", headers={"Content-Type": "application/json"}),
    "sent in chunks": Case(411, "/auth/sandbox/token", headers={"Transfer-Encoding": "chunked"}),
    "unknown tenant": Case(404, "/auth/nowhere/token"),
    "wrong secret": Case(401, "/auth/sandbox/token", body=_WRONG),
    "revoked": Case(200, "/auth/sandbox/revoke"),
    "wrong method of revocation": Case(405, "/auth/sandbox/revoke", "DELETE", ""),
    "no bearer token at userinfo": Case(401, "/auth/sandbox/userinfo", "GET", ""),
    "unknown bearer token at userinfo": Case(401, "/auth/sandbox/userinfo", "GET", "", BEARER),
    "wrong method of userinfo": Case(405, "/auth/sandbox/userinfo", "PUT", ""),
    "no bearer token": Case(401, FHIR, "GET", ""),
    "unknown bearer token": Case(401, FHIR, "GET", "", BEARER),
    "two bearer tokens": Case(400, FHIR, "GET", "", {"Authorization": "Bearer x, Bearer y"}),
    "method override": Case(400, FHIR, "GET", "", {"X-HTTP-Method-Override": "DELETE"}),
    "unknown tenant of the API": Case(404, "/fhir/nowhere/r4/Patient", "GET", ""),
    "compressed body": Case(415, FHIR, headers={"Content-Encoding": "gzip", **BEARER}),
    "resource in chunks": Case(411, FHIR, body="", headers={"Transfer-Encoding": "chunked", **BEARER}),
}


@pytest.mark.requirement("CORS-03", "CORS-04", "CORS-07", "CORS-08", "T-48")
@pytest.mark.parametrize("name", ANSWERS)
def test_a_page_of_a_registered_origin_reads_every_answer(app: None, name: str) -> None:
    answer = ANSWERS[name].send()
    assert answer.status_code == ANSWERS[name].status, answer.content
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "Origin" in answer.headers["Vary"]
    assert "Access-Control-Allow-Credentials" not in answer.headers
    assert set(EXPOSED) <= set(answer.headers["Access-Control-Expose-Headers"].split(", "))


@pytest.mark.requirement("CORS-10", "CORS-08")
@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{APP}.evil.example"])
@pytest.mark.parametrize("name", ANSWERS)
def test_a_page_of_another_origin_reads_none(app: None, name: str, origin: str) -> None:
    answer = ANSWERS[name].send(origin)
    assert answer.status_code == ANSWERS[name].status, answer.content
    assert not {header for header in answer.headers if header.startswith("Access-Control-")}
    assert "Origin" in answer.headers["Vary"]


class TestOurOwnFaults:
    """5xx answers, and what a page reads while the database is away."""

    GOOD = ("token", "fhir")

    def _ask(self, what: str, origin: str = APP) -> Any:
        return ANSWERS["refused grant" if what == "token" else "unknown bearer token"].send(origin)

    @pytest.fixture
    def fail(self, monkeypatch: pytest.MonkeyPatch) -> Callable[[type[Exception]], None]:
        def begin(kind: type[Exception]) -> None:
            def broken(*args: object, **kwargs: object) -> None:
                raise kind

            places = ["smartauth.views.token.authenticate_client", "fhirproxy.pipeline.require_access"]
            if kind is OperationalError:  # Then nobody can be looked up either.
                places += ["clients.origins.find_client", "clients.origins.is_registered_origin"]
            for place in places:
                monkeypatch.setattr(place, broken)

        return begin

    @pytest.mark.requirement("CORS-03", "CORS-04", "T-48")
    @pytest.mark.parametrize("what", GOOD)
    def test_a_bug(self, app: None, fail: Callable[[type[Exception]], None], what: str) -> None:
        fail(RuntimeError)
        answer = self._ask(what)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (500, APP)
        assert "Access-Control-Allow-Origin" not in self._ask(what, "https://evil.example").headers

    @pytest.mark.requirement("CORS-03", "CORS-04", "CORS-10", "T-48")
    @pytest.mark.parametrize("what", GOOD)
    def test_a_database_that_is_away(self, app: None, fail: Callable[[type[Exception]], None], what: str) -> None:
        self._ask(what)
        fail(OperationalError)
        answer = self._ask(what)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (503, APP)
        assert "Retry-After" in answer.headers
        assert "Access-Control-Allow-Origin" not in self._ask(what, "https://evil.example").headers

    @pytest.mark.requirement("CORS-03")
    def test_who_could_read_is_forgotten_once_they_may_not(self, app: None) -> None:
        assert may_read(APP, "growth-chart")
        Client.objects.update(redirect_uris="https://other.example/cb")
        assert not may_read(APP, "growth-chart")
        assert (APP, "growth-chart") not in origins._readers


@pytest.mark.requirement("CORS-03", "HDR-15", "T-48")
def test_a_page_reads_that_it_has_to_wait(app: None, configure: Configure) -> None:
    rates.forget()
    configure(rate_per_address=1)
    for status in (400, 429):
        answer = ANSWERS["refused grant"].send()
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, APP)
    assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
    rates.forget()


@pytest.mark.requirement("CORS-03", "CORS-08")
@pytest.mark.parametrize("path", ["/auth/sandbox/token", "/auth/sandbox/revoke", "/auth/sandbox/par", "/auth/par"])
def test_a_registered_origin_reads_errors_of_its_own_client(app: None, post: Post, path: str) -> None:
    params = {"grant_type": "authorization_code", "client_id": "growth-chart", "token": "", "code": ""}
    answer = post(path, params, Origin=APP)
    assert answer.status_code == 400
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "X-Trace-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.requirement("CORS-10")
@pytest.mark.parametrize("origin", ["https://evil.example", f"{APP}:8443", f"{APP}.evil.example", "null", APP.upper()])
def test_another_origin_reads_nothing(app: None, post: Post, origin: str) -> None:
    answer = post("/auth/sandbox/token", {"grant_type": "x", "client_id": "growth-chart"}, Origin=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.requirement("CORS-03")
def test_an_origin_reads_nothing_about_another_client(app: None, tenant: TenantInfo, post: Post) -> None:
    make_client(phone_app(client_id="other", redirect_uris=["https://other.example/cb"]), activate_at=(tenant,))
    answer = post("/auth/sandbox/token", {"grant_type": "authorization_code", "client_id": "other"}, Origin=APP)
    assert "Access-Control-Allow-Origin" not in answer.headers


PREFLIGHTS = [
    # path                          methods that are named
    *((path, {"GET", "POST"}) for path in READABLE),
    (FHIR, {"GET", "POST", "PUT", "PATCH", "DELETE"}),
]


@pytest.mark.requirement("CORS-06", "CORS-07", "CORS-08", "CORS-10")
@pytest.mark.parametrize(("path", "methods"), PREFLIGHTS)
def test_a_preflight_lets_an_origin_of_any_approved_client_ask(app: None, path: str, methods: set[str]) -> None:
    ask: Any = Browser().options
    asked = ask(path, headers={"Origin": APP, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == APP
    assert methods <= set(asked.headers["Access-Control-Allow-Methods"].split(", "))
    assert set(SENT) <= set(asked.headers["Access-Control-Allow-Headers"].split(", "))
    assert asked.headers["Access-Control-Max-Age"] == "600"
    assert "Access-Control-Allow-Credentials" not in asked.headers
    for origin in ("https://evil.example", "null"):
        assert "Access-Control-Allow-Origin" not in ask(path, headers={"Origin": origin}).headers
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert "Access-Control-Allow-Origin" not in ask(path, headers={"Origin": APP}).headers


PAGES = [
    *("/auth/sandbox/authorize", "/auth/authorize", "/auth/sandbox/introspect", "/auth/introspect"),
    *(f"/auth/consent/{UUID(int=1)}", f"/auth/consent/{UUID(int=1)}/patient"),
    *("/account/login/", "/account/logout/", "/account/reauthenticate/", "/admin/", "/", "/nothing"),
]


@pytest.mark.requirement("CORS-09", "T-48")
@pytest.mark.parametrize("path", PAGES)
def test_pages_and_introspection_are_read_by_no_other_page(app: None, path: str) -> None:
    for method in ("GET", "HEAD", "OPTIONS", "POST", "PUT"):
        answer = Browser().generic(method, path, headers={"Origin": APP, "Access-Control-Request-Method": "POST"})
        assert not {header for header in answer.headers if header.startswith("Access-Control-")}, method


PUBLIC = [
    *("/fhir/sandbox/r4/.well-known/smart-configuration", "/.well-known/smart-configuration"),
    *("/.well-known/openid-configuration", "/.well-known/oauth-authorization-server", "/.well-known/jwks.json"),
    *("/fhir/sandbox/r4/metadata", "STYLE", "/brands/sandbox.json"),
]


@pytest.mark.requirement("CORS-01", "CORS-02", "CORS-08", "CORS-11", "BRAND-03", "T-47")
@pytest.mark.parametrize("path", PUBLIC)
def test_public_documents_are_read_by_every_page_whoever_asks(app: None, path: str) -> None:
    publish("sandbox")
    path = styling.smart_style_url().removeprefix("http://127.0.0.1:8000") if path == "STYLE" else path
    for origin in ({}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
        for method, status in (("GET", 200), ("HEAD", 200), ("OPTIONS", 204)):
            answer = Browser().generic(method, path, headers=origin)
            assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (status, "*"), method
            assert "Access-Control-Allow-Credentials" not in answer.headers
        refused = Browser().generic("GET", path.replace("sandbox", "nowhere"), headers=origin)
        assert refused.headers["Access-Control-Allow-Origin"] == "*"
