"""Speaks HTTP to a FHIR server: canonical requests with our own credentials, nothing else.

Exports have a file of their own, `bulk_upstream.py`; nobody else speaks to a FHIR server.
One keep-alive connection per thread and upstream; no redirects, no proxies from the environment, no cookies; bounded in
time and size.
"""

import ipaddress
import math
import socket
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import pycurl

from fhirproxy.breakers import Breaker, breaker_of
from fhirproxy.policy.plans import CanonicalRequest
from fhirproxy.tenancy import UpstreamInfo
from smartauth.alarms import raise_alarm
from smartauth.conf import config
from smartauth.outbound import make_curl

CONNECT_TIMEOUT = 3_000  # milliseconds
LARGEST_ANSWER = 50 * 1024 * 1024  # bytes, after inflation
HANDLES = 16  # kept per thread
# The connection broke or was never made: nothing was answered, and a read may be asked again.
BROKEN = frozenset({pycurl.E_COULDNT_CONNECT, pycurl.E_GOT_NOTHING, pycurl.E_SEND_ERROR, pycurl.E_RECV_ERROR})
# What a gateway says of a server behind it that is away. A 500 may be one client's doing, and must not stop the others.
AWAY = frozenset({502, 503, 504})
# Cloud metadata services that are not link-local.
METADATA = frozenset({ipaddress.ip_address("fd00:ec2::254"), ipaddress.ip_address("100.100.100.200")})


class UpstreamError(Exception):
    """The upstream gave no answer we can use. The text is for the officer; a client never sees it."""


class UpstreamDown(UpstreamError):
    """No connection, or one that broke twice."""


class UpstreamTimeout(UpstreamError):
    """No complete answer in time."""


class UpstreamResting(UpstreamError):
    """Too much failed lately, so nothing was sent. `retry_after`: seconds until it is tried again."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("it failed ten times within thirty seconds and is left alone for a while")
        self.retry_after = retry_after


class UpstreamRefused(UpstreamError):
    """It does not take our own credentials."""


class UpstreamGone(UpstreamError):
    """A page the upstream itself linked to is no longer there."""


class UpstreamMalformed(UpstreamError):
    """An answer that is too large, cut off, not FHIR, or not what was asked for."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. Two headers are kept, to be read and not to be passed on: which resource, in which version."""

    status: int
    body: bytes
    location: str = ""
    etag: str = ""


def send(info: UpstreamInfo, request: CanonicalRequest, *, request_id: str, within: float | None = None) -> Answer:
    """Send one request and return the answer, whatever its status but 401 and 403.

    within: seconds that are left for it, where that is less than the upstream is given otherwise; that it took longer
    proves nothing against the upstream.
    A read is tried once more on a broken connection and on 502 to 504, within the time for one.
    A write never is: it may have happened. Raises UpstreamError.
    """
    breaker = breaker_of(info.base_url)
    wait = breaker.seconds_to_wait(time.monotonic())
    if wait:
        raise UpstreamResting(math.ceil(wait))
    is_hurried = within is not None and within < info.timeout_seconds
    seconds = within if within is not None and is_hurried else info.timeout_seconds
    try:
        answer = _send(info, request, request_id, seconds)
    except (UpstreamDown, UpstreamTimeout) as error:
        if not (is_hurried and isinstance(error, UpstreamTimeout)):
            _failed(info, breaker)
        raise
    except UpstreamError:
        breaker.succeeded()  # It is there, whatever it says.
        raise
    if answer.status in AWAY:
        _failed(info, breaker)
    else:
        breaker.succeeded()
    if answer.status in (401, 403):
        raise_alarm("upstream-credentials", tenant=info.tenant, upstream=info.base_url, status=answer.status)
        raise UpstreamRefused(f"status {answer.status}: it does not take our credentials")
    return answer


def _failed(info: UpstreamInfo, breaker: Breaker) -> None:
    if breaker.failed(time.monotonic()):
        raise_alarm("upstream-down", tenant=info.tenant, upstream=info.base_url)


def _send(info: UpstreamInfo, request: CanonicalRequest, request_id: str, seconds: float) -> Answer:
    if request.method != "GET":
        return _send_write(info, request, request_id)
    began = time.monotonic()
    first = _try_to_read(info, request, request_id, seconds)
    left = began + seconds - time.monotonic()
    is_answered = isinstance(first, Answer) and first.status not in AWAY
    last = first if is_answered or left <= 0 else _try_to_read(info, request, request_id, left)
    if isinstance(last, UpstreamDown):
        raise last
    return last


def _try_to_read(
    info: UpstreamInfo, request: CanonicalRequest, request_id: str, seconds: float
) -> Answer | UpstreamDown:
    handle = _as_read(_handle(info.base_url), request)
    try:
        return _perform(info, request, request_id, handle, seconds=seconds)
    except _Broken as broken:
        return UpstreamDown(str(broken))


def _send_write(info: UpstreamInfo, request: CanonicalRequest, request_id: str) -> Answer:
    """Send on a connection of its own: on one that was kept, libcurl itself repeats what may have arrived already."""
    handle = new_handle()
    try:
        handle.setopt(pycurl.CUSTOMREQUEST, request.method)
        if request.body:
            handle.setopt(pycurl.POSTFIELDS, request.body)
        return _perform(info, request, request_id, handle, seconds=info.timeout_seconds)
    except _Broken as broken:
        raise UpstreamDown(str(broken)) from None
    finally:
        handle.close()


class _Broken(UpstreamDown):
    """Nothing was answered: a read may be asked again."""


class _Handles(threading.local):
    def __init__(self) -> None:
        self.by_base: OrderedDict[str, pycurl.Curl] = OrderedDict()


_handles = _Handles()


def _handle(base_url: str) -> pycurl.Curl:
    kept = _handles.by_base
    handle = kept.get(base_url)
    if handle is None:
        handle = kept[base_url] = new_handle()
        while len(kept) > HANDLES:
            kept.popitem(last=False)[1].close()
    kept.move_to_end(base_url)
    return handle


def _as_read(handle: pycurl.Curl, request: CanonicalRequest) -> pycurl.Curl:
    """Set a kept handle to GET, or to POST for a search whose query is in a form, whatever it was used for before."""
    if request.form:
        handle.setopt(pycurl.POSTFIELDS, request.form)
    else:
        handle.setopt(pycurl.HTTPGET, 1)
    return handle


def new_handle() -> pycurl.Curl:
    """Return a handle that speaks HTTP/1.1, unpacks what comes compressed, and connects to allowed addresses only."""
    handle = make_curl(CONNECT_TIMEOUT)
    handle.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS)
    handle.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)
    handle.setopt(pycurl.PATH_AS_IS, 1)
    handle.setopt(pycurl.ACCEPT_ENCODING, "gzip, deflate")
    handle.setopt(pycurl.OPENSOCKETFUNCTION, _open_socket)
    return handle


def _perform(
    info: UpstreamInfo, request: CanonicalRequest, request_id: str, handle: pycurl.Curl, *, seconds: float
) -> Answer:
    received = Received()
    target = request.form_target if request.form else request.target
    separator = "" if not target or target.startswith("?") else "/"
    handle.setopt(pycurl.URL, f"{info.base_url}{separator}{target}")
    handle.setopt(pycurl.TIMEOUT_MS, max(1, int(seconds * 1_000)))  # 0 would mean for ever
    handle.setopt(pycurl.HTTPHEADER, _headers(info, request, request_id))
    handle.setopt(pycurl.HEADERFUNCTION, received.header)
    handle.setopt(pycurl.WRITEFUNCTION, received.write)
    try:
        handle.perform()
    except pycurl.error as error:
        raise_for(*error.args, received)
    status = handle.getinfo(pycurl.RESPONSE_CODE)
    return Answer(
        status, b"".join(received.parts), received.headers.get("location", ""), received.headers.get("etag", "")
    )


def _headers(info: UpstreamInfo, request: CanonicalRequest, request_id: str) -> list[str]:
    lines = [
        "Accept: application/fhir+json",
        "Prefer: handling=strict" + ("" if request.method == "GET" else ", return=representation"),
        "User-Agent: fhir-access-proxy",
        f"X-Request-ID: {request_id}",
    ]
    if request.form:
        lines += ["Content-Type: application/x-www-form-urlencoded", "Expect:"]
    if request.body:
        lines += ["Content-Type: application/fhir+json", "Expect:"]  # No waiting for a 100 before large bodies.
    if request.version:
        lines.append(f'If-Match: W/"{request.version}"')
    return [*lines, f"Authorization: {info.authorization}"] if info.authorization else lines


def raise_for(code: int, message: str, received: "Received") -> None:
    why = f"curl error {code}: {message}"
    if received.is_too_large:
        raise UpstreamMalformed(f"the answer is larger than {LARGEST_ANSWER} bytes")
    if code == pycurl.E_OPERATION_TIMEDOUT:
        raise UpstreamTimeout("no complete answer in time")
    if code in BROKEN and not received.parts:
        raise _Broken(f"the connection failed ({why})")
    if code in (pycurl.E_PARTIAL_FILE, pycurl.E_BAD_CONTENT_ENCODING, pycurl.E_WRITE_ERROR) or received.parts:
        raise UpstreamMalformed(f"the answer is cut off or unreadable ({why})")
    raise UpstreamDown(f"the connection failed ({why})")


class Received:
    """Collects an answer up to the limit; libcurl hands over inflated bytes, so the limit is on those."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.size = 0
        self.is_too_large = False
        self.headers: dict[str, str] = {}

    def header(self, line: bytes) -> None:
        name, _, value = line.decode("latin-1").partition(":")
        if name.lower() in ("location", "etag"):
            self.headers[name.lower()] = value.strip()

    def write(self, part: bytes) -> int | None:
        self.size += len(part)
        if self.size > LARGEST_ANSWER:
            self.is_too_large = True
            return 0
        self.parts.append(part)
        return None


def _open_socket(purpose: int, address: Any) -> Any:
    """Make the socket libcurl will connect, unless the resolved address is one we never speak to.

    Checked here, when connecting, because a name may resolve to something else than it did when it was configured.
    """
    family, kind, protocol, endpoint = address
    if not is_allowed(endpoint[0]):
        return pycurl.SOCKET_BAD
    return _Opened(socket.socket(family, kind, protocol))


class _Opened:
    """A socket for libcurl, which takes a duplicate of it: ours is closed as soon as it has been handed over."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened

    def fileno(self) -> int:
        return self._opened.fileno()

    def __del__(self) -> None:
        self._opened.close()


def is_allowed(text: str | bytes) -> bool:
    """Return True for an address an upstream may have: no link-local, no metadata service, loopback in the sandbox."""
    try:
        address = ipaddress.ip_address(text.decode() if isinstance(text, bytes) else text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_loopback:
        return config().is_sandbox
    return not (address.is_link_local or address.is_multicast or address.is_unspecified or address in METADATA)
