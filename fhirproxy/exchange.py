"""One request's conversation with its upstream: every call counted, every answer read strictly."""

import time
from dataclasses import dataclass, field

from fhirproxy import upstream
from fhirproxy.policy.bodies import Json, MalformedJson, Resource, parse_resource
from fhirproxy.policy.compartments import Checked, Known, Unchecked, find_unchecked
from fhirproxy.policy.decisions import follow_link, read_for_ourselves
from fhirproxy.policy.outcomes import bad_request, not_found
from fhirproxy.policy.plans import CanonicalRequest
from fhirproxy.policy.references import Local
from fhirproxy.policy.subjects import patients_of
from fhirproxy.tenancy import UpstreamInfo
from fhirproxy.upstream import UpstreamError, UpstreamGone, UpstreamMalformed, UpstreamTimeout

TOTAL = 60.0  # seconds after which no further call is made for one request
FETCH_BUDGET = 50  # resources one request may fetch only to decide about others


@dataclass(frozen=True, slots=True)
class Found:
    """What is behind an id: a resource, or its absence, or its deletion."""

    unchecked: Unchecked | None
    is_deleted: bool = False
    etag: str = ""


@dataclass(frozen=True, slots=True)
class UpstreamPage:
    """One page of a search as the upstream gave it. `next` None: the last one."""

    entries: tuple[Resource, ...]
    next: CanonicalRequest | None
    total: int | None


@dataclass(slots=True)
class Exchange:
    """The calls made for one request. `calls`, `checked`, `removed` and `patients` end up in the audit record.

    patience: seconds for all of them together, None where each has the time the upstream is given.
    """

    info: UpstreamInfo
    request_id: str
    calls: int = 0
    checked: int = 0
    removed: int = 0
    fetched: int = 0
    budget: int = FETCH_BUDGET
    patience: float | None = None
    known: dict[tuple[str, str], Resource | None] = field(default_factory=dict)
    patients: set[str] = field(default_factory=set)
    began: float = field(default_factory=time.monotonic)

    @property
    def counts(self) -> dict[str, int]:
        """What it took, as the audit record tells it."""
        return {"upstream_calls": self.calls, "checked": self.checked, "removed": self.removed}

    def give(self, checked: Checked) -> None:
        """Note whose data leaves with a resource."""
        self.patients |= patients_of(checked, self.info.bases)

    def read(self, request: CanonicalRequest, wanted: Local) -> Found:
        """Read one resource. Raises UpstreamError unless the answer is that resource, its absence or its deletion."""
        answer = self._send(request)
        if answer.status in (404, 410):
            return Found(None, is_deleted=answer.status == 410)
        if answer.status != 200:
            raise UpstreamMalformed(f"status {answer.status} for a read")
        unchecked = find_unchecked(self._parse(answer.body))
        if unchecked is None or (unchecked.type, unchecked.id) != (wanted.type, wanted.id):
            raise UpstreamMalformed("the answer is not the resource that was asked for")
        return Found(unchecked, etag=answer.etag)

    def write(self, request: CanonicalRequest) -> tuple[upstream.Answer, Resource | None]:
        """Send a write and return the answer, with what it holds when that is a FHIR resource. Raises UpstreamError."""
        answer = self._send(request)
        try:
            return answer, self._parse(answer.body) if answer.body else None
        except UpstreamMalformed:
            if answer.status < 300:
                raise
            return answer, None

    def page(self, request: CanonicalRequest, *, kind: str = "searchset") -> UpstreamPage:
        """Fetch one page of a search or, with another `kind` of Bundle, of what else comes in pages.

        Raises UpstreamError, or FhirRefusal when the upstream refuses the search.
        """
        answer = self._send(request)
        if answer.status in (400, 422):
            raise bad_request("upstream.refused_search", "the FHIR server does not support this search")
        if answer.status in (404, 410):
            raise UpstreamGone(f"status {answer.status} for a page of a search")
        if answer.status != 200:
            raise UpstreamMalformed(f"status {answer.status} for a search")
        bundle = self._parse(answer.body)
        if bundle.get("resourceType") != "Bundle" or bundle.get("type") != kind:
            raise UpstreamMalformed(f"the answer is not a {kind} Bundle")
        total = bundle.get("total")
        return UpstreamPage(
            _objects(bundle.get("entry", [])),
            self._next(_objects(bundle.get("link", []))),
            total if type(total) is int else None,
        )

    def result(self, request: CanonicalRequest, kind: str) -> Resource:
        """Fetch the result of an operation that answers with a resource of type `kind`.

        Raises UpstreamError, or FhirRefusal: 404 when what is asked about is unknown, 400 when it is refused.
        """
        answer = self._send(request)
        if answer.status in (404, 410):
            raise not_found(f"status {answer.status} for an operation")
        if answer.status in (400, 422):
            raise bad_request("upstream.refused_operation", "the FHIR server does not take this question")
        if answer.status != 200:
            raise UpstreamMalformed(f"status {answer.status} for an operation")
        tree = self._parse(answer.body)
        if tree.get("resourceType") != kind:
            raise UpstreamMalformed(f"the answer is not a {kind}")
        return tree

    def capabilities(self, request: CanonicalRequest) -> Resource:
        """Fetch the CapabilityStatement. Raises UpstreamError."""
        answer = self._send(request)
        if answer.status != 200:
            raise UpstreamMalformed(f"status {answer.status} for the capabilities")
        statement = self._parse(answer.body)
        if statement.get("resourceType") != "CapabilityStatement":
            raise UpstreamMalformed("the answer is not a CapabilityStatement")
        return statement

    def learn(self, wanted: tuple[Local, ...]) -> Known:
        """Fetch what a decision hangs on. What fails or is over the budget stays unknown and admits nothing."""
        for local in wanted:
            key = (local.type, local.id)
            if key in self.known or self.fetched >= self.budget:
                continue
            self.fetched += 1
            try:
                found = self.read(read_for_ourselves(*key), local).unchecked
            except UpstreamError:
                found = None
            self.known[key] = found.resource if found else None
        return self.known

    def _send(self, request: CanonicalRequest) -> upstream.Answer:
        passed = time.monotonic() - self.began
        if passed > (self.patience or TOTAL):
            raise UpstreamTimeout("all calls for this request together took too long")
        self.calls += 1
        left = self.patience - passed if self.patience else None
        return upstream.send(self.info, request, request_id=self.request_id, within=left)

    def _parse(self, body: bytes) -> Resource:
        try:
            return parse_resource(body)
        except MalformedJson as why:
            raise UpstreamMalformed(str(why)) from None

    def _next(self, links: tuple[Resource, ...]) -> CanonicalRequest | None:
        urls = [link.get("url") for link in links if link.get("relation") == "next"]
        if not urls:
            return None
        url = urls[0]
        request = follow_link(url, self.info.bases) if isinstance(url, str) and len(urls) == 1 else None
        if request is None:
            raise UpstreamMalformed("the next link does not lead to the upstream's own base")
        return request


def _objects(values: Json) -> tuple[Resource, ...]:
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise UpstreamMalformed("a list of the Bundle is not a list of objects")
    return tuple(one for one in values if isinstance(one, dict))
