"""A provider that says whatever a test wants it to say, over real HTTP, and keeps what it was asked."""

import gzip
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone
from joserfc.jwk import RSAKey

from smartauth.conf import UpstreamIdp
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import page_refusal
from tests.sign_in.hospital import query_of
from tests.sign_in.test_id_tokens import signed

KEY = RSAKey.generate_key(2048, {"kid": "k1"})
NEW_KEY = RSAKey.generate_key(2048, {"kid": "k2"})
PATIENCE = 300  # milliseconds, where a person loses patience
MARKUP = "<script>alert(1)</script>"
START = "/account/upstream/"
METADATA = "/.well-known/openid-configuration"
PUBLIC = KEY.as_dict(private=False)

Handler = BaseHTTPRequestHandler
Answer = tuple[int, Any] | Callable[[Handler], None]


@dataclass(slots=True)
class Odd:
    """`answers` by path: (status, JSON or bytes), or what is to be done with the connection. `seen`: what was asked."""

    issuer: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    seen: list[tuple[str, str, bytes]] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Behave again, and forget what was asked."""
        self.answers.clear()
        self.seen.clear()
        self.publish()

    def publish(self, **changes: Any) -> None:
        """Publish good metadata with these changes, a member that is ... left out; and one key."""
        good = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize?realm=a",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
        }
        told = {name: value for name, value in (good | changes).items() if value is not ...}
        self.answers[METADATA] = (200, told)
        self.answers["/keys"] = (200, {"keys": [PUBLIC]})

    def asked(self, path: str) -> int:
        """Return how often a path was asked for."""
        return [one for one, _, _ in self.seen].count(path)

    def as_configured(self, **changes: Any) -> UpstreamIdp:
        """Return what an operator would write about it."""
        good = {"issuer": self.issuer, "client_id": "smartauth", "client_secret": "secret", "name": "Odd Hospital"}
        return UpstreamIdp(**good | changes)


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Somebody who hangs up early is what some tests are about."""


@contextmanager
def running_odd() -> Iterator[Odd]:
    """Serve on a free loopback port until the block ends."""
    provider = Odd()

    class Answering(BaseHTTPRequestHandler):
        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            provider.seen.append((self.path, self.headers.get("Authorization", ""), body))
            said = provider.answers.get(self.path, (404, {}))
            if callable(said):
                said(self)
            else:
                say(self, *said)

        do_GET = do_POST = answer  # noqa: N815 - As http.server calls them.

        def log_message(self, *args: object) -> None:
            pass

    server = _Quiet(("127.0.0.1", 0), Answering)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    provider.issuer = f"http://127.0.0.1:{server.server_port}"
    yield provider
    server.shutdown()
    thread.join()
    server.server_close()


def say(handler: Handler, status: int, value: Any, **headers: str) -> None:
    """Answer with JSON or bytes."""
    said = value if isinstance(value, bytes) else json.dumps(value).encode()
    handler.send_response(status)
    for name, text in headers.items():
        handler.send_header(name.replace("_", "-"), text)
    handler.send_header("Content-Length", str(len(said)))
    handler.end_headers()
    handler.wfile.write(said)


def hang(handler: Handler) -> None:
    """Take the request and say nothing."""
    time.sleep(3)


def drip(handler: Handler) -> None:
    """Say a little from time to time, for ever."""
    handler.send_response(200)
    handler.end_headers()
    for _ in range(30):
        handler.wfile.write(b" ")
        time.sleep(0.1)


def reset(handler: Handler) -> None:
    """Hang up without a word."""
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def endless(handler: Handler) -> None:
    """Send more than anybody reads."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" " * 65_536)


def headers(handler: Handler) -> None:
    """Never come to the body."""
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"X: " + b"x" * 1_000 + b"\r\n")


def hints(handler: Handler) -> None:
    """Never come to the answer (RFC 8297)."""
    while True:
        handler.wfile.write(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n")


def bomb(handler: Handler) -> None:
    """Send little that unpacks to much."""
    say(handler, 200, gzip.compress(b" " * 5_000_000), Content_Encoding="gzip")


def elsewhere(handler: Handler) -> None:
    """Send whoever asks elsewhere, with a body that could pass."""
    say(handler, 302, {}, Location="/elsewhere")


def not_tls(handler: Handler) -> None:
    """Speak another protocol."""
    handler.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")


def begin(browser: Browser, path: str = "/account/upstream/") -> dict[str, str]:
    """Return what the browser is sent to the provider with."""
    return query_of(browser.get(path).headers["Location"])


def promise(
    odd: Odd,
    asked: dict[str, str],
    *,
    key: Any = KEY,
    header: dict[str, Any] | None = None,
    beside: dict[str, Any] | None = None,
    **claims: Any,
) -> None:
    """Let the token endpoint give a good ID token but for this header and these claims, and other things beside it."""
    now = int(timezone.now().timestamp())
    good = {
        "iss": odd.issuer,
        "sub": "s-kim",
        "aud": "smartauth",
        "nonce": asked["nonce"],
        "iat": now,
        "exp": now + 60,
        "auth_time": now,
    }
    body = {"access_token": "a", "token_type": "Bearer", "id_token": signed(good | claims, key=key, **(header or {}))}
    odd.answers["/token"] = (200, body | (beside or {}))


def come_back(browser: Browser, odd: Odd, asked: dict[str, str], **claims: Any) -> HttpResponse:
    """Return to our callback with a code for which the provider gives a good ID token, but for these claims."""
    promise(odd, asked, **claims)
    return answered(browser, asked)


def answered(browser: Browser, asked: dict[str, str], more: str = "&code=c") -> HttpResponse:
    """Return to our callback with the right state and `more`."""
    return browser.get(f"/account/upstream/callback?state={asked['state']}{more}")


def nobody_in(browser: Browser) -> bool:
    """Return True when the browser's session is nobody's."""
    return "_auth_user_id" not in browser.session


def unavailable(answer: HttpResponse, rule: str) -> Receipt:
    """Return the receipt of a page that says the provider does not do its part, and nothing of what it said."""
    receipt = page_refusal(answer, 503)
    assert receipt.rule == rule, (receipt.rule, receipt.reason, receipt.officer)
    assert receipt.reason
    assert receipt.fix
    assert "alert(" not in answer.content.decode()
    assert "Odd Hospital does not answer as it should" in answer.content.decode()
    return receipt
