"""A FHIR server that says exactly what a test wrote down: for answers no honest server gives."""

import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(slots=True)
class Said:
    """One answer. `length` None: chunks without a declared length; a length beyond the body breaks the connection."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = -1  # -1: the length of the body
    delay: float = 0.0  # seconds before the answer


@dataclass(slots=True)
class Scripted:
    """Answers by method and path; everything else is 404. `asked` is what arrived."""

    base_url: str = ""
    answers: dict[str, Said] = field(default_factory=dict)
    at_first: dict[str, list[Said]] = field(default_factory=dict)  # said before, each once
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)

    def lines(self) -> list[str]:
        return [line for line, _ in self.asked]

    def headers_of(self, line: str) -> dict[str, str]:
        return next(headers for asked, headers in self.asked if asked == line)


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away, which is what some tests are about."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Run such a server on a free loopback port; its base is `/r4`."""
    script = Scripted()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # Head and body are written apart, and would wait for each other.

        def _serve(self) -> None:
            line = f"{self.command} {self.path}"
            script.asked.append((line, {name.lower(): value for name, value in self.headers.items()}))
            script.bodies.append(self.rfile.read(int(self.headers.get("Content-Length", "0"))))
            said = before.pop(0) if (before := script.at_first.get(line)) else script.answers.get(line, Said(404))
            time.sleep(said.delay)
            self.send_response(said.status)
            for name, value in said.headers.items():
                self.send_header(name, value)
            if said.length is None:
                self.send_header("Transfer-Encoding", "chunked")
                self.end_headers()
                self.wfile.write(b"%x\r\n%b\r\n0\r\n\r\n" % (len(said.body), said.body))
                return
            self.send_header("Content-Length", str(len(said.body) if said.length < 0 else said.length))
            self.end_headers()
            self.wfile.write(said.body)
            self.close_connection = said.length > len(said.body)

        do_GET = do_POST = do_DELETE = _serve  # noqa: N815  the names are the base class's

        def log_message(self, *args: Any) -> None:
            pass

    server = _Server(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    script.base_url = f"http://127.0.0.1:{server.server_port}/r4"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield script
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
