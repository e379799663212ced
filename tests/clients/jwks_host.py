"""A client's web server, on loopback: serves whatever the test puts there and counts the visits."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Page:
    """What the host answers from now on. `body` is sent as JSON unless it is bytes."""

    body: Any = field(default_factory=lambda: {"keys": []})
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay: float = 0.0  # seconds before the answer


@dataclass
class JwksHost:
    """`url` is the JWKS URL; `page` may be replaced at any time; `requests` holds the headers of each visit."""

    port: int
    page: Page = field(default_factory=Page)
    requests: list[dict[str, str]] = field(default_factory=list)
    scheme: str = "http"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/jwks.json"

    @property
    def visits(self) -> int:
        return len(self.requests)

    def publish(self, *keys: dict[str, Any], cache_control: str | None = None) -> None:
        """Serve these public keys, with this Cache-Control header."""
        headers = (("Cache-Control", cache_control),) if cache_control is not None else ()
        self.page = Page({"keys": list(keys)}, headers=headers)


class _QuietServer(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up early is what some tests are about."""


@contextmanager
def run_jwks_host(tls: Any = None) -> Iterator[JwksHost]:
    """Serve on a free loopback port until the block ends. tls: an ssl.SSLContext for https."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host.requests.append({name.lower(): value for name, value in self.headers.items()} | {"path": self.path})
            page = host.page
            body = page.body if isinstance(page.body, bytes) else json.dumps(page.body).encode()
            time.sleep(page.delay)
            self.send_response(page.status)
            for name, value in page.headers:
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            pass

    server = _QuietServer(("127.0.0.1", 0), Handler)
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    host = JwksHost(server.server_address[1], scheme="https" if tls else "http")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield host
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
