"""References as values: is this text a resource on our own base, and which one?

URLs are compared as scheme, host, port and path segments; a comparison of text prefixes would take
``https://ehr.example.evil/`` for ``https://ehr.example``. Source: FHIR R4 references.
"""

import re
from dataclasses import dataclass

from fhirproxy.policy.bodies import Json
from smartauth.policy import r4

ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
URL = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9a-f:.]+\]|[a-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?", re.IGNORECASE
)
RELATIVE = re.compile(
    r"(?P<type>[A-Z][A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/(?P<version>[A-Za-z0-9\-.]{1,64}))?"
)
DEFAULT_PORTS = {"http": 80, "https": 443}


def is_id(text: str) -> bool:
    """Return True for a FHIR logical id. Source: FHIR R4 datatypes, id."""
    return ID.fullmatch(text) is not None and text not in {".", ".."}


@dataclass(frozen=True, slots=True)
class Base:
    """A FHIR base URL in parts; `segments` has no empty member."""

    scheme: str
    host: str
    port: int
    segments: tuple[str, ...]

    def relative(self, url: str) -> str | None:
        """Return what follows this base in `url` (path, query and fragment, no leading slash), or None outside it.

        A path with dot segments leads somewhere else, so it is outside.
        """
        rest = self.written_below(url)
        path = re.split(r"[?#]", rest, maxsplit=1)[0] if rest else ""
        return None if any(part in {".", ".."} for part in path.split("/")) else rest

    def written_below(self, url: str) -> str | None:
        """Return what is written behind this base in `url`, wherever that leads, or None when it begins otherwise."""
        # Most URLs in a resource name code systems: one look for the host is cheaper than taking them apart.
        found = URL.match(url) if self.host in url.lower() else None
        if found is None or (found["scheme"].lower(), found["host"].lower()) != (self.scheme, self.host):
            return None
        if _port(found) != self.port:
            return None
        rest = url[found.end() :]
        if rest and rest[0] not in "/?#":
            return None
        path = re.split(r"[?#]", rest, maxsplit=1)[0]
        tail = rest[len(path) :]
        segments = path.split("/")[1:]
        depth = len(self.segments)
        if tuple(segments[:depth]) != self.segments:
            return None
        return "/".join(segments[depth:]) + tail


def parse_base(url: str) -> Base:
    """Read an absolute http or https base URL without user information, query and fragment. Raises ValueError."""
    found = URL.match(url)
    rest = url[found.end() :] if found else ""
    if found is None or (rest and rest[0] != "/"):
        raise ValueError("a base URL begins with http:// or https:// and a host")
    segments = tuple(part for part in rest.rstrip("/").split("/")[1:])
    if any(re.fullmatch(r"[A-Za-z0-9\-._~]+", part) is None or part in {".", ".."} for part in segments):
        raise ValueError("the path of a base URL is plain: letters, digits, - . _ ~ and single slashes")
    return Base(found["scheme"].lower(), found["host"].lower(), _port(found), segments)


def _port(found: re.Match[str]) -> int:
    return int(found["port"]) if found["port"] else DEFAULT_PORTS[found["scheme"].lower()]


@dataclass(frozen=True, slots=True)
class Bases:
    """The bases on which a reference is ours: the public one first, then the upstream's and its aliases."""

    public_url: str  # without trailing slash
    public: Base
    upstream: tuple[Base, ...]

    def relative(self, url: str) -> str | None:
        """Return what follows one of our bases in an absolute URL, or None."""
        for base in (self.public, *self.upstream):
            rest = base.relative(url)
            if rest is not None:
                return rest
        return None


def make_bases(public_url: str, upstream_urls: tuple[str, ...]) -> Bases:
    """Return the bases of one tenant. Raises ValueError for a URL that is not a plain base."""
    return Bases(public_url, parse_base(public_url), tuple(parse_base(url) for url in upstream_urls))


@dataclass(frozen=True, slots=True)
class Local:
    """A resource on our own base."""

    type: str
    id: str
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.type}/{self.id}"


def find_local(text: str, bases: Bases) -> Local | None:
    """Return the resource on our base that a literal reference names, relative or absolute, or None."""
    rest: str | None = text
    if "://" in text:
        rest = bases.relative(text)
    found = RELATIVE.fullmatch(rest) if rest is not None else None
    if found is None or not r4.is_resource_type(found["type"]) or not is_id(found["id"]):
        return None
    return Local(found["type"], found["id"], found["version"])


@dataclass(frozen=True, slots=True)
class Other:
    """A reference that is certainly not to a patient; `target` is None when only its type is known."""

    type: str
    target: Local | None = None


@dataclass(frozen=True, slots=True)
class Opaque:
    """A reference of which we cannot say whom it means: foreign, contained, by identifier, malformed."""


OPAQUE = Opaque()
Referent = Local | Other | Opaque  # a Local here is always a Patient


def classify(value: Json, bases: Bases) -> Referent:
    """Say whom a Reference means. What is not certain is Opaque, and Opaque never admits anything."""
    if not isinstance(value, dict):
        return OPAQUE
    declared, literal = value.get("type"), value.get("reference")
    if declared is not None and not (isinstance(declared, str) and r4.is_resource_type(declared)):
        return OPAQUE
    if literal is None:
        return Other(declared) if isinstance(declared, str) and declared != "Patient" else OPAQUE
    local = find_local(literal, bases) if isinstance(literal, str) else None
    if local is None or declared not in (None, local.type):
        return OPAQUE
    return local if local.type == "Patient" else Other(local.type, local)


def values_at(resource: Json, path: tuple[str, ...]) -> tuple[Json, ...]:
    """Return every value at a dotted path, through arrays. What has the wrong shape on the way is returned as it is.

    The caller then sees a value that is no object, which counts as Opaque: a malformed path never looks empty.
    """
    found: list[Json] = [resource]
    for step in path:
        following: list[Json] = []
        for node in found:
            if not isinstance(node, dict):
                following.append(node)
            elif step in node:
                value = node[step]
                following.extend(value if isinstance(value, list) else [value])
        found = following
    return tuple(found)
