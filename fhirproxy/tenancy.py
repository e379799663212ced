"""Which FHIR server stands behind a tenant: stored with care, read as a frozen value."""

import base64
import ipaddress
from dataclasses import dataclass, field, replace

from fhirproxy.models import Upstream
from fhirproxy.policy.bulk_urls import parse_file_hosts
from fhirproxy.policy.references import Base, Bases, make_bases, parse_base
from smartauth import endpoints
from smartauth.conf import config
from smartauth.marks import MarkedCache, tenant_mark
from smartauth.sealing import decrypt, encrypt

PURPOSE = "upstream credential"


class UnusableUpstream(ValueError):
    """The URL cannot be an upstream. The text is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class UpstreamInfo:
    """One upstream, ready to be asked. `authorization` is our own credential, as a header value or empty."""

    tenant: str
    base_url: str
    base: Base
    bases: Bases
    timeout_seconds: int
    authorization: str = field(repr=False, default="")
    file_hosts: tuple[Base, ...] = ()  # origins beside the base's own where files of exports may be


_upstreams: MarkedCache[str, UpstreamInfo | None] = MarkedCache(max_size=1_000)


def find_upstream(slug: str) -> UpstreamInfo | None:
    """Return the upstream of the tenant called `slug`, or None. A change is seen within a second on every worker."""
    return _upstreams.get(slug, lambda: _load(slug), tags=lambda found: (tenant_mark(slug),) if found else ())


def _load(slug: str) -> UpstreamInfo | None:
    row = Upstream.objects.filter(tenant__slug=slug).first()
    if row is None:
        return None
    bases = make_bases(endpoints.fhir_base(slug), (row.base_url, *row.aliases))
    hosts = parse_file_hosts(tuple(row.file_hosts))
    return UpstreamInfo(slug, row.base_url, bases.upstream[0], bases, row.timeout_seconds, _authorization(row), hosts)


def _authorization(row: Upstream) -> str:
    if row.credential == Upstream.Credential.NONE:
        return ""
    secret = decrypt(row.sealed_secret, purpose=PURPOSE)
    if row.credential == Upstream.Credential.BASIC:
        return "Basic " + base64.b64encode(secret).decode("ascii")
    return "Bearer " + secret.decode()


def seal_secret(secret: str) -> str:
    """Return a bearer token, or user:password, as it is stored. Raises UnusableUpstream if no header can carry it."""
    if not secret or not secret.isprintable() or not secret.isascii():
        raise UnusableUpstream("The upstream's credential is empty or has characters that a header cannot carry.")
    return encrypt(secret.encode(), purpose=PURPOSE)


def set_upstream(
    tenant: object, *, base_url: str, bearer: str = "", file_hosts: tuple[str, ...] | None = None
) -> Upstream:
    """Store what stands behind a tenant (a row of the registry). Raises UnusableUpstream.

    file_hosts: origins where it keeps files of exports, if not on its own; None leaves them as they are.
    """
    values: dict[str, object] = {
        "base_url": require_usable(base_url),
        "credential": Upstream.Credential.BEARER if bearer else Upstream.Credential.NONE,
        "sealed_secret": seal_secret(bearer) if bearer else "",
    }
    if file_hosts is not None:
        values["file_hosts"] = [require_file_host(url) for url in file_hosts]
    row, _ = Upstream.objects.update_or_create(tenant=tenant, defaults=values)
    return row


def require_usable(url: str) -> str:
    """Return a FHIR base URL as it is stored, without trailing slash. Raises UnusableUpstream."""
    if "?" in url or "#" in url or "@" in url:
        raise UnusableUpstream("The upstream URL has user information, a query or a fragment; give the bare FHIR base.")
    try:
        base = parse_base(url)
    except ValueError as why:
        raise UnusableUpstream(f"The upstream URL cannot be used: {why}.") from None
    if _is_ours(base):
        raise UnusableUpstream("The upstream URL is this server itself; requests would go round in circles.")
    if _is_loopback(base.host) and not config().is_sandbox:
        raise UnusableUpstream("The upstream URL is on the loopback interface, which is for the sandbox only.")
    return url.rstrip("/")


def require_file_host(url: str) -> str:
    """Return the origin of a host of export files as it is stored. Raises UnusableUpstream."""
    usable = require_usable(url)
    if parse_base(usable).segments:
        raise UnusableUpstream("A file host is an origin such as https://files.example.org, without a path.")
    return usable


def _is_ours(base: Base) -> bool:
    own = parse_base(config().base_url)
    one, other = _spelled_alike(base), _spelled_alike(own)
    return (one.host, one.port) == (other.host, other.port) and one.segments[: len(own.segments)] == own.segments


def _spelled_alike(base: Base) -> Base:
    return replace(base, host="localhost") if _is_loopback(base.host) else base


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return address.is_loopback or address.is_unspecified
