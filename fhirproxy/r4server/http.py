"""The only file that speaks HTTP: threads, keep-alive connections, one write per answer."""

import hmac
import sys
import traceback
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from fhirproxy.r4server import faults
from fhirproxy.r4server.control import Control
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.faults import Sending
from fhirproxy.r4server.interactions import FhirService
from fhirproxy.r4server.messages import Request, Response, error_response
from fhirproxy.r4server.modes import Mode
from fhirproxy.r4server.store import Store

LARGEST_BODY = 32 * 1024 * 1024  # bytes


class R4Server(ThreadingHTTPServer):
    """Listens on the loopback interface and serves one FHIR base and the control URLs beside it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, *, port: int, base_path: str, bearer: str, store: Store, mode: Mode) -> None:
        """port: 0 for a free one.  base_path: e.g. "/r4".  bearer: demanded of every request."""
        super().__init__(("127.0.0.1", port), R4Handler)
        self.base_path = base_path.rstrip("/")
        self.service = FhirService(f"http://127.0.0.1:{self.server_port}{self.base_path}", store, mode)
        self.control = Control(self.service)
        self._authorization = f"Bearer {bearer}".encode()

    def answer(self, request: Request, target: str) -> Sending:
        """Return what goes out for a request, faults included. Never raises."""
        below = self._below_base(request.path)
        fault = self.control.fault if below is not None else faults.HEALTHY
        if below is not None:
            self.control.received.add(request, target)
        faults.wait(fault)
        if fault.replaces_answer:
            return faults.instead_of_answer(fault)
        if fault.kind == "close":
            return Sending(Response(200), cut_at=-1)
        sending = faults.spoil(fault, self._honest_answer(request, below))
        if below is None:
            return sending
        service = self.service
        return service.mode.distort(sending, request, below, service.store, base_url=service.base_url)

    def _honest_answer(self, request: Request, below: str | None) -> Response:
        try:
            self._require_credential(request)
            return self.control.handle(request) if below is None else self.service.handle(request, below)
        except FhirError as error:
            return error_response(error)
        except Exception:
            traceback.print_exc()
            return error_response(FhirError(500, "exception", "the server failed"))

    def _below_base(self, path: str) -> str | None:
        if path == self.base_path:
            return ""
        return path[len(self.base_path) :] if path.startswith(f"{self.base_path}/") else None

    def _require_credential(self, request: Request) -> None:
        offered = (request.header("Authorization") or "").encode("utf-8", errors="replace")
        if not hmac.compare_digest(offered, self._authorization):
            raise FhirError(401, "login", "the bearer credential is missing or wrong")

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Stay silent about clients that went away; report everything else."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class R4Handler(BaseHTTPRequestHandler):
    """Reads requests off one connection until the client closes it."""

    protocol_version = "HTTP/1.1"
    server_version = "SmallR4"
    sys_version = ""
    disable_nagle_algorithm = True
    server: R4Server

    def _serve(self) -> None:
        path, _, query = self.path.partition("?")
        body = self._read_body()
        if body is None:
            return
        request = Request(self.command, path, query, tuple(self.headers.items()), body)
        self._send(self.server.answer(request, self.path))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _serve  # noqa: N815

    def _read_body(self) -> bytes | None:
        """Return the body, or None after refusing one whose length is unknown or too large."""
        declared = self.headers.get("Content-Length", "0")
        if "Transfer-Encoding" in self.headers or not (declared.isascii() and declared.isdigit()):
            refusal = FhirError(411, "invalid", "a Content-Length is needed")
        elif len(declared) > 9 or int(declared) > LARGEST_BODY:
            refusal = FhirError(413, "too-long", "the body is too large")
        else:
            return self.rfile.read(int(declared))
        self.close_connection = True
        self._send(Sending(error_response(refusal)))
        return None

    def _send(self, sending: Sending) -> None:
        """Write head and body at once, so that neither waits for an acknowledgement of the other."""
        response = sending.response
        if sending.cut_at is not None:
            self.close_connection = True
            if sending.cut_at < 0:
                return
        body = b"" if self.command == "HEAD" else response.body[: sending.cut_at]
        head = [f"HTTP/1.1 {response.status} {_phrase(response.status)}", f"Date: {self.date_time_string()}"]
        head += [f"{name}: {value}" for name, value in response.headers]
        if response.body:
            head.append(f"Content-Type: {response.content_type}")
        if sending.declare_length:
            if response.status not in (204, 304):
                head.append(f"Content-Length: {len(response.body)}")
        else:
            head.append("Transfer-Encoding: chunked")
            body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
        if self.close_connection:
            head.append("Connection: close")
        self.wfile.write("\r\n".join([*head, "", ""]).encode("latin-1", errors="replace") + body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the name is the base class's
        """Write no access log: `/_received` tells more."""


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
