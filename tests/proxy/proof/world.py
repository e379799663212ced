"""The proxy in process, in front of the small R4 server on a real socket: asked, watched, and set back after each case.

The pipeline is called directly, everything behind it is real: tokens, registry, receipts and audit in PostgreSQL, the
upstream module, HTTP. Only the cache of tokens is told that it is fresh, as it is in a server.
"""

import contextlib
import json
import re
import secrets
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar
from unittest.mock import patch

from clients.key_pairs import generate_key_pair
from clients.models import Client, Tenant
from clients.tenants import find_tenant
from fhirproxy import attachments, panels, rights, statement
from fhirproxy.messages import RawRequest
from fhirproxy.pipeline import handle
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.hostile import Hostile
from fhirproxy.r4server.http import R4Server
from fhirproxy.r4server.modes import get_mode
from fhirproxy.r4server.search.including import included_with
from fhirproxy.r4server.search.query import parse_query
from fhirproxy.r4server.search.sorting import sort_versions
from fhirproxy.r4server.store import Store, Version
from fhirproxy.tenancy import set_upstream
from smartauth.context import RequestContext, new_context
from smartauth.marks.poller import poller
from smartauth.receipts import recording
from smartauth.receipts.models import Receipt
from smartauth.sandbox.minting import mint
from tests.factories import make_client, make_tenant, phone_app, service
from tests.proxy.oracle import PUBLIC, State, Token
from tests.proxy.proof.population import Step, populate

PREFIX = "/fhir/sandbox/r4"
MODES = ("faithful", "leaky", "hostile")
MARKER = re.compile(r"mRk([0-9]{6})Z")
# What the proxy remembers of the upstream, to be forgotten when the world changes. Further caches are added here.
CACHES = (rights._facts, panels._panels, attachments._indexes, statement._copies, statement._last_good)
# What the tenant adds to FHIR R4; the small server knows these of itself.
ADDED = {
    "extra_parameters": ["Observation.remark:string"],
    "extra_operations": ["Observation/$noted=Bundle", "Patient/id/$overview=Parameters"],
}
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@dataclass(frozen=True, slots=True)
class Request:
    """One request below the FHIR base. `path` is percent-encoded; `interaction` is for the statistics."""

    interaction: str
    path: str
    method: str = "GET"
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""

    @property
    def may_write(self) -> bool:
        return self.method not in SAFE and "_search" not in self.path


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer of the proxy, what was asked, and the context that was known of it."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    context: RequestContext
    asked: Request

    @property
    def tree(self) -> Any:
        return json.loads(self.body) if self.body else {}

    def header(self, name: str) -> str:
        return next((value for key, value in self.headers if key.lower() == name.lower()), "")

    def next_path(self) -> str | None:
        """Return where the next page is, below the base. What a resource calls its link is no page."""
        is_page = self.status == 200 and self.tree.get("resourceType") == "Bundle"
        links = self.tree.get("link", []) if is_page else []
        urls = [one["url"] for one in links if one.get("relation") == "next"]
        return urls[0].removeprefix(PUBLIC) if urls else None

    def partner_view(self) -> tuple[object, ...]:
        """Return what the receipt tells the owner of the client; empty when nothing was refused."""
        fields = ("status", "error", "rule", "reason", "expected", "seen", "fix")
        return Receipt.objects.filter(pk=self.context.trace_id).values_list(*fields).first() or ()


@dataclass(slots=True)
class Shelf:
    """One stored state: every version by its marker, and the state as the oracle sees it."""

    store: Store
    versions: dict[str, Version]
    state: State
    steps: list[Step]

    def version_of(self, marker: str) -> Version:
        return self.versions[marker]


@dataclass(slots=True)
class World:
    """One tenant with its clients, and the server behind it."""

    server: R4Server
    shelf: Shelf
    binary: str
    keeps_order: ClassVar[bool] = True  # a search that asks for no order is answered in the same one every time
    tokens: dict[Token, str] = field(default_factory=dict)

    @property
    def upstream(self) -> str:
        return self.server.service.base_url

    def stock(self, steps: list[Step]) -> Shelf:
        """Return a new stored state from what happened, without putting it behind the proxy."""
        store, versions = Store(), {}
        for step in steps:
            resource = step.resource
            if step.is_deletion:
                store.delete(
                    resource["resourceType"], resource["id"], if_match=None, now=datetime(2024, 6, 1, tzinfo=UTC)
                )
                continue
            versions[resource["meta"]["tag"][0]["code"]] = store.put(resource)
        current = {version.key: version.resource for version in store.everything() if version.resource is not None}
        return Shelf(store, versions, State(current, (PUBLIC, self.upstream), self.binary), steps)

    def put(self, shelf: Shelf, mode: str, seed: int = 0, only: tuple[str, ...] = (), elsewhere: str = "") -> None:
        """Put a state behind the proxy, in one of the modes, with nothing remembered of what was there before."""
        self.shelf, service = shelf, self.server.service
        service.store = shelf.store
        hostile = Hostile(seed, only, elsewhere) if elsewhere else Hostile(seed, only)
        service.mode = hostile if mode == "hostile" else get_mode(mode)
        self.server.control.received.clear()
        for cache in CACHES:
            cache.clear()

    def find(self, kind: str, filters: list[tuple[str, str]]) -> list[Version] | None:
        """Return what the server itself finds, all of it, in order, or None when it refuses to look for that."""
        try:
            query = parse_query(kind, filters, own_base=f"{self.upstream}/", strict=True)
        except FhirError:
            return None
        found = [version for version in self.shelf.store.all_of(kind) if query.admits(version)]
        return sort_versions(found, query.sort)

    def bring(self, kind: str, matches: list[Version], include: tuple[str, str]) -> list[Version] | None:
        """Return what the server itself brings along with the matches of a search, or None when it refuses."""
        includes = parse_query(kind, [include], own_base=f"{self.upstream}/").includes
        return list(included_with(matches, includes, self.shelf.store, own_base=f"{self.upstream}/"))

    def received(self) -> list[dict[str, Any]]:
        """Return every request that arrived upstream since the state was put there."""
        return self.server.control.received.as_json()

    def bearer(self, token: Token) -> str:
        """Return an access token with exactly these claims."""
        known = self.tokens.get(token)
        if known is None:
            client = self._client(token)
            claims = {"client_id": client, "sub": client, "tenant": "sandbox", "scope": " ".join(token.scopes)}
            claims |= {"patient": token.patient, "fhirUser": token.fhir_user}
            known = self.tokens[token] = mint(claims, user=None, now=datetime.now(UTC))
        return known

    def ask(self, token: Token | None, request: Request, *, bearer: str = "", tenant: str = "sandbox") -> Reply:
        """Ask the proxy as the network would."""
        context = new_context(method=request.method, remote_address="127.0.0.1")
        credential = bearer or (self.bearer(token) if token else "")
        lines = (("Authorization", f"Bearer {credential}"),) if credential else ()
        prefix = f"/fhir/{tenant}/r4"
        raw = RawRequest(
            request.method, prefix + request.path, prefix, tenant, lines + request.headers, request.body, context
        )
        answer = handle(raw)
        return Reply(answer.status, answer.headers, answer.body, context, request)

    def pages(self, token: Token, request: Request, most: int) -> Iterator[Reply]:
        """Ask, and follow the next links of the answers."""
        reply = self.ask(token, request)
        yield reply
        for _ in range(most - 1):
            path = reply.next_path()
            if path is None:
                return
            reply = self.ask(token, Request(request.interaction, path))
            yield reply

    def _client(self, token: Token) -> str:
        if not token.is_service:
            return "growth-chart" if token.client in ("", "app") else token.client
        restrictions: dict[str, list[str]] = {}
        if token.only_patients is not None:
            restrictions["patients"] = sorted(token.only_patients)
        if token.only_groups is not None:
            restrictions["groups"] = sorted(token.only_groups)
        if token.operator_types:
            restrictions["operator_types"] = sorted(token.operator_types)
        if not restrictions:
            return "bulk-loader"
        name = "bulk-" + "-".join(word for words in restrictions.values() for word in ["x", *words])
        if not Client.objects.filter(client_id=name).exists():
            _make_service(name)
            Client.objects.filter(client_id=name).update(restrictions=restrictions)
        return name


class _Unlimited:
    def admits(self, source: str) -> bool:
        return True


def _make_service(name: str) -> None:
    metadata = service(client_id=name, jwks={"keys": [_key()]}, scope="system/*.cruds")
    make_client(metadata, activate_at=tuple(_tenants()))


def _key() -> Any:
    if not _keys:
        _keys.append(generate_key_pair("ES384", kid="proof").public_jwk)
    return _keys[0]


_keys: list[Any] = []


def _tenants() -> list[Any]:
    return [tenant for slug in ("sandbox", "other") if (tenant := find_tenant(slug)) is not None]


@contextlib.contextmanager
def running_world(seed: int = 1) -> Iterator[World]:
    """Make a world in the database of this moment; it is gone with the database, the server with the block."""
    bearer = secrets.token_urlsafe(16)
    server = R4Server(port=0, base_path="/r4", bearer=bearer, store=Store(), mode=get_mode("faithful"))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        with fresh():
            register(server.service.base_url, bearer, ADDED)
            world = World(server, Shelf(Store(), {}, State(), []), binary_rule())
            world.shelf = world.stock(list(populate(seed, upstream=world.upstream)))
            world.put(world.shelf, "faithful")
            yield world
    finally:
        server.shutdown()
        server.server_close()


@contextlib.contextmanager
def fresh() -> Iterator[None]:
    """Remember nothing from before or for afterwards, and take what is remembered in between for fresh."""
    patches = (patch.object(poller, "is_fresh", lambda: True), patch.object(recording, "_flood", _Unlimited()))
    try:
        with patches[0], patches[1]:
            for cache in list(poller._listeners):
                cache.clear()
            yield
    finally:
        for cache in list(poller._listeners):
            cache.clear()


def register(base_url: str, bearer: str, policy: dict[str, Any] | None = None) -> None:
    """Make the tenants, with one server behind them, and the clients every world has. `policy`: of the first tenant."""
    for slug, switches in (("sandbox", policy), ("other", None)):
        tenant = make_tenant(slug, policy={"writes": "all"} | (switches or {}))
        set_upstream(Tenant.objects.get(pk=tenant.pk), base_url=base_url, bearer=bearer)
    _make_service("bulk-loader")
    scope = "patient/*.cruds user/*.cruds openid fhirUser launch/patient"
    for name in ("growth-chart", "cardio-lite"):
        make_client(phone_app(client_id=name, scope=scope), activate_at=tuple(_tenants()))


def binary_rule() -> str:
    """Return by which rule the tenant shows what is Binary."""
    return getattr(_tenants()[0].policy, "binary", "security-context")
