"""HTTP to the identity provider. The operator named its address, so it may be a private one; nothing is followed."""

import base64
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

import pycurl

from smartauth.conf import config
from smartauth.errors import Refusal
from smartauth.outbound import make_curl

CONNECT_TIMEOUT = 3_000  # milliseconds
TOTAL_TIMEOUT = 8_000  # milliseconds; somebody waits in front of a browser
MAX_BYTES = 256 * 1024
LOOPBACK = ("localhost", "127.0.0.1", "::1")


class ProviderRefused(Exception):
    """The provider, or what it said, cannot be gone on with. `refusal` is for the receipt."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal


class ProviderUnavailable(ProviderRefused):
    """The provider does not answer, or not with what its own metadata promise."""


def is_reachable_by_rule(url: object) -> bool:
    """Return True for an absolute https URL without a fragment; in the sandbox also http on loopback."""
    if not isinstance(url, str) or not url.isascii() or not url.isprintable() or "#" in url or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname or "", parts.port
    except ValueError:
        return False
    if not host or "@" in parts.netloc:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and config().is_sandbox and host in LOOPBACK)


def get_json(url: str) -> dict[str, Any]:
    """GET a JSON object. Raises ProviderUnavailable."""
    status, body = _perform(url, (), "")
    if status != 200:
        raise unavailable("upstream.status", f"{url} answers {status}", expected="200", seen=str(status))
    return _object(url, body)


def post_form(url: str, fields: Mapping[str, str], *, basic: tuple[str, str] | None) -> tuple[int, dict[str, Any]]:
    """POST a form and return status and JSON object. basic: client_id and secret. Raises ProviderUnavailable."""
    headers = ["Content-Type: application/x-www-form-urlencoded", "Expect:"]
    if basic:  # Each half is form-encoded first (RFC 6749 §2.3.1).
        pair = ":".join(quote_plus(half) for half in basic)
        headers.append(f"Authorization: Basic {base64.b64encode(pair.encode()).decode()}")
    status, body = _perform(url, headers, urlencode(fields))
    return status, _object(url, body)


def unavailable(
    rule: str, reason: str, *, expected: str = "", seen: str = "", officer: str = ""
) -> ProviderUnavailable:
    """Return the error of a provider that does not do its part."""
    fix = "Look at the identity provider and at SMARTAUTH_UPSTREAM_IDP_ISSUER."
    return ProviderUnavailable(Refusal(rule, reason, expected, seen[:200], fix, officer[:500]))


def _perform(url: str, headers: list[str] | tuple[str, ...], form: str) -> tuple[int, bytes]:
    if not is_reachable_by_rule(url):
        raise unavailable("upstream.url", "an address of the identity provider is not https", seen=str(url))
    body = bytearray()

    def receive(chunk: bytes) -> int:
        if len(body) + len(chunk) > MAX_BYTES:
            return 0  # Fewer bytes than offered tells libcurl to stop.
        body.extend(chunk)
        return len(chunk)

    curl = make_curl(CONNECT_TIMEOUT)
    try:
        curl.setopt(pycurl.URL, url)
        curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if url.startswith("https:") else pycurl.PROTO_HTTP)
        curl.setopt(pycurl.HTTPHEADER, ["Accept: application/json", *headers])
        curl.setopt(pycurl.USERAGENT, "smartauth")
        curl.setopt(pycurl.TIMEOUT_MS, TOTAL_TIMEOUT)
        curl.setopt(pycurl.WRITEFUNCTION, receive)
        if form:
            curl.setopt(pycurl.POSTFIELDS, form)
        curl.perform()
        return int(curl.getinfo(pycurl.RESPONSE_CODE)), bytes(body)
    except pycurl.error as error:
        told = f"libcurl error {error.args[0]}: {error.args[1]}"
        raise unavailable("upstream.unreachable", f"{url} does not answer", officer=told) from None
    finally:
        curl.close()


def _object(url: str, body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise unavailable("upstream.not_json", f"{url} does not answer with a JSON object", expected="a JSON object")
    return value
