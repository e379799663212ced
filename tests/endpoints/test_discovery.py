"""The public documents: true, cacheable, readable from anywhere.  SMART 2.2 conformance; RFC 8414; RFC 9110 §13."""

from typing import Any

import pytest
from django.utils import timezone

from clients.models import Tenant
from clients.tenants import TenantInfo
from smartauth import keys
from smartauth.context import new_context
from tests.conftest import Configure
from tests.endpoints.conftest import Post, Service
from tests.factories import make_tenant

DOCUMENT = "/fhir/sandbox/r4/.well-known/smart-configuration"


def test_the_document_names_what_works_at_this_tenant(client: Any, tenant: TenantInfo) -> None:
    answer = client.get(DOCUMENT)
    assert answer.status_code == 200
    body = answer.json()
    scopes = body.pop("scopes_supported")
    assert body == {
        "jwks_uri": "http://127.0.0.1:8000/.well-known/jwks.json",
        "token_endpoint": "http://127.0.0.1:8000/auth/sandbox/token",
        "introspection_endpoint": "http://127.0.0.1:8000/auth/sandbox/introspect",
        "revocation_endpoint": "http://127.0.0.1:8000/auth/sandbox/revoke",
        "grant_types_supported": ["client_credentials"],
        "token_endpoint_auth_methods_supported": ["private_key_jwt"],
        "token_endpoint_auth_signing_alg_values_supported": ["RS384", "ES384", "RS256", "ES256", "PS256", "PS384"],
        "capabilities": ["client-confidential-asymmetric", "permission-v1", "permission-v2"],
    }
    assert "system/*.rs" in scopes
    assert not any(scope.startswith(("patient/", "user/", "launch", "openid")) for scope in scopes)


def test_every_advertised_scope_is_granted_when_asked(
    client: Any, tenant: TenantInfo, post: Post, bulk_loader: Service
) -> None:
    body = client.get(DOCUMENT).json()
    scopes = [scope for scope in body["scopes_supported"] if scope != "system/*.rs"]
    params = {"grant_type": "client_credentials", "scope": " ".join(scopes), **bulk_loader.credentials()}
    path = body["token_endpoint"].removeprefix("http://127.0.0.1:8000")
    assert post(path, params).json()["scope"].split(" ") == scopes


@pytest.mark.parametrize("name", ["token_endpoint", "introspection_endpoint", "revocation_endpoint"])
def test_every_advertised_endpoint_answers(client: Any, tenant: TenantInfo, post: Post, name: str) -> None:
    path = client.get(DOCUMENT).json()[name].removeprefix("http://127.0.0.1:8000")
    assert post(path, {"grant_type": "x", "token": "x"}).status_code in (400, 401)


def test_the_keys_are_where_the_document_says(client: Any, tenant: TenantInfo) -> None:
    path = client.get(DOCUMENT).json()["jwks_uri"].removeprefix("http://127.0.0.1:8000")
    [key] = client.get(path).json()["keys"]
    assert (key["kty"], key["crv"], key["use"], key["alg"]) == ("EC", "P-256", "sig", "ES256")
    assert "d" not in key


def test_the_root_document_is_the_default_tenants(client: Any, tenant: TenantInfo) -> None:
    assert client.get("/.well-known/smart-configuration").json() == client.get(DOCUMENT).json()


def test_without_a_default_tenant_the_root_has_no_document(
    client: Any, tenant: TenantInfo, configure: Configure
) -> None:
    configure(default_tenant=None)
    assert client.get("/.well-known/smart-configuration").status_code == 404
    assert client.get(DOCUMENT).status_code == 200


@pytest.mark.parametrize("slug", ["nowhere", "closed", "UPPER", "a_b"])
def test_a_base_that_is_not_served_has_no_document(client: Any, tenant: TenantInfo, slug: str) -> None:
    Tenant.objects.create(slug="closed", is_active=False)
    answer = client.get(f"/fhir/{slug}/r4/.well-known/smart-configuration")
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


def test_each_tenant_has_its_own(client: Any, tenant: TenantInfo) -> None:
    make_tenant("north")
    body = client.get("/fhir/north/r4/.well-known/smart-configuration").json()
    assert body["token_endpoint"] == "http://127.0.0.1:8000/auth/north/token"


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_there_is_no_openid_while_nobody_can_sign_in_to_an_app(client: Any, tenant: TenantInfo, path: str) -> None:
    assert client.get(f"/.well-known/{path}").status_code == 404


@pytest.mark.parametrize("path", [DOCUMENT, "/.well-known/jwks.json"])
class TestDelivery:
    """How every public document travels."""

    @pytest.mark.parametrize("accept", ["*/*", "application/fhir+json", "text/html", ""])
    def test_it_is_json_whatever_is_accepted(self, client: Any, tenant: TenantInfo, path: str, accept: str) -> None:
        answer = client.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")

    def test_any_origin_may_read_it_even_when_none_asks(self, client: Any, tenant: TenantInfo, path: str) -> None:
        answer = client.get(path)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        preflight = client.options(path, headers={"Origin": "https://app.example.org"})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"

    def test_it_is_cached_shortly_and_checked_by_its_tag(self, client: Any, tenant: TenantInfo, path: str) -> None:
        first = client.get(path)
        assert first.headers["Cache-Control"] == "public, max-age=300"
        again = client.get(path, headers={"If-None-Match": f'"other", {first.headers["ETag"]}'})
        assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200

    def test_head_is_get_without_a_body(self, client: Any, tenant: TenantInfo, path: str) -> None:
        answer = client.head(path)
        assert (answer.status_code, answer.content) == (200, b"")

    def test_it_is_only_read(self, client: Any, tenant: TenantInfo, path: str) -> None:
        answer = client.post(path)
        assert (answer.status_code, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


def test_the_host_header_decides_nothing(client: Any, tenant: TenantInfo) -> None:
    mine = client.get(DOCUMENT).content
    assert client.get(DOCUMENT, headers={"Host": "localhost"}).content == mine
    foreign = client.get(DOCUMENT, headers={"Host": "evil.example.org"})
    assert foreign.status_code == 400
    assert b"evil" not in foreign.content
    assert foreign.headers["X-Trace-Id"]


def test_a_changed_key_changes_the_tag(client: Any, tenant: TenantInfo) -> None:
    first = client.get("/.well-known/jwks.json").headers["ETag"]
    keys.rotate("access_token", context=new_context(), now=timezone.now())
    assert client.get("/.well-known/jwks.json").headers["ETag"] != first
