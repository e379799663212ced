"""HTTP to the identity provider, which may be slow or hostile: bounded in time, size, threads and where it goes.

The operator named the issuer, so its host may be a private one. Every other host is named by the provider alone.
"""

import base64
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import pycurl

from clients.jwks_fetch import is_listed, is_public
from clients.jwks_rules import shown
from smartauth.conf import UpstreamIdp, config
from smartauth.errors import Refusal
from smartauth.outbound import IPAddress, connecting_only_where, make_curl

CONNECT_TIMEOUT = 3_000  # milliseconds
TOTAL_TIMEOUT = 8_000  # milliseconds, for all that one page asks of the provider: somebody waits in front of a browser
MAX_BYTES = 256 * 1024
LONGEST_URL = 2_000  # characters; gateways bound the headers of an answer, and a redirect holds more than the address
MOST_AT_ONCE = 3  # threads of a process that wait for the provider; the others have to answer meanwhile
QUEUE = 1.0  # seconds that a thread waits for its turn
NOT_NOW = (408, 429)
LOOPBACK = ("localhost", "127.0.0.1", "::1")

LOOK = "Look at the identity provider and at SMARTAUTH_UPSTREAM_IDP_ISSUER."
FIXES = {
    "upstream.url": f"Let its metadata name https URLs of at most {LONGEST_URL} characters, without user or fragment.",
    "upstream.address": "If that host is yours and may be private, list it in SMARTAUTH_UPSTREAM_IDP_HOSTS.",
    "upstream.tls": "Give it TLS 1.2 or later, and a certificate for its host by an authority this server trusts.",
    "upstream.timeout": f"Find out why it takes long: all that one page asks of it may take {TOTAL_TIMEOUT // 1000} s.",
    "upstream.busy": "Find out why it takes long; see the refusals before this one.",
    "upstream.too_large": f"Let it answer with at most {MAX_BYTES // 1024} KB.",
}
PROBLEMS = {
    pycurl.E_OPERATION_TIMEDOUT: ("upstream.timeout", "takes too long to answer"),
    pycurl.E_PEER_FAILED_VERIFICATION: ("upstream.tls", "has no certificate that is trusted"),
    pycurl.E_SSL_CONNECT_ERROR: ("upstream.tls", "makes no TLS connection"),
}

_places = threading.BoundedSemaphore(MOST_AT_ONCE)


class ProviderRefused(Exception):
    """The provider, or what it said, cannot be gone on with. `refusal` is for the receipt."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class ProviderUnavailable(ProviderRefused):
    """The provider does not answer, or not with what its own metadata promise."""


def patience() -> float:
    """Return until when one page may wait for the provider, by `time.monotonic`."""
    return time.monotonic() + TOTAL_TIMEOUT / 1_000


def is_reachable_by_rule(url: object) -> bool:
    """Return True for an absolute https URL without a fragment; in the sandbox also http on loopback."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or len(url) > LONGEST_URL:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc or any(char in url for char in "# \\"):
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and config().is_sandbox and host in LOOPBACK)


def get_json(idp: UpstreamIdp, url: str, *, until: float) -> dict[str, Any]:
    """GET a JSON object. Raises ProviderUnavailable."""
    status, body = _perform(idp, url, (), "", until)
    if status != 200:
        raise _bad_status(url, status)
    return _object(url, body)


def post_form(
    idp: UpstreamIdp, url: str, fields: Mapping[str, str], *, basic: tuple[str, str] | None, until: float
) -> tuple[int, dict[str, Any]]:
    """POST a form and return its status, which is 200 or one that blames us, and the JSON object.

    Where it blames us without JSON, the object is empty. basic: client_id and secret. Raises ProviderUnavailable.
    """
    headers = ["Content-Type: application/x-www-form-urlencoded", "Expect:"]
    if basic:  # Each half is form-encoded first (RFC 6749 §2.3.1).
        pair = ":".join(quote_plus(half) for half in basic)
        headers.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    status, body = _perform(idp, url, headers, urlencode(fields), until)
    if status == 200:
        return status, _object(url, body)
    if not 400 <= status < 500 or status in NOT_NOW:
        raise _bad_status(url, status)
    return status, _parsed(body) or {}


def unavailable(
    rule: str, reason: str, *, expected: str = "", seen: object = "", officer: str = ""
) -> ProviderUnavailable:
    """Return the error of a provider that does not do its part. seen: anything it sent, which is made fit to show."""
    told = "" if seen in ("", None) else shown(seen)
    return ProviderUnavailable(Refusal(rule, reason, expected, told, FIXES.get(rule, LOOK), officer[:500]))


@contextmanager
def in_turn(turns: threading.BoundedSemaphore, until: float) -> Iterator[None]:
    """Hold one of the `turns` that there are; wait a moment for it, but not as long as whoever has it may take.

    Raises ProviderUnavailable, rule "upstream.busy".
    """
    if not turns.acquire(timeout=min(QUEUE, max(0.0, until - time.monotonic()))):
        raise unavailable("upstream.busy", "others wait for the identity provider already")
    try:
        yield
    finally:
        turns.release()


def _perform(
    idp: UpstreamIdp, url: str, headers: list[str] | tuple[str, ...], form: str, until: float
) -> tuple[int, bytes]:
    if not is_reachable_by_rule(url):
        raise unavailable("upstream.url", "an address of the identity provider is not https", seen=url)
    body = bytearray()

    def receive(chunk: bytes) -> int:
        body.extend(chunk)
        return len(chunk) if len(body) <= MAX_BYTES else 0  # Fewer bytes than offered tells libcurl to stop.

    curl = make_curl(CONNECT_TIMEOUT)
    refused: list[str] = []
    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if url.startswith("https:") else pycurl.PROTO_HTTP)
        curl.setopt(pycurl.HTTPHEADER, ["Accept: application/json", *headers])
        curl.setopt(pycurl.USERAGENT, "smartauth")
        curl.setopt(pycurl.WRITEFUNCTION, receive)
        if form:
            curl.setopt(pycurl.POSTFIELDS, form)
        with in_turn(_places, until), connecting_only_where(curl, _guard(idp, url)) as refused:
            # At least 1: libcurl takes 0 for no limit.
            curl.setopt(pycurl.TIMEOUT_MS, max(1, round((until - time.monotonic()) * 1_000)))
            curl.perform()
        return int(curl.getinfo(pycurl.RESPONSE_CODE)), bytes(body)
    except pycurl.error as error:
        raise _problem(url, error, refused, is_too_large=len(body) > MAX_BYTES) from None
    finally:
        curl.close()


def _guard(idp: UpstreamIdp, url: str) -> Any:
    """Return what says to which addresses a URL of the provider may lead.

    A provider that was taken over must not make us ask, or send our secret to, what only we can reach.
    """
    parts = urlsplit(url)
    is_own = parts.hostname == urlsplit(idp.issuer).hostname or is_listed(parts, idp.hosts)
    is_sandboxed = config().is_sandbox and parts.hostname in LOOPBACK

    def may_connect(address: IPAddress) -> bool:
        return is_own or is_public(address) or (is_sandboxed and address.is_loopback)

    return may_connect


def _problem(url: str, error: pycurl.error, refused: list[str], *, is_too_large: bool) -> ProviderUnavailable:
    told = f"libcurl error {error.args[0]}: {error.args[1]}"
    if refused:
        reason = "the identity provider names a host that does not stand for a public address"
        return unavailable("upstream.address", reason, seen=url, officer=f"refused to connect to {refused[0]}")
    if is_too_large:
        return unavailable("upstream.too_large", f"{url} answers with more than {MAX_BYTES // 1024} KB")
    rule, reason = PROBLEMS.get(error.args[0], ("upstream.unreachable", "does not answer"))
    return unavailable(rule, f"{url} {reason}", officer=told)


def _bad_status(url: str, status: int) -> ProviderUnavailable:
    return unavailable("upstream.status", f"{url} answers {status}", expected="200", seen=str(status))


def _object(url: str, body: bytes) -> dict[str, Any]:
    value = _parsed(body)
    if value is None:
        raise unavailable("upstream.not_json", f"{url} does not answer with a JSON object", expected="a JSON object")
    return value


def _parsed(body: bytes) -> dict[str, Any] | None:
    """Return the JSON object that a body is, None for everything else."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
