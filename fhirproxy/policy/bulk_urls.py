"""Where an upstream keeps a job and its files: URLs it gave us, held against the places we may go to.

Our own credentials go to the FHIR server's origin and nowhere else. Source: Bulk Data Access IG, "Security
Considerations" (files may be on another host); RFC 6454 §4 (origins).
"""

import re
from dataclasses import dataclass, field

from fhirproxy.policy.references import URL, Base, Bases, parse_base

LONGEST_URL = 16 * 1024
REST = re.compile(r"(?:/[A-Za-z0-9\-._~%!$&'()*+,;=:@/]*)?(?:\?[A-Za-z0-9\-._~%!$&'()*+,;=:@/?]*)?")
_SEAL = object()


@dataclass(frozen=True, slots=True)
class UpstreamUrl:
    """An absolute URL we may ask. `takes_credentials`: it is on the FHIR server's own origin."""

    url: str
    takes_credentials: bool
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only a URL that was held against the known origins can be asked")


@dataclass(frozen=True, slots=True)
class Places:
    """Where the URLs of one upstream may lead: its base, the aliases it calls itself by, the hosts of its files."""

    base_url: str
    base: Base
    bases: Bases
    file_hosts: tuple[Base, ...] = ()


def parse_file_hosts(urls: tuple[str, ...]) -> tuple[Base, ...]:
    """Return origins such as ``https://files.example.org``. Raises ValueError for anything with a path."""
    hosts = tuple(parse_base(url) for url in urls)
    if any(host.segments for host in hosts):
        raise ValueError("a file host has no path")
    return hosts


def find_job_url(text: str, places: Places) -> UpstreamUrl | None:
    """Return where a job's status is, or None when that is not on the FHIR server's origin."""
    found = _split(text)
    if found is None:
        return None
    for base in places.bases.upstream:  # An alias is a name for the same server, which we ask where it really is.
        rest = base.relative(text)
        if rest is not None:
            separator = "" if not rest or rest.startswith("?") else "/"
            return UpstreamUrl(f"{places.base_url}{separator}{rest}", True, _SEAL)
    return UpstreamUrl(text, True, _SEAL) if _is_same_origin(found, places.base) else None


def find_file_url(text: str, places: Places, *, needs_token: bool) -> UpstreamUrl | None:
    """Return where a file is, or None when that is neither the FHIR server nor one of the hosts of its files."""
    own = find_job_url(text, places)
    if own is not None:
        return UpstreamUrl(own.url, needs_token, _SEAL)
    found = _split(text)
    is_known = found is not None and any(_is_same_origin(found, host) for host in places.file_hosts)
    return UpstreamUrl(text, False, _SEAL) if is_known else None


def _split(text: str) -> Base | None:
    found = URL.match(text)
    if found is None or len(text) > LONGEST_URL or REST.fullmatch(text, found.end()) is None:
        return None
    return parse_base(found[0])


def _is_same_origin(one: Base, other: Base) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)
