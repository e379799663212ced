"""Which pages may read what: registered origins at token, revocation, userinfo and the proxy, errors included.

SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS) support"; Fetch standard, CORS protocol.
"""

from typing import Any

import pytest
from django.test import Client as Browser

from clients.models import Client
from clients.origins import origins_from
from clients.tenants import TenantInfo
from tests.conftest import Configure
from tests.endpoints.conftest import Post
from tests.factories import make_client, make_tenant, phone_app

APP = "https://app.example.org"
FORM = "application/x-www-form-urlencoded"
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


@pytest.mark.parametrize(("uris", "allowed", "sandbox", "elsewhere"), ORIGINS)
def test_origins_are_those_of_redirect_uris_and_those_registered(
    configure: Configure, uris: list[str], allowed: list[str], sandbox: set[str], elsewhere: set[str]
) -> None:
    assert origins_from(uris, allowed) == sandbox
    configure(mode="production")
    assert origins_from(uris, allowed) == elsewhere


@pytest.mark.parametrize("path", ["/auth/sandbox/token", "/auth/sandbox/revoke", "/auth/sandbox/par", "/auth/par"])
def test_a_registered_origin_reads_errors_of_its_own_client(app: None, post: Post, path: str) -> None:
    params = {"grant_type": "authorization_code", "client_id": "growth-chart", "token": "", "code": ""}
    answer = post(path, params, Origin=APP)
    assert answer.status_code == 400
    assert answer.headers["Access-Control-Allow-Origin"] == APP
    assert "X-Trace-Id" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["Vary"] == "Origin"
    assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.parametrize("origin", ["https://evil.example", f"{APP}:8443", f"{APP}.evil.example", "null", APP.upper()])
def test_another_origin_reads_nothing(app: None, post: Post, origin: str) -> None:
    answer = post("/auth/sandbox/token", {"grant_type": "x", "client_id": "growth-chart"}, Origin=origin)
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_an_origin_reads_nothing_about_another_client(app: None, tenant: TenantInfo, post: Post) -> None:
    make_client(phone_app(client_id="other", redirect_uris=["https://other.example/cb"]), activate_at=(tenant,))
    answer = post("/auth/sandbox/token", {"grant_type": "authorization_code", "client_id": "other"}, Origin=APP)
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("path", [*READABLE, "/fhir/sandbox/r4/Patient"])
def test_a_preflight_lets_an_origin_of_any_approved_client_ask(app: None, path: str) -> None:
    ask: Any = Browser().options
    asked = ask(path, headers={"Origin": APP, "Access-Control-Request-Method": "POST"})
    assert asked.status_code == 204
    assert asked.headers["Access-Control-Allow-Origin"] == APP
    assert "Authorization" in asked.headers["Access-Control-Allow-Headers"]
    assert "Access-Control-Allow-Credentials" not in asked.headers
    assert "Access-Control-Allow-Origin" not in ask(path, headers={"Origin": "https://evil.example"}).headers
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert "Access-Control-Allow-Origin" not in ask(path, headers={"Origin": APP}).headers


def test_pages_and_introspection_are_read_by_no_other_page(app: None) -> None:
    make_tenant("north")
    for path in ("/auth/sandbox/authorize", "/auth/sandbox/introspect", "/account/login/", "/"):
        for method in ("get", "options", "post"):
            answer = getattr(Browser(), method)(path, headers={"Origin": APP})
            assert "Access-Control-Allow-Origin" not in answer.headers, path
