"""Details and metrics on a port of their own, where partners and patients do not come by."""

import json
import logging
import socket
import sys
import threading
import time
from collections.abc import Callable
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import TCPServer
from urllib.parse import urlsplit

from django.db import Error, connection

from smartauth.marks.poller import poller
from smartauth.operations.details import details
from smartauth.operations.facts import Facts, read_facts
from smartauth.operations.metrics import exposition

READ_AT_MOST_EVERY = 1.0  # seconds; who scrapes sooner is told the same again
SLOWEST_REQUEST = 10.0  # seconds without a byte until a connection is closed

_log = logging.getLogger(__name__)


class FactReader:
    """Reads the facts for everybody who asks, at most once a second."""

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._facts: Facts | None = None
        self._read_at = float("-inf")

    def read(self) -> Facts | None:
        """Return the facts, None when the database does not answer."""
        with self._lock:
            if time.monotonic() - self._read_at >= READ_AT_MOST_EVERY:
                self._facts = self._ask()
                self._read_at = time.monotonic()
            return self._facts

    def _ask(self) -> Facts | None:
        try:
            return read_facts(self._clock())
        except Error:
            return None
        finally:
            connection.close()  # Each request has a thread of its own, and its connection would outlive it.


class OperationsServer(ThreadingHTTPServer):
    """Answers GET /metrics and GET /details. Listening begins with its making: OSError where it cannot."""

    daemon_threads = True

    def __init__(self, host: str, port: int, reader: FactReader) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.reader = reader
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without asking DNS what this machine is called, as the base class does."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    def handle_error(self, request: object, client_address: object) -> None:
        """Say nothing of connections that break: a scraper that gave up is no fault of ours."""
        if not isinstance(sys.exception(), OSError):
            _log.exception("a request for metrics was not answered")


class _Handler(BaseHTTPRequestHandler):
    server: OperationsServer
    timeout = SLOWEST_REQUEST

    def do_GET(self) -> None:
        match urlsplit(self.path).path:
            case "/metrics":
                body, content_type = exposition(
                    self.server.reader.read(), marks_read_ago=poller.age(), accept=self.headers.get("Accept", "")
                )
                self._answer(200, body, content_type)
            case "/details":
                facts = self.server.reader.read()
                told = json.dumps(details(facts, marks_read_ago=poller.age()), indent=2)
                self._answer(503 if facts is None else 200, f"{told}\n".encode(), "application/json")
            case _:
                self._answer(404, b"Try /metrics or /details.\n", "text/plain; charset=utf-8")

    def _answer(self, status: int, body: bytes, content_type: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("X-Content-Type-Options", "nosniff")
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        """Name the program and no version."""
        return "smartauth"

    def log_message(self, *args: object) -> None:
        """Leave no line for each scrape."""
