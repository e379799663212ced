"""The public documents: true, cacheable, readable from anywhere.  SMART 2.2 conformance; RFC 8414; RFC 9110 §13."""

from typing import Any

import pytest
from authlib.oauth2 import rfc9101, rfc9207
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata
from authlib.oidc import rpinitiated
from authlib.oidc.discovery import OpenIDProviderMetadata
from django.utils import timezone

from clients.models import Tenant
from clients.tenants import TenantInfo
from smartauth import keys, styling
from smartauth.context import new_context
from tests.conftest import Configure
from tests.endpoints.conftest import Post, Service
from tests.factories import make_tenant

DOCUMENT = "/fhir/sandbox/r4/.well-known/smart-configuration"


CLIENT_AUTH = ["client_secret_basic", "client_secret_post", "private_key_jwt"]
ALGORITHMS = ["RS384", "ES384", "RS256", "ES256", "PS256", "PS384"]
CORE = {
    "issuer": "http://127.0.0.1:8000",
    "jwks_uri": "http://127.0.0.1:8000/.well-known/jwks.json",
    "authorization_endpoint": "http://127.0.0.1:8000/auth/sandbox/authorize",
    "token_endpoint": "http://127.0.0.1:8000/auth/sandbox/token",
    "introspection_endpoint": "http://127.0.0.1:8000/auth/sandbox/introspect",
    "revocation_endpoint": "http://127.0.0.1:8000/auth/sandbox/revoke",
    "management_endpoint": "http://127.0.0.1:8000/account/apps",
    "registration_endpoint": "http://127.0.0.1:8000/auth/register",
    "pushed_authorization_request_endpoint": "http://127.0.0.1:8000/auth/sandbox/par",
    "grant_types_supported": ["authorization_code", "refresh_token", "client_credentials"],
    "response_types_supported": ["code"],
    "code_challenge_methods_supported": ["S256"],
    "token_endpoint_auth_methods_supported": CLIENT_AUTH,
    "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    "dpop_signing_alg_values_supported": ["ES256", "ES384", "PS256", "PS384", "RS256", "RS384"],
}


@pytest.mark.requirement(
    "DISC-01", "DISC-05", "DISC-06", "DISC-07", "DISC-08", "DISC-09", "DISC-10", "DISC-14", "DISC-15", "DISC-18"
)
def test_the_document_names_what_works_at_this_tenant(client: Any, tenant: TenantInfo) -> None:
    answer = client.get(DOCUMENT)
    assert answer.status_code == 200
    body = answer.json()
    scopes = body.pop("scopes_supported")
    capabilities = body.pop("capabilities")
    assert body == CORE
    context = ["launch", "launch/patient", "launch/encounter"]
    assert scopes[:7] == ["openid", "fhirUser", *context, "offline_access", "online_access"]
    assert {"patient/*.rs", "user/*.rs", "system/*.rs", "patient/Observation.rs"} < set(scopes)
    assert {"launch-standalone", "launch-ehr"} < set(capabilities)


AUTHENTICATION = {
    "token_endpoint_auth_methods_supported": [*CLIENT_AUTH, "none"],
    "token_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    "introspection_endpoint_auth_methods_supported": [*CLIENT_AUTH, "Bearer"],
    "introspection_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
    "revocation_endpoint_auth_methods_supported": [*CLIENT_AUTH, "none"],
    "revocation_endpoint_auth_signing_alg_values_supported": ALGORITHMS,
}


@pytest.mark.requirement("DISC-18", "META-02", "META-04", "OIDC-02", "OIDC-14", "OIDC-20", "OIDC-21")
def test_the_openid_document_says_what_openid_needs(client: Any, tenant: TenantInfo) -> None:
    body = client.get("/.well-known/openid-configuration").json()
    assert body.pop("scopes_supported")
    assert "fhirUser" in body.pop("claims_supported")
    assert body == CORE | AUTHENTICATION | {
        "userinfo_endpoint": "http://127.0.0.1:8000/auth/sandbox/userinfo",
        "end_session_endpoint": "http://127.0.0.1:8000/auth/sandbox/logout",
        "response_modes_supported": ["query"],
        "ui_locales_supported": ["en", "es"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES256"],
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "claims_parameter_supported": False,
    }


@pytest.mark.requirement("META-01")
def test_the_authorization_server_document_agrees_with_the_others(client: Any, tenant: TenantInfo) -> None:
    mine = client.get("/.well-known/oauth-authorization-server").json()
    openid = client.get("/.well-known/openid-configuration").json()
    assert mine.items() <= openid.items()
    assert {name for name in openid if name not in mine} == {
        "userinfo_endpoint",
        "end_session_endpoint",
        "subject_types_supported",
        "id_token_signing_alg_values_supported",
        "claims_supported",
        "request_parameter_supported",
        "request_uri_parameter_supported",
        "claims_parameter_supported",
    }


@pytest.mark.requirement("META-02")
@pytest.mark.requirement("AUTHZ-18")
def test_the_issuer_on_the_callback_is_told_where_it_is_switched_on(
    client: Any, tenant: TenantInfo, configure: Configure
) -> None:
    member = "authorization_response_iss_parameter_supported"
    for name in ("openid-configuration", "oauth-authorization-server"):
        configure(callback_iss=False)
        assert member not in client.get(f"/.well-known/{name}").json()
        configure(callback_iss=True)
        assert client.get(f"/.well-known/{name}").json()[member] is True


AUTHLIB_JUDGES = [
    # document                                   judged as                    with extensions
    (DOCUMENT,                                   AuthorizationServerMetadata, []),
    ("/.well-known/oauth-authorization-server",  AuthorizationServerMetadata, [rfc9101, rfc9207]),
    ("/.well-known/openid-configuration",        OpenIDProviderMetadata,      [rfc9101, rfc9207]),
]  # fmt: skip


@pytest.mark.requirement("DISC-04", "META-01", "META-02", "OIDC-02")
@pytest.mark.parametrize("callback_iss", [False, True])
@pytest.mark.parametrize(("path", "metadata", "extensions"), AUTHLIB_JUDGES)
def test_authlib_finds_nothing_wrong_with_the_documents(
    client: Any,
    tenant: TenantInfo,
    configure: Configure,
    path: str,
    metadata: Any,
    extensions: list[Any],
    callback_iss: bool,
) -> None:
    # It insists on https, which the sandbox on loopback does not have.
    configure(base_url="https://auth.example.org", callback_iss=callback_iss)
    document = metadata(client.get(path).json())
    classes = [extension.AuthorizationServerMetadata for extension in extensions]
    document.validate(metadata_classes=[*classes, rpinitiated.OpenIDProviderMetadata])
    del document["token_endpoint_auth_signing_alg_values_supported"]
    with pytest.raises(ValueError, match="is required"):
        document.validate()


# SMART 2.2 scopes-and-launch-context, "Styling"
STYLE_MEMBERS = {
    *("color_background", "color_error", "color_highlight", "color_modal_backdrop", "color_success", "color_text"),
    *("dim_border_radius", "dim_font_size", "dim_spacing_size", "font_family_body", "font_family_heading"),
}


@pytest.mark.requirement("CTX-09", "T-21")
def test_the_style_is_public_and_named_after_its_content(client: Any, tenant: TenantInfo) -> None:
    base, _, path = styling.smart_style_url().rpartition("/style/")
    assert base == "http://127.0.0.1:8000"
    answer = client.get(f"/style/{path}")
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, "*")
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.json()["color_text"].startswith("#")
    assert answer.json().keys() <= STYLE_MEMBERS
    assert {type(value) for value in answer.json().values()} == {str}
    assert client.get("/style/0123.json").status_code == 404


@pytest.mark.requirement("CTX-10")
def test_another_style_has_another_url(monkeypatch: pytest.MonkeyPatch) -> None:
    before = styling.smart_style_url()
    monkeypatch.setitem(styling.STYLE, "color_text", "#000000")
    styling.style_digest.cache_clear()
    after = styling.smart_style_url()
    monkeypatch.undo()
    styling.style_digest.cache_clear()
    assert after != before == styling.smart_style_url()


def test_every_advertised_scope_is_granted_when_asked(
    client: Any, tenant: TenantInfo, post: Post, bulk_loader: Service
) -> None:
    body = client.get(DOCUMENT).json()
    scopes = [scope for scope in body["scopes_supported"] if scope.startswith("system/") and "*" not in scope]
    params = {"grant_type": "client_credentials", "scope": " ".join(scopes), **bulk_loader.credentials()}
    path = body["token_endpoint"].removeprefix("http://127.0.0.1:8000")
    assert post(path, params).json()["scope"].split(" ") == scopes


FOR_BROWSERS = {"authorization_endpoint", "management_endpoint"}
POSTED_TO = [name for name in CORE if name.endswith("_endpoint") and name not in FOR_BROWSERS]


@pytest.mark.requirement("EXT-01")
@pytest.mark.parametrize("name", POSTED_TO)
def test_every_advertised_endpoint_answers(client: Any, tenant: TenantInfo, post: Post, name: str) -> None:
    path = client.get(DOCUMENT).json()[name].removeprefix("http://127.0.0.1:8000")
    assert post(path, {"grant_type": "x", "token": "x"}).status_code in (400, 401)


@pytest.mark.requirement("DISC-10", "HDR-04")
def test_the_keys_are_where_the_document_says(client: Any, tenant: TenantInfo) -> None:
    path = client.get(DOCUMENT).json()["jwks_uri"].removeprefix("http://127.0.0.1:8000")
    listed = client.get(path).json()["keys"]
    assert sorted((key["kty"], key["alg"], key["use"]) for key in listed) == [
        ("EC", "ES256", "sig"),
        ("EC", "ES256", "sig"),
        ("RSA", "RS256", "sig"),
    ]
    assert all({"d", "p", "q"}.isdisjoint(key) for key in listed)


def test_the_root_document_is_the_default_tenants(client: Any, tenant: TenantInfo) -> None:
    assert client.get("/.well-known/smart-configuration").json() == client.get(DOCUMENT).json()


def test_without_a_default_tenant_the_root_has_no_document(
    client: Any, tenant: TenantInfo, configure: Configure
) -> None:
    configure(default_tenant=None)
    assert client.get("/.well-known/smart-configuration").status_code == 404
    assert client.get(DOCUMENT).status_code == 200


@pytest.mark.requirement("DISC-25")
@pytest.mark.parametrize("slug", ["nowhere", "closed", "UPPER", "a_b"])
def test_a_base_that_is_not_served_has_no_document(client: Any, tenant: TenantInfo, slug: str) -> None:
    Tenant.objects.create(slug="closed", is_active=False)
    answer = client.get(f"/fhir/{slug}/r4/.well-known/smart-configuration")
    assert answer.status_code == 404
    assert answer.headers["Access-Control-Allow-Origin"] == "*"


@pytest.mark.requirement("DISC-25")
def test_each_tenant_has_its_own(client: Any, tenant: TenantInfo) -> None:
    make_tenant("north")
    body = client.get("/fhir/north/r4/.well-known/smart-configuration").json()
    assert body["token_endpoint"] == "http://127.0.0.1:8000/auth/north/token"


@pytest.mark.parametrize("path", ["openid-configuration", "oauth-authorization-server"])
def test_without_a_default_tenant_there_is_no_document_that_names_its_endpoints(
    client: Any, tenant: TenantInfo, configure: Configure, path: str
) -> None:
    configure(default_tenant=None)
    assert client.get(f"/.well-known/{path}").status_code == 404


RESOURCE = "/.well-known/oauth-protected-resource/fhir/sandbox/r4"


@pytest.mark.requirement("EXT-12")
def test_a_base_describes_itself_as_a_protected_resource(client: Any, tenant: TenantInfo) -> None:
    body = client.get(RESOURCE).json()
    scopes = body.pop("scopes_supported")
    assert scopes == client.get(DOCUMENT).json()["scopes_supported"]
    assert body == {
        "resource": "http://127.0.0.1:8000/fhir/sandbox/r4",
        "resource_name": tenant.name,
        "authorization_servers": ["http://127.0.0.1:8000"],
        "bearer_methods_supported": ["header"],
        "dpop_signing_alg_values_supported": CORE["dpop_signing_alg_values_supported"],
        "dpop_bound_access_tokens_required": False,
    }


@pytest.mark.requirement("EXT-12")
def test_only_the_base_whose_endpoints_the_issuer_names_names_the_issuer(client: Any, tenant: TenantInfo) -> None:
    make_tenant("north")
    body = client.get(RESOURCE.replace("sandbox", "north")).json()
    assert body["resource"] == "http://127.0.0.1:8000/fhir/north/r4"
    assert "authorization_servers" not in body
    assert client.get(RESOURCE.replace("sandbox", "nowhere")).status_code == 404
    assert client.get("/.well-known/oauth-protected-resource").status_code == 404


@pytest.mark.requirement("UDAP-01")
def test_udap_is_not_offered_and_its_document_not_there(client: Any, tenant: TenantInfo) -> None:
    answer = client.get("/fhir/sandbox/r4/.well-known/udap")
    assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (404, "*")


@pytest.mark.parametrize("path", [DOCUMENT, "/.well-known/jwks.json", RESOURCE])
class TestDelivery:
    """How every public document travels."""

    @pytest.mark.requirement("DISC-02", "HDR-04", "OIDC-01", "T-45")
    @pytest.mark.parametrize("accept", ["*/*", "application/fhir+json", "text/html", ""])
    def test_it_is_json_whatever_is_accepted(self, client: Any, tenant: TenantInfo, path: str, accept: str) -> None:
        answer = client.get(path, headers={"Accept": accept})
        assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json")

    @pytest.mark.requirement("CORS-01", "CORS-02", "CORS-08", "T-47")
    def test_any_origin_may_read_it_even_when_none_asks(self, client: Any, tenant: TenantInfo, path: str) -> None:
        answer = client.get(path)
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        preflight = client.options(path, headers={"Origin": "https://app.example.org"})
        assert preflight.status_code == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "*"

    @pytest.mark.requirement("DISC-26")
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


@pytest.mark.requirement("HDR-10", "HDR-11")
def test_the_host_header_decides_nothing(client: Any, tenant: TenantInfo) -> None:
    mine = client.get(DOCUMENT).content
    assert client.get(DOCUMENT, headers={"Host": "localhost"}).content == mine
    for name in ("X-Forwarded-Host", "X-Forwarded-Server", "X-Original-Host", "Forwarded"):
        assert client.get(DOCUMENT, headers={name: "host=evil.example.org"}).content == mine
    foreign = client.get(DOCUMENT, headers={"Host": "evil.example.org"})
    assert foreign.status_code == 400
    assert b"evil" not in foreign.content
    assert foreign.headers["X-Trace-Id"]


@pytest.mark.requirement("DISC-26")
def test_a_changed_key_changes_the_tag(client: Any, tenant: TenantInfo) -> None:
    first = client.get("/.well-known/jwks.json").headers["ETag"]
    keys.rotate("access_token", "ES256", context=new_context(), now=timezone.now())
    assert client.get("/.well-known/jwks.json").headers["ETag"] != first
