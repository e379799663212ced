"""The proxy through Django's client, in front of the real R4 server; tokens are minted with any claims."""

import json
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser

from clients import tenants
from clients.key_pairs import KeyPair
from clients.models import Tenant
from clients.tenants import TenantInfo
from fhirproxy import attachments, breakers, limits, panels, rights, statement
from fhirproxy.exchange import Exchange
from fhirproxy.r4server import process as r4server
from fhirproxy.r4server.encoding import encode
from fhirproxy.r4server.population import generate
from fhirproxy.tenancy import find_upstream, set_upstream
from smartauth import alarms
from smartauth.receipts import recording
from smartauth.sandbox.minting import mint
from tests.factories import make_client, make_tenant, phone_app, service

BASE = "/fhir/sandbox/r4"
PUBLIC = f"http://127.0.0.1:8000{BASE}"
Mint = Callable[..., str]


@dataclass(frozen=True, slots=True)
class Behind:
    """The R4 server behind the proxy, and its switches."""

    running: r4server.Running

    def ask(self, method: str, path: str, document: Any = None) -> Any:
        """Use a control URL."""
        body = None if document is None else encode(document)
        headers = {"Authorization": f"Bearer {self.running.bearer}", "Content-Type": "application/json"}
        request = urllib.request.Request(self.running.control_url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=10) as answer:
            text = answer.read()
        return json.loads(text) if text else None

    def received(self) -> list[dict[str, Any]]:
        """Return every request that arrived since the test began."""
        return self.ask("GET", "/_received")

    def targets(self) -> list[str]:
        return [one["target"].removeprefix("/r4/") for one in self.received()]

    def stored(self, name: str) -> dict[str, Any]:
        """Return what the server has under Type/id, past the proxy."""
        return self.ask("GET", f"/r4/{name}")

    def sent(self) -> list[tuple[str, str]]:
        """Return (method, target) of every write that arrived."""
        return [(one["method"], one["target"]) for one in self.received() if one["method"] != "GET"]

    def fail(self, **fault: Any) -> None:
        self.ask("PUT", "/_fault", fault)

    def leak(self) -> None:
        self.ask("PUT", "/_mode", {"mode": "leaky"})

    def load(self, *resources: dict[str, Any]) -> None:
        self.ask("POST", "/_load", list(resources))


@contextmanager
def holding(running: r4server.Running, *resources: dict[str, Any]) -> Iterator[Behind]:
    """Keep resources on a server for as long as a module of tests needs them, whatever fault a test leaves behind."""
    behind = Behind(running)
    behind.fail(kind="none")
    behind.load(*resources)
    yield behind
    behind.fail(kind="none")
    for name in sorted({f"{one['resourceType']}/{one['id']}" for one in resources}):
        behind.ask("DELETE", f"/r4/{name}")


def _reset(running: r4server.Running) -> Behind:
    behind = Behind(running)
    behind.ask("PUT", "/_fault", {"kind": "none"})
    behind.ask("PUT", "/_mode", {"mode": "faithful"})
    for cache in (rights._facts, panels._panels, attachments._indexes):
        cache.clear()
    breakers.forget()
    know_statement()
    behind.ask("DELETE", "/_received")
    return behind


@pytest.fixture(autouse=True)
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each test begin without the refusals of those before it counting as a flood."""
    monkeypatch.setattr(recording, "_flood", recording._Flood())
    limits.forget()
    alarms._raised.clear()


@pytest.fixture
def tenant(db: None) -> TenantInfo:
    return make_tenant("sandbox")


@pytest.fixture
def small(tenant: TenantInfo, _small: r4server.Running) -> Behind:
    """Ana, ben, their doctor and what is awkward about them, behind the tenant."""
    put_behind(tenant, _small.base_url, bearer=_small.bearer)
    return _reset(_small)


@pytest.fixture
def restored(small: Behind) -> Iterator[Behind]:
    """The same, put back afterwards: for tests that write."""
    yield small
    small.ask("DELETE", "/_store")
    small.load(*generate("small"))


@pytest.fixture
def sandbox(tenant: TenantInfo, _sandbox: r4server.Running) -> Behind:
    """The whole synthetic population, behind the tenant."""
    put_behind(tenant, _sandbox.base_url, bearer=_sandbox.bearer)
    return _reset(_sandbox)


def forget_statement() -> None:
    """Let the upstream's CapabilityStatement be unknown."""
    for cache in (statement._copies, statement._last_good, statement._silent):
        cache.clear()


def know_statement() -> None:
    """Have the upstream's CapabilityStatement asked for, so that a search of the test does not ask for it."""
    tenants._tenants.clear()
    info = find_upstream("sandbox")
    assert info is not None
    known = statement._copies.find((info.tenant, info.base_url))
    if known is None or not known.is_current:
        forget_statement()
        statement.supported_parameters(Exchange(info, "known"))


def put_behind(tenant: TenantInfo, base_url: str, *, bearer: str) -> None:
    """Make the server at `base_url` the tenant's upstream."""
    set_upstream(Tenant.objects.get(pk=tenant.pk), base_url=base_url, bearer=bearer)


@pytest.fixture
def minted(tenant: TenantInfo, ec: KeyPair) -> Mint:
    """Mint tokens: `minted("system/*.rs")` is bulk-loader's, `minted("patient/*.rs", patient="ana")` growth-chart's."""
    metadata = service(jwks={"keys": [ec.public_jwk]}, scope="system/*.cruds")
    bulk_loader = make_client(metadata, activate_at=(tenant,)).client
    app_scope = "patient/*.cruds user/*.cruds openid fhirUser launch/patient"
    make_client(phone_app(scope=app_scope, allowed_origins=["https://app.example.org"]), activate_at=(tenant,))

    def make(scope: str, *, restrictions: dict[str, Any] | None = None, **claims: Any) -> str:
        if restrictions is not None:
            type(bulk_loader).objects.filter(pk=bulk_loader.pk).update(restrictions=restrictions)
        client = "bulk-loader" if "system/" in scope else "growth-chart"
        wanted = {"client_id": client, "sub": client, "tenant": "sandbox", "scope": scope, **claims}
        return mint(wanted, user=None, now=datetime.now(UTC))

    return make


class Caller:
    """Asks the proxy as a client does."""

    def __init__(self) -> None:
        self.browser = Browser(raise_request_exception=False)

    def __call__(self, path: str, token: str = "", *, method: str = "GET", **extra: Any) -> HttpResponse:
        if token:
            extra["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return self.browser.generic(method, f"{BASE}{path}", **extra)

    def write(self, method: str, path: str, token: str, body: Any = "", **extra: Any) -> HttpResponse:
        """Send a body: text or bytes as they are, anything else as JSON. `kind` is the content type."""
        kind = extra.pop("kind", "application/json-patch+json" if method == "PATCH" else "application/fhir+json")
        data = body if isinstance(body, str | bytes) else json.dumps(body)
        extra["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return self.browser.generic(method, f"{BASE}{path}", data, content_type=kind, **extra)

    def form(self, path: str, token: str, body: str, **extra: Any) -> HttpResponse:
        extra["HTTP_AUTHORIZATION"] = f"Bearer {token}"
        return self.browser.generic(
            "POST", f"{BASE}{path}", body, content_type="application/x-www-form-urlencoded", **extra
        )


@pytest.fixture
def call() -> Caller:
    return Caller()


def ids(response: HttpResponse, mode: str | None = None) -> list[str]:
    """Return Type/id of every entry of a searchset, in order."""
    assert response.status_code == 200, response.content
    entries = response.json().get("entry", [])
    return [
        f"{one['resource']['resourceType']}/{one['resource']['id']}"
        for one in entries
        if mode in (None, one["search"]["mode"])
    ]


def link(response: HttpResponse, relation: str) -> str | None:
    """Return a link of a Bundle below the FHIR base, or None."""
    for one in response.json()["link"]:
        if one["relation"] == relation:
            url: str = one["url"]
            assert url.startswith(PUBLIC), url
            return url.removeprefix(PUBLIC)
    return None
