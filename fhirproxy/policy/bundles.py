"""Batches and transactions: a Bundle to entries, each one request of its own, read by the rules for requests.

Source: FHIR R4 http, "batch/transaction"; FHIR R4 bundle.
"""

import base64
import binascii
import re
from dataclasses import dataclass, replace

from fhirproxy.policy.bodies import Json, Resource, write_json
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.headers import Headers, require_media
from fhirproxy.policy.mentions import URN
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.references import Bases
from fhirproxy.policy.requests import (
    Create,
    Delete,
    History,
    Interaction,
    Patch,
    Read,
    SearchCompartment,
    SearchSystem,
    SearchType,
    Update,
    VRead,
    parse_request,
)
from fhirproxy.policy.targets import parse_target
from fhirproxy.policy.written import RESOURCE_TYPES, read_tree
from smartauth.errors import Refusal

METHODS = ("DELETE", "POST", "PUT", "PATCH", "GET")  # in the order in which FHIR has them happen
RANK = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3}
BUNDLE_NAMES = frozenset({"resourceType", "type", "entry"})
ENTRY_NAMES = frozenset({"fullUrl", "resource", "request"})
# What a request in a Bundle may say beside its method and url, and the header of which it takes the place.
CONDITIONS = {
    "ifMatch": "if_match",
    "ifNoneMatch": "if_none_match",
    "ifModifiedSince": "if_modified_since",
    "ifNoneExist": "if_none_exist",
}
PATCH_TYPE = "application/json-patch+json"
SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")


@dataclass(frozen=True, slots=True)
class BundleRequest:
    """A batch or a transaction whose entries have not been read yet."""

    is_transaction: bool
    entries: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry as a request. `full_url` is empty or the entry's name for references in the same Bundle."""

    method: str
    interaction: Interaction
    headers: Headers
    full_url: str

    @property
    def rank(self) -> int:
        """Return where the entry stands in FHIR's order of processing."""
        return RANK[self.method]


def parse_bundle(content_type: str, data: bytes, *, most: int) -> BundleRequest:
    """Read the body of a POST to the base, of at most `most` entries. Raises FhirRefusal: 400, 413 or 415.

    Servers read tenants and partitions from what else a Bundle may hold, so it holds nothing else.
    """
    require_media(content_type, RESOURCE_TYPES)
    tree = read_tree(data)
    if tree["resourceType"] != "Bundle" or tree.get("type") not in ("batch", "transaction"):
        raise bad_request("bundle.type", "the body is a Bundle of the type batch or transaction")
    if not tree.keys() <= BUNDLE_NAMES:
        raise bad_request("bundle.content", "a batch or transaction has type and entry, and nothing else")
    entries = tree.get("entry", [])
    if not isinstance(entries, list):
        raise bad_request("bundle.content", "the entries are not a list")
    if len(entries) > most:
        refusal = Refusal("bundle.entries", f"a Bundle has at most {most} entries")
        raise FhirRefusal(413, "too-costly", refusal)
    return BundleRequest(tree["type"] == "transaction", tuple(entries))


# What an entry may ask for. Operations, bulk data and Bundles inside Bundles are asked for alone, or not at all.
INSIDE = (
    *(Read, VRead, History, SearchType, SearchSystem, SearchCompartment),
    *(Create, Update, Patch, Delete),
)


def parse_entry(tree: Json, outer: Headers, bases: Bases, extras: Extras = NO_EXTRAS) -> Entry:
    """Read one entry as the request it stands for. `outer`: the headers of the Bundle. Raises FhirRefusal."""
    entry, request = _parts(tree)
    method, url = request.get("method"), request.get("url")
    if method not in METHODS or not isinstance(method, str):
        raise bad_request("entry.method", f"the method of an entry is one of {', '.join(sorted(METHODS))}")
    if not isinstance(url, str) or url.startswith("/") or SCHEME.match(url) or not url:
        raise bad_request("entry.url", "the url of an entry is relative to the base")
    conditions: dict[str, str] = {}
    for name, header in CONDITIONS.items():
        value = request.get(name, "")
        if not isinstance(value, str):
            raise bad_request("entry.request", f"{name} is not text")
        conditions[header] = value
    content_type, body = _body(method, entry.get("resource"))
    headers = Headers(content_type=content_type, prefer=outer.prefer, **conditions)
    target = parse_target(f"/{url}", prefix="")
    interaction = parse_request(method, target, headers, body, bases, extras)
    if not isinstance(interaction, INSIDE):
        raise FhirRefusal(403, "forbidden", Refusal("entry.interaction", "this is not offered inside a Bundle"))
    return Entry(method, interaction, headers, _full_url(entry.get("fullUrl"), method, url, bases))


def _parts(tree: Json) -> tuple[Resource, Resource]:
    request = tree.get("request") if isinstance(tree, dict) else None
    if not isinstance(tree, dict) or not tree.keys() <= ENTRY_NAMES or not isinstance(request, dict):
        raise bad_request("entry.content", "an entry has fullUrl, resource and request, and nothing else")
    if not request.keys() <= {"method", "url", *CONDITIONS}:
        raise bad_request("entry.request", "the request of an entry says something that no request here can say")
    return tree, request


def _body(method: str, resource: Json) -> tuple[str, bytes]:
    if method in ("GET", "DELETE"):
        if resource is not None:
            raise bad_request("entry.resource", "an entry that reads or deletes has no resource")
        return "", b""
    if not isinstance(resource, dict):
        raise bad_request("entry.resource", "an entry that writes has a resource")
    return (PATCH_TYPE, _patch(resource)) if method == "PATCH" else ("application/fhir+json", write_json(resource))


def _patch(resource: Resource) -> bytes:
    """A patch travels in a Binary, as text in base64. Source: FHIR R4 http, "patch"."""
    data = resource.get("data")
    if (resource.get("resourceType"), resource.get("contentType")) != ("Binary", PATCH_TYPE) or not isinstance(
        data, str
    ):
        raise bad_request("entry.patch", f"a patch in a Bundle is a Binary of the type {PATCH_TYPE}")
    try:
        return base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("entry.patch", "the data of a Binary is not base64") from None


def _full_url(value: Json, method: str, url: str, bases: Bases) -> str:
    """A create that calls itself by somebody's address would have every reference to that address rewritten."""
    if value is None:
        return ""
    if isinstance(value, str):
        if method in ("POST", "PUT") and URN.fullmatch(value):
            return value
        if method == "PUT" and bases.public.relative(value) == url:
            return ""
    raise bad_request("entry.full_url", "the fullUrl of an entry is a urn:uuid, or for an update its own address")


def require_distinct(entries: tuple[Entry, ...]) -> None:
    """Raise FhirRefusal (400) when two entries have the same name."""
    names = [entry.full_url for entry in entries if entry.full_url]
    if len(names) != len(set(names)):
        raise bad_request("bundle.full_url", "two entries have the same fullUrl")


def at_entry(index: int, refused: FhirRefusal) -> FhirRefusal:
    """Return the refusal of a whole transaction for what is wrong with one entry, which it names by its place."""
    return FhirRefusal(
        refused.status,
        refused.issue,
        replace(refused.refusal, reason=f"entry {index}: {refused.refusal.reason}"),
        public=f"Entry {index}: {refused.public}",
        scope=refused.scope,
        allow=refused.allow,
        more=refused.more,
    )
