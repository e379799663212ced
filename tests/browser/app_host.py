"""Apps of somebody else, on a server of their own, with the npm fhirclient as its package has it.

An app registers itself as its developer would (RFC 7591); its settings are all that differs from one to another.
"""

import hashlib
import html
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from joserfc.jwk import Key
from playwright.sync_api import Frame, Page, expect

from tests.browser.app_registration import register_over_http
from tests.servers import ROOT
from tests.world import World, key_set

LIBRARY = ROOT / "static" / "launcher" / "fhir-client.pure.min.js"
# Of the file of this name in the npm package fhirclient 2.6.3.
LIBRARY_SHA256 = "658dec434e308a6ba682158f1e94bfaa0f600bb500e78443369bfe7818133d90"
APP = Path(__file__).resolve().parent / "chart_app"
FILES = {file.name: file for file in (*APP.iterdir(), LIBRARY)}
TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}
# What an EHR has, at the host's other name: another site to a browser than our server and than most apps.
EHR_STYLE = b'{"color_text": "#222222"}'
EHR_PAGE = '<!doctype html><html lang="en"><title>EHR</title><iframe src="{}" width="900" height="600"></iframe>'


@dataclass
class AppHost:
    """A server of apps; each has a folder, and so redirect and launch URLs of its own."""

    port: int
    configs: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def ehr(self) -> str:
        """Return the origin of an EHR."""
        return f"http://localhost:{self.port}"

    def url(self, name: str, page: str = "index.html", *, at_ehr: bool = False) -> str:
        return f"{self.ehr if at_ehr else f'http://127.0.0.1:{self.port}'}/{name}/{page}"

    def answer(self, target: str) -> tuple[str, bytes] | None:
        """Return type and body of what is at a path."""
        parts = urlsplit(target)
        folder, _, page = parts.path.lstrip("/").partition("/")
        if folder == "style.json":
            return "application/json", EHR_STYLE
        if folder == "ehr.html":
            return TYPES[".html"], EHR_PAGE.format(html.escape(parse_qs(parts.query)["app"][0])).encode()
        if folder not in self.configs:
            return None
        if page == "config.json":
            return "application/json", json.dumps(self.configs[folder]).encode()
        file = FILES.get(page)
        return None if file is None else (TYPES[file.suffix], file.read_bytes())


@contextmanager
def running_apps() -> Iterator[AppHost]:
    """Serve apps on a free loopback port until the block ends."""
    assert hashlib.sha256(LIBRARY.read_bytes()).hexdigest() == LIBRARY_SHA256, "fhirclient is not as npm has it"

    class Pages(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = host.answer(self.path)
            kind, body = found or ("text/plain", b"not found")
            self.send_response(404 if found is None else 200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.send_header("Access-Control-Allow-Origin", "*")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Pages) as server:
        host = AppHost(server.server_port)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield host
        server.shutdown()


@dataclass(frozen=True, slots=True)
class ChartApp:
    """A registered app, at its page for those who come back. `metadata` is what the registration answered."""

    url: str
    metadata: dict[str, Any]

    @property
    def client_id(self) -> str:
        return str(self.metadata["client_id"])

    def open(self, page: Page, fhir_base: str) -> None:
        """Open the app as somebody does who knows its address and their hospital."""
        page.goto(f"{self.url.removesuffix('index.html')}launch.html?iss={fhir_base}")

    def seen(self, place: Page | Frame) -> dict[str, Any]:
        """Return what the app saw when it has read everything."""
        expect(place.locator("#state, #problem:visible")).to_have_text("Everything is read.", timeout=20_000)
        assert place.url.partition("?")[0] == self.url
        assert "code=" not in place.url
        found: dict[str, Any] = json.loads(place.locator("#seen").inner_text())
        return found


@dataclass(frozen=True, slots=True)
class Registrar:
    """Registers apps over HTTP with an initial access token."""

    world: World
    host: AppHost
    token: str

    def register(
        self, name: str, scope: str, *, key: Key | None = None, at_ehr: bool = False, **config: Any
    ) -> ChartApp:
        """Register an app for the scopes it asks for.

        key: proves who it is.    at_ehr: it is on the EHR's site.    config: more for fhirclient.
        """
        url = self.host.url(name, at_ehr=at_ehr)
        metadata = {
            "client_name": f"Chart ({name})",
            "redirect_uris": [url],
            "launch_urls": [self.host.url(name, "launch.html", at_ehr=at_ehr)],
            "grant_types": ["authorization_code", "refresh_token"],
            "scope": scope,
            "token_endpoint_auth_method": "private_key_jwt" if key else "none",
            **({"jwks": key_set(key)} if key else {}),
        }
        told = register_over_http(self.world, self.token, metadata)
        settings = {"clientId": told["client_id"], "scope": scope, **config}
        self.host.configs[name] = settings | ({"clientPrivateJwk": key.as_dict(private=True)} if key else {})
        return ChartApp(url, told)
