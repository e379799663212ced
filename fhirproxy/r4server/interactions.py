"""FHIR's verbs on the store: what a request under the base URL means and what it answers."""

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from urllib.parse import unquote, urlsplit

from fhirproxy.r4server import capability
from fhirproxy.r4server.encoding import JsonObject, encode
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.export.jobs import Exports
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.messages import Request, Response, http_date
from fhirproxy.r4server.modes import MODES, Mode
from fhirproxy.r4server.operations import documents_of, everything_about, overview_of
from fhirproxy.r4server.search.across import search_across
from fhirproxy.r4server.search.bundle import Entry, page_links, page_url, searchset, self_link
from fhirproxy.r4server.search.including import included_with
from fhirproxy.r4server.search.paging import OFFSET_PARAMETER, TOKEN_PARAMETER, Snapshot, Snapshots
from fhirproxy.r4server.search.query import parse_query
from fhirproxy.r4server.search.sorting import sort_versions
from fhirproxy.r4server.store import LOGICAL_ID, Store, Version
from fhirproxy.r4server.terminology import OPERATIONS as TERMINOLOGY
from fhirproxy.r4server.terminology import answer_about_codes
from fhirproxy.r4server.transactions import transact
from fhirproxy.r4server.validation import validate
from fhirproxy.r4server.versions import history_bundle, history_of, snapshot_of


@dataclass(slots=True)
class FhirService:
    """One FHIR base: a store, a mode that can be switched, and the snapshots of searches under way."""

    base_url: str  # absolute, without trailing slash
    store: Store
    mode: Mode = MODES["faithful"]
    snapshots: Snapshots = field(default_factory=Snapshots)
    exports: Exports = field(init=False)

    def __post_init__(self) -> None:
        self.exports = Exports(self.base_url, self.store)

    def handle(self, request: Request, path: str) -> Response:
        """Answer a request. `path` is the percent-encoded part behind the base URL. Raises FhirError.

        Source: FHIR R4 http.html.
        """
        segments = [unquote(segment) for segment in path.strip("/").split("/")]
        method = "GET" if request.method == "HEAD" else request.method
        if "$export" in segments or segments[0] == "_export":
            return self.export(request, method, segments)
        match (method, *segments):
            case ("GET", "metadata"):
                return Response(200, capability.statement(self.base_url))
            case ("POST", ""):
                return transact(request.json_body(), self.store, self.mode, base_url=self.base_url)
            case ("GET", *place) if (wider := self._answer_wider(request, place)) is not None:
                return wider
            case ("GET", resource_type):
                return self.search(request, resource_type, request.query_pairs())
            case ("POST", resource_type, "_search"):
                return self.search(request, resource_type, request.query_pairs() + request.form_pairs())
            case ("POST", resource_type, *instance, "$validate") if len(instance) < 2:
                one = instance[0] if instance else None
                return Response(200, encode(validate(self.store, resource_type, one, request.json_body())))
            case ("POST", resource_type) if resource_type:
                return self.create(request, resource_type)
            case ("GET", resource_type, resource_id):
                return self.read(request, resource_type, resource_id)
            case ("PUT", resource_type, resource_id):
                return self.update(request, resource_type, resource_id)
            case ("DELETE", resource_type, resource_id):
                return self.delete(request, resource_type, resource_id)
            case _:
                raise FhirError(405, "not-supported", "this server does not know this interaction")

    def _answer_wider(self, request: Request, place: list[str]) -> Response | None:
        """Answer what is not about one resource or one type; None for everything else."""
        match place:
            case [""] if TOKEN_PARAMETER in dict(request.query_pairs()):
                return self.page(request)
            case ["" | "_search"]:
                return self.search_system(request, request.query_pairs())
            case ["_history"]:
                return self.history(request, None, None)
            case [resource_type, "_history"]:
                return self.history(request, resource_type, None)
            case [resource_type, resource_id, "_history"]:
                return self.history(request, resource_type, resource_id)
            case [resource_type, resource_id, "_history", number]:
                return self.read_version(resource_type, resource_id, number)
            case ["Patient", patient_id, "$everything"]:
                return self.gathered(
                    request, everything_about(self.store, patient_id, request.query_pairs()), "Patient"
                )
            case ["Patient", patient_id, "$overview"]:
                return Response(200, encode(overview_of(self.store, patient_id)))
            case ["Observation", "$noted"]:
                in_one = replace(request, query="_count=1000")
                return self.gathered(in_one, list(self.store.all_of("Observation")), "Observation")
            case ["DocumentReference", "$docref"]:
                found = documents_of(self.store, request.query_pairs())
                return self.gathered(request, found, "DocumentReference")
            case [resource_type, *instance, name] if name in TERMINOLOGY and len(instance) < 2:
                one = instance[0] if instance else None
                found_codes = answer_about_codes(self.store, resource_type, one, name, request.query_pairs())
                return Response(200, encode(found_codes))
        return None

    def gathered(self, request: Request, versions: list[Version], resource_type: str) -> Response:
        """Answer with what an operation gathered; the first page of it."""
        query = parse_query(
            resource_type, [pair for pair in request.query_pairs() if pair[0] == "_count"], own_base=f"{self.base_url}/"
        )
        own_link = ("self", f"{self.base_url}{request.path.removeprefix(self._path)}")
        return self._page(self._kept(Snapshot("", query, tuple(versions))), 0, own_link)

    def export(self, request: Request, method: str, segments: list[str]) -> Response:
        """Start, look at, fetch or cancel a bulk export. Whoever is not faithful elsewhere is not faithful here."""
        is_leaky = self.mode.name != "faithful"
        match (method, *segments):
            case ("GET" | "POST", "$export"):
                return self.exports.kick_off(request, is_leaky=is_leaky)
            case ("GET" | "POST", "Patient", "$export"):
                return self.exports.kick_off(request, patients=True, is_leaky=is_leaky)
            case ("GET" | "POST", "Group", group, "$export"):
                return self.exports.kick_off(request, group=group, is_leaky=is_leaky)
            case ("GET", "_export", key):
                return self.exports.status(key)
            case ("GET", "_export", key, number):
                return self.exports.file(request, key, number)
            case ("DELETE", "_export", key):
                return self.exports.cancel(key)
        raise FhirError(405, "not-supported", "this server does not know this interaction")

    def read(self, request: Request, resource_type: str, resource_id: str) -> Response:
        """Read the current version; 304 when the client has it already."""
        _require_type(resource_type)
        version = self.store.find(resource_type, resource_id)
        if version is None:
            raise FhirError(404, "not-found", "there is no such resource")
        if version.resource is not None and request.header("If-None-Match") == version.etag:
            return Response(304, headers=_version_headers(version))
        return self._as_response(version)

    def read_version(self, resource_type: str, resource_id: str, number: str) -> Response:
        """Read one version, past or current."""
        _require_type(resource_type)
        wanted = int(number) if number.isascii() and number.isdigit() and len(number) < 10 else 0
        version = self.store.find_version(resource_type, resource_id, wanted)
        if version is None:
            raise FhirError(404, "not-found", "there is no such version")
        return self._as_response(version)

    def create(self, request: Request, resource_type: str) -> Response:
        """Create a resource under an id of our own."""
        resource = _resource_in(request, resource_type)
        version = self.store.create(resource, now=datetime.now(UTC))
        return self._written(version, 201)

    def update(self, request: Request, resource_type: str, resource_id: str) -> Response:
        """Create or replace the resource with this id."""
        resource = _resource_in(request, resource_type)
        if not LOGICAL_ID.fullmatch(resource_id):
            raise FhirError(400, "invalid", "the id in the URL is not a FHIR id")
        if resource.get("id") != resource_id:
            raise FhirError(400, "invalid", "the id in the body is not the id in the URL")
        version = self.store.put(resource, if_match=request.header("If-Match"), now=datetime.now(UTC))
        return self._written(version, 201 if version.number == 1 else 200)

    def delete(self, request: Request, resource_type: str, resource_id: str) -> Response:
        """Delete a resource; deleting what is not there succeeds too (FHIR R4 http.html#delete)."""
        _require_type(resource_type)
        now = datetime.now(UTC)
        version = self.store.delete(resource_type, resource_id, if_match=request.header("If-Match"), now=now)
        return Response(204, headers=[("ETag", version.etag)] if version else [])

    def search(self, request: Request, resource_type: str, pairs: list[tuple[str, str]]) -> Response:
        """Search one type; the first page of the result."""
        _require_type(resource_type)
        strict = "handling=strict" in (request.header("Prefer") or "").replace(" ", "")
        query = parse_query(resource_type, pairs, own_base=f"{self.base_url}/", strict=strict, store=self.store)
        matches = self.mode.select(query, self.store)
        own_link = ("self", self_link(query, base_url=self.base_url))
        if query.count_only:
            return Response(200, searchset([], [own_link], len(matches), base_url=self.base_url))
        found = Snapshot("", query, tuple(sort_versions(matches, query.sort)))
        return self._page(self._kept(found), 0, own_link)

    def search_system(self, request: Request, pairs: list[tuple[str, str]]) -> Response:
        """Search several types at once; the first page of the result."""
        strict = "handling=strict" in (request.header("Prefer") or "").replace(" ", "")
        found, text = search_across(pairs, self.store, self.mode, own_base=f"{self.base_url}/", strict=strict)
        own_link = ("self", f"{self.base_url}?{text}")
        if found.query.count_only:
            return Response(200, searchset([], [own_link], len(found.matches), base_url=self.base_url))
        return self._page(self._kept(found), 0, own_link)

    def history(self, request: Request, resource_type: str | None, resource_id: str | None) -> Response:
        """Tell the versions of a resource, a type or everything; the first page of them."""
        if resource_type is not None:
            _require_type(resource_type)
        leaky = self.mode.name != "faithful"
        versions = history_of(self.store, resource_type, resource_id, leaky=leaky)
        found = self._kept(snapshot_of(versions, resource_type, request.query_pairs()))
        query = f"?{request.query}" if request.query else ""
        return self._page(found, 0, ("self", f"{self.base_url}{request.path.removeprefix(self._path)}{query}"))

    @property
    def _path(self) -> str:
        return urlsplit(self.base_url).path

    def _kept(self, found: Snapshot) -> Snapshot:
        """Return a result that can be paged: one that fits on a page needs no token."""
        if len(found.matches) <= found.query.page_size:
            return found
        return self.snapshots.keep(found.query, found.matches, is_history=found.is_history)

    def page(self, request: Request) -> Response:
        """Answer a page link of an earlier search."""
        parameters = dict(request.query_pairs())
        snapshot = self.snapshots.get(parameters[TOKEN_PARAMETER])
        text = parameters.get(OFFSET_PARAMETER, "0")
        if not text.isascii() or not text.isdigit() or len(text) > 9:
            raise FhirError(400, "invalid", "the offset is not a number")
        offset = int(text)
        return self._page(snapshot, offset, ("self", page_url(snapshot, offset, base_url=self.base_url)))

    def _page(self, snapshot: Snapshot, offset: int, own_link: tuple[str, str]) -> Response:
        query = snapshot.query
        matches = snapshot.page(offset)
        if snapshot.is_history:
            links = [own_link, *page_links(snapshot, offset, base_url=self.base_url)]
            return Response(200, history_bundle(matches, links, len(snapshot.matches), base_url=self.base_url))
        included = included_with(matches, query.includes, self.store, own_base=f"{self.base_url}/")
        entries = [Entry(version) for version in matches] + [Entry(version, "include") for version in included]
        entries = self.mode.complete(entries, query, self.store)
        links = [own_link, *page_links(snapshot, offset, base_url=self.base_url)]
        total = len(snapshot.matches) if query.with_total else None
        return Response(200, searchset(entries, links, total, base_url=self.base_url))

    def _as_response(self, version: Version) -> Response:
        if version.resource is None:
            raise FhirError(410, "deleted", "the resource was deleted")
        return Response(200, version.raw, headers=_version_headers(version))

    def _written(self, version: Version, status: int) -> Response:
        version = self.mode.written(version, self.store)
        location = f"{self.base_url}/{version.key}/_history/{version.number}"
        return Response(status, version.raw, headers=[("Location", location), *_version_headers(version)])


def _version_headers(version: Version) -> list[tuple[str, str]]:
    return [("ETag", version.etag), ("Last-Modified", http_date(version.updated_at))]


def _require_type(resource_type: str) -> None:
    if resource_type not in resource_types():
        raise FhirError(404, "not-supported", "not a resource type of FHIR R4")


def _resource_in(request: Request, resource_type: str) -> JsonObject:
    _require_type(resource_type)
    resource = request.json_body()
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        raise FhirError(400, "invalid", "the body is not a resource of the type in the URL")
    return resource
