"""Bytes that are hardly HTTP, at the running server: it answers with something below 500, or hangs up, and lives on."""

import socket
from urllib.parse import urlsplit

import requests
from hypothesis import strategies as st

from tests.fuzz.exploring import explore
from tests.world import World

LINES = st.one_of(
    st.sampled_from((
        b"Host: 127.0.0.1", b"Host: evil.example", b"Host:", b"Content-Length: 5", b"Content-Length: -1",
        b"Content-Length: 99999999999", b"Content-Length: 5, 5", b"Transfer-Encoding: chunked", b"Transfer-Encoding: x",
        b"Expect: 100-continue", b"Connection: close", b"Upgrade: h2c", b"Authorization: Basic",
        b"Cookie: " + b"a" * 9000,
        b"Content-Type: application/x-www-form-urlencoded", b"X: " + b"y" * 70_000, b" folded", b"No colon",
        b"N\x00l: x",
        b"Authorization: Bearer \xff\xfe", b"Authorization: Bearer a\r\nAuthorization: Bearer b",
    )),
    st.binary(max_size=30),
)  # fmt: skip
TARGETS = st.one_of(
    st.sampled_from((
        b"/auth/sandbox/token", b"/auth/token", b"/auth/sandbox/authorize?a=%", b"/fhir/sandbox/r4/Patient/ana",
        b"*", b"",
        b"http://evil.example/auth/token", b"//auth/token", b"/auth/../auth/token", b"/\xff", b"/%ff",
        b"/" + b"a" * 9000,
        b"/.well-known/smart-configuration", b"/fhir/sandbox/r4/Patient?%00", b"/auth/sandbox/introspect;x", b"/\x00",
    )),
    st.binary(max_size=20),
)  # fmt: skip


def _message(method: bytes, target: bytes, version: bytes, lines: list[bytes], end: bytes, body: bytes) -> bytes:
    return b"\r\n".join([b" ".join((method, target, version)), *lines]) + end + body


RAW = st.builds(
    _message,
    st.sampled_from((b"GET", b"POST", b"PUT", b"get", b"", b"G\x00T", b"PRI")),
    TARGETS,
    st.sampled_from((b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/9", b"")),
    st.lists(LINES, max_size=5),
    st.sampled_from((b"\r\n\r\n", b"\n\n", b"\r\n", b"")),
    st.one_of(st.just(b"a=b&c"), st.just(b"5\r\nhello\r\n0\r\n\r\n"), st.just(b"zz\r\n"), st.binary(max_size=30)),
)  # fmt: skip


def test_the_server_survives_bytes_that_are_hardly_http(world: World) -> None:
    def check_bytes(raw: bytes) -> None:
        status = status_of(world, raw)
        assert status is None or 100 <= status < 500, (raw, status)

    explore(RAW, check_bytes, part=0.1)
    answer = requests.get(f"{world.base_url}/readyz", timeout=10)
    assert (answer.status_code, answer.text) == (200, "ok\n")


def status_of(world: World, raw: bytes) -> int | None:
    """Send bytes and half-close; return the status that came, or None when the server said nothing."""
    place = urlsplit(world.base_url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as connection:
        try:
            connection.sendall(raw)
            connection.shutdown(socket.SHUT_WR)
            first = connection.recv(64)
        except OSError:  # It hung up.
            return None
    return int(first.split(b" ")[1]) if first.startswith(b"HTTP/") else None
