"""What a request asks for, as one value of one sum type; the parser returns exactly one or refuses.

Source: FHIR R4 http.
"""

from fhirproxy.policy.arrived import Arrived, method_not_allowed, no_such_place
from fhirproxy.policy.bulk_requests import find_bulk_request
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.headers import Headers, require_json_accepted
from fhirproxy.policy.history import HistoryQuery, parse_history
from fhirproxy.policy.interactions import (
    Bundled,
    Capabilities,
    Create,
    Delete,
    History,
    Interaction,
    Operation,
    Page,
    Patch,
    Read,
    SearchCompartment,
    SearchSystem,
    SearchType,
    Update,
    VRead,
)
from fhirproxy.policy.operations import DocRef, Everything, LastN, Meta
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.own_operations import OwnOperation
from fhirproxy.policy.references import Bases
from fhirproxy.policy.results import Shape, parse_read_parameters
from fhirproxy.policy.sent import read_sent
from fhirproxy.policy.targets import Pairs, Target
from fhirproxy.policy.terminology import Terminology
from fhirproxy.policy.type_requests import parse_operation_request, parse_type_request
from fhirproxy.policy.validation import Validate
from fhirproxy.policy.wider_searches import SystemQuery, parse_system_search
from smartauth.policy import r4

__all__ = [
    "Bundled",
    "Capabilities",
    "Create",
    "Delete",
    "History",
    "Interaction",
    "Operation",
    "Page",
    "Patch",
    "Read",
    "SearchCompartment",
    "SearchSystem",
    "SearchType",
    "Update",
    "VRead",
    "is_public",
    "parse_request",
]

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")


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
        raise method_not_allowed(", ".join(METHODS))
    if target.trailing_slash:
        raise no_such_place("target.trailing_slash", "the path ends with a slash")
    verb = "GET" if method == "HEAD" else method
    bulk = find_bulk_request(verb, target, headers, body, bases)
    if bulk is not None:
        return bulk
    interaction = _parse_path(target.segments, Arrived(verb, target.pairs, headers, body, bases, extras))
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


def _parse_path(segments: tuple[str, ...], arrived: Arrived) -> Interaction:
    match segments:
        case ():
            return _parse_base(arrived)
        case ("metadata",):
            arrived.require("GET")
            return Capabilities(parse_read_parameters("CapabilityStatement", arrived.pairs))
        case ("_page",):
            arrived.require("GET")
            return _parse_page(arrived.pairs)
        case ("_history",):
            arrived.require("GET")
            return History(None, None, parse_history(None, arrived.pairs))
        case ("_search",):
            arrived.require("GET", "POST")
            return _parse_system(arrived.pairs_and_form() if arrived.verb == "POST" else arrived.pairs, arrived)
        case (operation,) if operation.startswith("$"):
            return parse_operation_request(operation, None, None, arrived)
        case (kind, *rest):
            if not r4.is_resource_type(kind):
                raise no_such_place("target.type", "the path does not begin with a resource type of FHIR R4")
            return parse_type_request(kind, tuple(rest), arrived)
    raise AssertionError(segments)


def _parse_base(arrived: Arrived) -> Interaction:
    arrived.require("GET", "POST")
    if arrived.verb == "POST":
        return Bundled(read_sent("Bundle", arrived.pairs, arrived.headers, arrived.body, on_type=False))
    if not arrived.pairs:
        raise no_such_place("target.base", "there is nothing at the base itself")
    return _parse_system(arrived.pairs, arrived)


def _parse_system(pairs: Pairs, arrived: Arrived) -> SearchSystem:
    return SearchSystem(parse_system_search(pairs, arrived.bases, lenient=arrived.headers.is_lenient))


def _parse_page(pairs: Pairs) -> Page:
    match pairs:
        case (("c", cursor),):
            return Page(cursor)
    raise bad_request("page.parameter", "a page takes the parameter c once and nothing else")
