"""What a request asks for, as one value of one sum type; the parser returns exactly one or refuses.

What the sum type has no member for cannot be asked. Source: FHIR R4 http.
"""

from dataclasses import dataclass, field

from fhirproxy.policy.bulk_requests import BulkCancel, BulkExport, BulkFile, BulkStatus, find_bulk_request
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.headers import Headers, require_form, require_json_accepted
from fhirproxy.policy.history import HistoryQuery, parse_history
from fhirproxy.policy.operations import (
    DocRef,
    Everything,
    LastN,
    Meta,
    ReadingOperation,
    is_offered,
    parse_operation,
    parse_parameters,
)
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.own_operations import OwnOperation, parse_own_operation
from fhirproxy.policy.parameters import SearchQuery, parse_search
from fhirproxy.policy.references import Bases, is_id
from fhirproxy.policy.results import Shape, parse_read_parameters
from fhirproxy.policy.sent import Sent, read_created, read_sent
from fhirproxy.policy.targets import Pairs, Target, parse_form
from fhirproxy.policy.terminology import Terminology
from fhirproxy.policy.validation import Validate, read_validation
from fhirproxy.policy.wider_searches import SystemQuery, parse_system_search
from smartauth.errors import Refusal
from smartauth.policy import r4

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """GET /metadata: public."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Read:
    """GET /Type/id."""

    type: str
    id: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class SearchType:
    """GET /Type?… or POST /Type/_search: the same value for both."""

    type: str
    query: SearchQuery


@dataclass(frozen=True, slots=True)
class Page:
    """GET /_page?c=…: the next page of a search, by our own sealed cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class VRead:
    """GET /Type/id/_history/version."""

    type: str
    id: str
    version: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class History:
    """GET /Type/id/_history, /Type/_history or /_history."""

    type: str | None
    id: str | None
    query: HistoryQuery


@dataclass(frozen=True, slots=True)
class SearchSystem:
    """GET /?…, or GET or POST /_search."""

    wanted: SystemQuery


@dataclass(frozen=True, slots=True)
class SearchCompartment:
    """GET /Patient/id/Type, or POST /Patient/id/Type/_search; `type` "*", for all of them, is refused."""

    compartment: str
    id: str
    type: str
    query: SearchQuery


@dataclass(frozen=True, slots=True)
class Create:
    """POST /Type, conditional when If-None-Exist is present."""

    type: str
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Update:
    """PUT /Type/id, or PUT /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Patch:
    """PATCH /Type/id, or PATCH /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE /Type/id, or DELETE /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Bundled:
    """POST / : batch or transaction."""

    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Operation:
    """$name at the base, on a type or on an instance, where no operation that reads has this name."""

    name: str
    type: str | None = None
    id: str | None = None


Interaction = (
    Capabilities | Read | SearchType | Page | VRead | History | SearchSystem | SearchCompartment
    | Create | Update | Patch | Delete | Bundled | Operation | ReadingOperation | OwnOperation | Validate
    | BulkExport | BulkStatus | BulkCancel | BulkFile
)  # fmt: skip


def is_public(method: str, path: str) -> bool:
    """Return True when a path below the FHIR base is about capabilities, however it is spelled: no token is asked.

    `path`: the raw path below the base. Misspellings (a trailing or a double slash) are then refused for what they are.
    """
    return method in ("GET", "HEAD") and path.strip("/") == "metadata"


def parse_request(
    method: str, target: Target, headers: Headers, body: bytes, bases: Bases, extras: Extras = NO_EXTRAS
) -> Interaction:
    """Return what the request asks for. HEAD is read as GET. `extras`: search parameters of the tenant's own.

    Raises FhirRefusal: 400 unreadable, 404 no such place, 405 method, 406 format, 414 size, 415 content type.
    """
    if method not in METHODS:
        raise _method_not_allowed(", ".join(METHODS))
    if target.trailing_slash:
        raise _no_such_place("target.trailing_slash", "the path ends with a slash")
    verb = "GET" if method == "HEAD" else method
    bulk = find_bulk_request(verb, target, headers, body, bases)
    if bulk is not None:
        return bulk
    interaction = _parse_path(verb, target, headers, body, bases, extras)
    shape = _shape_of(interaction)
    # What a Binary is stored as is seen when it is read; until then it may be what the client accepts.
    accept = "" if isinstance(interaction, Read) and interaction.type == "Binary" else headers.accept
    require_json_accepted(accept, shape.formats if shape else ())
    return interaction


def _shape_of(interaction: Interaction) -> Shape | None:
    match interaction:
        case Capabilities(shape=shape) | Read(shape=shape) | VRead(shape=shape):
            return shape
        case Create(sent=sent) | Update(sent=sent) | Patch(sent=sent) | Delete(sent=sent) | Bundled(sent=sent):
            return sent.shape
        case SearchType(query=query) | SearchCompartment(query=query) | SearchSystem(SystemQuery(query=query)):
            return query.shape
        case History(query=HistoryQuery(shape=shape)):
            return shape
        case Everything() | LastN() | DocRef() | Meta() | Terminology() | OwnOperation() | Validate():
            return interaction.shape
    return None


def _parse_path(verb: str, target: Target, headers: Headers, body: bytes, bases: Bases, extras: Extras) -> Interaction:
    match target.segments:
        case ():
            return _parse_base(verb, target.pairs, headers, body, bases)
        case ("metadata",):
            _allow(verb, "GET")
            return Capabilities(parse_read_parameters("CapabilityStatement", target.pairs))
        case ("_page",):
            _allow(verb, "GET")
            return _parse_page(target.pairs)
        case ("_history",):
            _allow(verb, "GET")
            return History(None, None, parse_history(None, target.pairs))
        case ("_search",):
            _allow(verb, "GET", "POST")
            together = _with_form(target.pairs, headers, body) if verb == "POST" else target.pairs
            return SearchSystem(parse_system_search(together, bases, lenient=headers.is_lenient))
        case (operation,) if operation.startswith("$"):
            _allow(verb, "GET", "POST")
            return _parse_operation(operation, None, None, verb, target.pairs, headers, body, bases, extras)
        case (kind, *rest):
            if not r4.is_resource_type(kind):
                raise _no_such_place("target.type", "the path does not begin with a resource type of FHIR R4")
            return _parse_type(verb, kind, tuple(rest), target.pairs, headers, body, bases, extras)
    raise AssertionError(target.segments)


def _parse_base(verb: str, pairs: Pairs, headers: Headers, body: bytes, bases: Bases) -> Interaction:
    _allow(verb, "GET", "POST")
    if verb == "POST":
        return Bundled(read_sent("Bundle", pairs, headers, body, on_type=False))
    if not pairs:
        raise _no_such_place("target.base", "there is nothing at the base itself")
    return SearchSystem(parse_system_search(pairs, bases, lenient=headers.is_lenient))


def _with_form(pairs: Pairs, headers: Headers, body: bytes) -> Pairs:
    require_form(headers.content_type)
    return pairs + parse_form(body)


def _parse_page(pairs: Pairs) -> Page:
    match pairs:
        case (("c", cursor),):
            return Page(cursor)
    raise bad_request("page.parameter", "a page takes the parameter c once and nothing else")


def _parse_type(
    verb: str,
    kind: str,
    rest: tuple[str, ...],
    pairs: Pairs,
    headers: Headers,
    body: bytes,
    bases: Bases,
    extras: Extras,
) -> Interaction:
    match rest:
        case ():
            return _parse_collection(verb, kind, pairs, headers, body, bases, extras)
        case ("_search",):
            _allow(verb, "POST")
            together = _with_form(pairs, headers, body)
            return SearchType(kind, parse_search(kind, together, bases, lenient=headers.is_lenient, extras=extras))
        case ("_history",):
            _allow(verb, "GET")
            return History(kind, None, parse_history(kind, pairs))
        case (operation,) if operation.startswith("$"):
            _allow(verb, "GET", "POST")
            return _parse_operation(operation, kind, None, verb, pairs, headers, body, bases, extras)
        case (resource_id, *tail):
            if not is_id(resource_id):
                raise _no_such_place("target.id", "the path holds an id that is none")
            if not tail and verb != "GET":
                return _parse_write(verb, kind, resource_id, pairs, headers, body)
            return _parse_instance(verb, kind, resource_id, tuple(tail), pairs, headers, body, bases, extras)
    raise AssertionError(rest)


def _parse_collection(
    verb: str, kind: str, pairs: Pairs, headers: Headers, body: bytes, bases: Bases, extras: Extras
) -> Interaction:
    match verb:
        case "GET":
            return SearchType(kind, parse_search(kind, pairs, bases, lenient=headers.is_lenient, extras=extras))
        case "POST":
            return Create(kind, read_created(kind, pairs, headers, body))
    return _parse_write(verb, kind, None, pairs, headers, body)


def _parse_write(
    verb: str, kind: str, resource_id: str | None, pairs: Pairs, headers: Headers, body: bytes
) -> Interaction:
    sent = read_sent(kind, pairs, headers, body, on_type=resource_id is None)
    match verb:
        case "PUT":
            return Update(kind, resource_id, sent)
        case "PATCH":
            return Patch(kind, resource_id, sent)
        case "DELETE":
            return Delete(kind, resource_id, sent)
    raise _method_not_allowed("GET, HEAD, PUT, PATCH, DELETE")


def _parse_instance(
    verb: str,
    kind: str,
    resource_id: str,
    tail: tuple[str, ...],
    pairs: Pairs,
    headers: Headers,
    body: bytes,
    bases: Bases,
    extras: Extras,
) -> Interaction:
    match tail:
        case ():
            return Read(kind, resource_id, parse_read_parameters(kind, pairs))
        case ("_history",):
            _allow(verb, "GET")
            return History(kind, resource_id, parse_history(kind, pairs))
        case ("_history", version) if is_id(version):
            _allow(verb, "GET")
            return VRead(kind, resource_id, version, parse_read_parameters(kind, pairs))
        case (operation,) if operation.startswith("$"):
            _allow(verb, "GET", "POST")
            return _parse_operation(operation, kind, resource_id, verb, pairs, headers, body, bases, extras)
        case ("*",):
            _allow(verb, "GET")
            return SearchCompartment(kind, resource_id, "*", SearchQuery())
        case (other,) if r4.is_resource_type(other):
            _allow(verb, "GET")
            query = parse_search(other, pairs, bases, lenient=headers.is_lenient, extras=extras)
            return SearchCompartment(kind, resource_id, other, query)
        case (other, "_search") if r4.is_resource_type(other):
            _allow(verb, "POST")
            query = parse_search(
                other, _with_form(pairs, headers, body), bases, lenient=headers.is_lenient, extras=extras
            )
            return SearchCompartment(kind, resource_id, other, query)
    raise _no_such_place("target.path", "the path leads nowhere")


def _parse_operation(
    name: str,
    kind: str | None,
    resource_id: str | None,
    verb: str,
    pairs: Pairs,
    headers: Headers,
    body: bytes,
    bases: Bases,
    extras: Extras,
) -> Interaction:
    if name == "$validate" and kind is not None:
        _allow(verb, "POST")
        return read_validation(kind, resource_id, pairs, headers, body)
    result = extras.operations.get((kind or "", resource_id is not None, name))
    if kind is None or not (result or is_offered(name, kind, resource_id)):
        return Operation(name, kind, resource_id)
    together = pairs + parse_parameters(headers, body) if verb == "POST" else pairs
    if result:
        return parse_own_operation(name, kind, resource_id, result, together, bases)
    return parse_operation(name, kind, resource_id, together, bases, lenient=headers.is_lenient)


def _allow(verb: str, *verbs: str) -> None:
    if verb not in verbs:
        allow = ", ".join(verbs)
        raise _method_not_allowed(allow.replace("GET", "GET, HEAD"))


def _method_not_allowed(allow: str) -> FhirRefusal:
    refusal = Refusal("http.method", "the HTTP method is not allowed here", expected=allow)
    return FhirRefusal(405, "not-supported", refusal, allow=allow)


def _no_such_place(rule: str, reason: str) -> FhirRefusal:
    return FhirRefusal(404, "not-found", Refusal(rule, reason), public="There is nothing at this path.")
