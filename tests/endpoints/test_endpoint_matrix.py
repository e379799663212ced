"""Every endpoint with the methods it takes, whose pages read it, and how long anybody may keep what it says.

RFC 9110 §9 and §15.5.6; RFC 9111; Fetch standard; SMART 2.2 conformance and app-launch.
"""

from dataclasses import dataclass
from typing import Any, Literal

import pytest
from django.test import Client as Browser

from clients.tenants import TenantInfo
from smartauth import styling
from tests.endpoints.brands import publish
from tests.factories import make_client, phone_app

APP = "https://app.example.org"
FORM = "application/x-www-form-urlencoded"
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
READING = frozenset({"GET", "HEAD", "OPTIONS"})
POSTING = frozenset({"POST", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Endpoint:
    """What is promised of one endpoint."""

    path: str
    methods: frozenset[str]
    readers: Literal["everybody", "registered", "nobody"]
    cache: Literal["public", "private"]


ENDPOINTS = [
    *(
        Endpoint(path, READING, "everybody", "public")
        for path in (
            "/fhir/sandbox/r4/.well-known/smart-configuration",
            "/.well-known/smart-configuration",
            "/.well-known/openid-configuration",
            "/.well-known/oauth-authorization-server",
            "/.well-known/jwks.json",
            "/fhir/sandbox/r4/metadata",
            "STYLE",
            "/brands/sandbox.json",
            "/brands.json",
        )
    ),
    *(
        Endpoint(f"{prefix}/{name}", methods, readers, "private")
        for prefix in ("/auth/sandbox", "/auth")
        for name, methods, readers in (
            ("authorize", frozenset({"GET", "POST"}), "nobody"),
            ("token", POSTING, "registered"),
            ("introspect", frozenset({"POST"}), "nobody"),
            ("revoke", POSTING, "registered"),
            ("userinfo", POSTING | {"GET"}, "registered"),
        )
    ),
    Endpoint("/auth/launch", frozenset({"POST"}), "nobody", "private"),
    Endpoint("/auth/register", frozenset({"POST"}), "nobody", "private"),
    Endpoint("/auth/register/c-1", frozenset({"GET", "PUT", "DELETE"}), "nobody", "private"),
]


@pytest.fixture(autouse=True)
def app(tenant: TenantInfo) -> None:
    publish("sandbox")
    make_client(phone_app(redirect_uris=[f"{APP}/callback"]), activate_at=(tenant,))


def ask(endpoint: Endpoint, method: str, origin: str = APP) -> Any:
    path = (
        styling.smart_style_url().removeprefix("http://127.0.0.1:8000") if endpoint.path == "STYLE" else endpoint.path
    )
    body = "grant_type=x" if method in ("POST", "PUT", "PATCH") else ""
    return Browser().generic(method, path, body, content_type=FORM, headers={"Origin": origin})


@pytest.mark.requirement("DISC-01", "META-05", "HDR-16")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.path)
def test_it_takes_its_methods_and_names_them_to_others(endpoint: Endpoint) -> None:
    for method in METHODS:
        answer = ask(endpoint, method)
        taken = method in endpoint.methods
        # The statement shares its path with the rest of the API, where a token is asked for before a method is judged.
        refused = (401, 405) if endpoint.path.endswith("/metadata") else (405,)
        assert (answer.status_code not in refused) is taken, (method, answer.status_code)
        assert answer.headers["X-Trace-Id"]
        if answer.status_code == 405:
            allowed = set(answer.headers["Allow"].split(", "))
            assert allowed - {"OPTIONS"} == endpoint.methods - {"OPTIONS"}


@pytest.mark.requirement("CORS-01", "CORS-02", "CORS-03", "CORS-06", "CORS-08", "CORS-09", "CORS-10")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.path)
def test_it_is_read_by_whom_it_is_for(endpoint: Endpoint) -> None:
    for method in METHODS:
        for origin in (APP, "https://evil.example", "null"):
            answer = ask(endpoint, method, origin)
            known = {"everybody": "*", "registered": APP if origin == APP else None, "nobody": None}
            expected = known[endpoint.readers]
            if endpoint.path.endswith("/metadata") and method not in READING:
                expected = "*"  # The place is public, whatever is asked there.
            assert answer.headers.get("Access-Control-Allow-Origin") == expected, (method, origin)
            assert "Access-Control-Allow-Credentials" not in answer.headers


@pytest.mark.requirement("HDR-03", "HDR-05", "DISC-26")
@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda one: one.path)
def test_it_is_kept_as_long_as_it_may_be(endpoint: Endpoint) -> None:
    for method in METHODS:
        answer = ask(endpoint, method)
        cache = answer.headers.get("Cache-Control", "")
        if endpoint.cache == "public" and answer.status_code == 200:
            assert cache.startswith("public, max-age="), method
            assert int(cache.partition("max-age=")[2]) <= 600
        elif answer.status_code != 204:
            assert cache == "no-store", (method, cache)
