"""Fetching a client's JWKS from the URL it registered: the only outbound HTTP of this app.

The URL is an attacker's if a client is, so a fetch may reach public addresses only, and the address is judged where the
socket is made: what was looked up is what is connected to, whatever DNS answers a second time.
Source: RFC 7591 §5; SMART 2.2 client-confidential-asymmetric; RFC 9111 §4.2.
"""

import contextlib
import ipaddress
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from functools import lru_cache
from urllib.parse import SplitResult, urlsplit

import pycurl

from clients.jwks_rules import UnusableJwks, shown
from smartauth.conf import config
from smartauth.outbound import IPAddress, connecting_only_where, ip_address, make_curl

CONNECT_TIMEOUT = 3_000  # milliseconds
TOTAL_TIMEOUT = 5_000  # milliseconds
MAX_BYTES = 256 * 1024
MAX_HEADER_LINES = 200
MAX_LIFETIME = timedelta(seconds=3600)
DEFAULT_LIFETIME = timedelta(seconds=300)
LOOPBACK_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})

NAT64 = ipaddress.ip_network("64:ff9b::/96")
GLOBAL_UNICAST = ipaddress.ip_network("2000::/3")
# Ranges that look global but are relays into others, or a cloud's metadata service.
NOT_PUBLIC = tuple(
    ipaddress.ip_network(text)
    for text in ("192.88.99.0/24", "168.63.129.16/32", "2001::/32", "2002::/16", "3fff::/20", "5f00::/16")
)


@dataclass(frozen=True, slots=True)
class FetchedJwks:
    """A body as received and how long it may be used again; zero means for this once only.

    headers: of the answer, names in lower case.    certificate_ends_at: when the host's own certificate expires, from
    the handshake; None without TLS.
    """

    body: bytes
    lifetime: timedelta
    headers: tuple[tuple[str, str], ...] = ()
    certificate_ends_at: datetime | None = None


@dataclass(slots=True)
class _Answer:
    """What libcurl tells us while a transfer runs."""

    body: bytearray = field(default_factory=bytearray)
    headers: list[tuple[str, str]] = field(default_factory=list)
    header_lines: int = 0
    refused: list[str] = field(default_factory=list)  # addresses that were not connected to
    too_large: bool = False


def fetch_jwks(url: str) -> FetchedJwks:
    """GET a JWK Set without credentials, cookies, proxies or redirects.

    Raises UnusableJwks: jwks.url, jwks.address, jwks.dns, jwks.tls, jwks.timeout, jwks.unreachable, jwks.redirect,
    jwks.status or jwks.too_large.
    """
    parts = require_fetchable(url)
    answer = _Answer()
    curl = make_curl(CONNECT_TIMEOUT)
    try:
        _prepare(curl, url, parts, answer)
        try:
            with connecting_only_where(curl, lambda address: _may_connect(address, parts)) as answer.refused:
                curl.perform()
        except pycurl.error as error:
            raise _problem(int(error.args[0]), str(error.args[1]), url, answer) from None
        status = int(curl.getinfo(pycurl.RESPONSE_CODE))
        certificate_ends_at = _certificate_end(curl.getinfo(pycurl.INFO_CERTINFO))
    finally:
        curl.close()
    if 300 <= status < 400:
        raise UnusableJwks(
            "jwks.redirect",
            "the JWKS URL answers with a redirect, which is never followed",
            expected="200",
            seen=f"{status} from {url}",
        )
    if status != 200:
        raise UnusableJwks(
            "jwks.status",
            f"the JWKS URL answers {status}",
            expected="200",
            seen=f"{status} from {url}",
        )
    return FetchedJwks(bytes(answer.body), lifetime(answer.headers), tuple(answer.headers), certificate_ends_at)


def require_fetchable(url: str) -> SplitResult:
    """Return the parts of a `jwks_uri` that may be fetched at all; addresses are judged later, once known.

    https everywhere; in the sandbox also http on loopback. Port 443, or a host and port the operator listed. Raises
    UnusableJwks, rule "jwks.url".
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise _bad_url(url, "it is not a URL") from None
    host = parts.hostname or ""
    on_loopback = config().is_sandbox and host in LOOPBACK_NAMES
    if re.fullmatch(r"[\x21-\x7e]+", url) is None or not host or "\\" in url:
        raise _bad_url(url, "it is not an absolute URL in ASCII")
    if parts.scheme != "https" and not (parts.scheme == "http" and on_loopback):
        raise _bad_url(url, "it is not https")
    if "@" in parts.netloc:
        raise _bad_url(url, "it has user information")
    if "#" in url:
        raise _bad_url(url, "it has a fragment")
    if not on_loopback and (port or 443) != 443 and not is_listed(parts, config().jwks_allowed_hosts):
        raise _bad_url(url, "its port is not 443")
    literal = ip_address(host)
    if literal is not None and not _may_connect(literal, parts):
        raise _bad_url(url, "its address is not public")
    return parts


def lifetime(headers: list[tuple[str, str]]) -> timedelta:
    """Return how long a response may be used, from its header fields: at most an hour, by default five minutes.

    `no-store`, `no-cache` and unreadable directives give zero. A private cache minds `max-age`, not `s-maxage`
    (RFC 9111 §4.2.1); `Age` is what others already used up.
    """
    directives = [
        part.strip().lower() for name, value in headers if name == "cache-control" for part in value.split(",")
    ]
    names = {directive.partition("=")[0].strip() for directive in directives}
    if names & {"no-store", "no-cache"}:
        return timedelta(0)
    if "max-age" in names:
        ages = [one.partition("=")[2].strip().strip('"') for one in directives if one.partition("=")[0] == "max-age"]
        if not all(re.fullmatch(r"[0-9]{1,10}", age) for age in ages):
            return timedelta(0)
        allowed = timedelta(seconds=min(int(age) for age in ages))
    else:
        allowed = _until_expiry(headers)
    return max(timedelta(0), min(allowed - _age(headers), MAX_LIFETIME))


def is_listed(parts: SplitResult, entries: frozenset[str]) -> bool:
    """Return True for a host and port that an operator listed; an entry without port stands for 443."""
    return _host_and_port(parts) in _listed(entries)


def is_public(address: IPAddress) -> bool:
    """Return True for an address on the public internet, judged by the IPv4 address inside where there is one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF))
        if address not in GLOBAL_UNICAST:
            return False
    if any(address in network for network in NOT_PUBLIC if network.version == address.version):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _prepare(curl: pycurl.Curl, url: str, parts: SplitResult, answer: _Answer) -> None:
    def receive(chunk: bytes) -> int:
        if len(answer.body) + len(chunk) > MAX_BYTES:
            answer.too_large = True
            return 0  # Fewer bytes than offered tells libcurl to stop.
        answer.body.extend(chunk)
        return len(chunk)

    def receive_header(line: bytes) -> int:
        answer.header_lines += 1
        if answer.header_lines > MAX_HEADER_LINES:
            answer.too_large = True
            return 0
        if line.startswith(b"HTTP/"):
            answer.headers.clear()  # What came before belonged to an interim answer (RFC 9110 §15.2).
        name, colon, value = line.decode("latin-1").partition(":")
        if colon:
            answer.headers.append((name.strip().lower(), value.strip()))
        return len(line)

    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.PROTOCOLS, pycurl.PROTO_HTTPS if parts.scheme == "https" else pycurl.PROTO_HTTP)
    curl.setopt(pycurl.WRITEFUNCTION, receive)
    curl.setopt(pycurl.HEADERFUNCTION, receive_header)
    curl.setopt(pycurl.HTTPHEADER, ["Accept: application/json"])
    curl.setopt(pycurl.USERAGENT, "smartauth-jwks")
    curl.setopt(pycurl.TIMEOUT_MS, TOTAL_TIMEOUT)
    curl.setopt(pycurl.OPT_CERTINFO, 1)


def _certificate_end(chain: list[tuple[tuple[str, str], ...]]) -> datetime | None:
    """Return the end of the first certificate of a chain as libcurl tells it: the one of the host itself."""
    for name, value in chain[0] if chain else ():
        if name == "Expire date":
            with contextlib.suppress(ValueError):
                return datetime.strptime(value, "%b %d %H:%M:%S %Y GMT").replace(tzinfo=UTC)
    return None


def _may_connect(address: IPAddress, parts: SplitResult) -> bool:
    if is_listed(parts, config().jwks_allowed_hosts):
        return True
    if config().is_sandbox and parts.hostname in LOOPBACK_NAMES:
        return address.is_loopback
    return is_public(address)


@lru_cache(maxsize=8)
def _listed(entries: frozenset[str]) -> frozenset[tuple[str, int]]:
    return frozenset(_host_and_port(urlsplit(f"//{entry}")) for entry in entries)


def _host_and_port(parts: SplitResult) -> tuple[str, int]:
    """Return host and port in one spelling: without brackets, an IP address as Python writes it (RFC 5952)."""
    host = parts.hostname or ""
    with contextlib.suppress(ValueError):
        host = str(ipaddress.ip_address(host))
    return host, parts.port or 443


def _age(headers: list[tuple[str, str]]) -> timedelta:
    ages = [value for name, value in headers if name == "age"]
    readable = [int(value) for value in ages if re.fullmatch(r"[0-9]{1,10}", value)]
    return timedelta(seconds=max(readable, default=0))


def _until_expiry(headers: list[tuple[str, str]]) -> timedelta:
    named = dict(reversed(headers))
    if "expires" not in named or "date" not in named:
        return timedelta(0) if "expires" in named else DEFAULT_LIFETIME
    try:
        return parsedate_to_datetime(named["expires"]) - parsedate_to_datetime(named["date"])
    except (ValueError, TypeError):
        return timedelta(0)


def _problem(code: int, told: str, url: str, answer: _Answer) -> UnusableJwks:
    if answer.refused:
        return UnusableJwks(
            "jwks.address",
            "the host of the JWKS URL does not stand for a public address",
            expected="a public address",
            seen=url,
            officer=f"refused to connect to {answer.refused[0]}",
        )
    if answer.too_large:
        return UnusableJwks(
            "jwks.too_large",
            f"the answer is larger than {MAX_BYTES // 1024} KB",
            expected=f"at most {MAX_BYTES // 1024} KB",
            seen=url,
        )
    rule, reason = {
        pycurl.E_COULDNT_RESOLVE_HOST: ("jwks.dns", "the host of the JWKS URL has no address"),
        pycurl.E_OPERATION_TIMEDOUT: ("jwks.timeout", "the JWKS URL took too long to answer"),
        pycurl.E_PEER_FAILED_VERIFICATION: ("jwks.tls", "the certificate of the JWKS URL is not valid"),
        pycurl.E_SSL_CONNECT_ERROR: ("jwks.tls", "no TLS connection could be made"),
    }.get(code, ("jwks.unreachable", "the JWKS URL could not be read"))
    # About a certificate libcurl says what is wrong with it; about a connection it names addresses.
    seen = f"{url}: {shown(told)}" if code == pycurl.E_PEER_FAILED_VERIFICATION and told else url
    return UnusableJwks(rule, reason, seen=seen, officer=f"libcurl error {code}")


def _bad_url(url: str, why: str) -> UnusableJwks:
    return UnusableJwks(
        "jwks.url",
        f"the JWKS URL may not be fetched: {why}",
        seen=shown(url),
    )
