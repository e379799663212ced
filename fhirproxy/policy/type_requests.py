"""Requests on a type and on one resource of it: the places below `/Type`, and operations wherever they are asked for.

Source: FHIR R4 http and operations.
"""

from fhirproxy.policy.arrived import Arrived, method_not_allowed, no_such_place
from fhirproxy.policy.history import parse_history
from fhirproxy.policy.interactions import (
    Create,
    Delete,
    History,
    Interaction,
    Operation,
    Patch,
    Read,
    SearchCompartment,
    SearchType,
    Update,
    VRead,
)
from fhirproxy.policy.operations import is_offered, parse_operation, parse_parameters
from fhirproxy.policy.own_operations import parse_own_operation
from fhirproxy.policy.parameters import SearchQuery
from fhirproxy.policy.references import is_id
from fhirproxy.policy.results import parse_read_parameters
from fhirproxy.policy.sent import read_created, read_sent
from fhirproxy.policy.validation import read_validation
from smartauth.policy import r4


def parse_type_request(kind: str, rest: tuple[str, ...], arrived: Arrived) -> Interaction:
    """Return what is asked at /Type/rest. Raises FhirRefusal."""
    match rest:
        case ():
            return _parse_collection(kind, arrived)
        case ("_search",):
            arrived.require("POST")
            return SearchType(kind, arrived.search(kind, arrived.pairs_and_form()))
        case ("_history",):
            arrived.require("GET")
            return History(kind, None, parse_history(kind, arrived.pairs))
        case (operation,) if operation.startswith("$"):
            return parse_operation_request(operation, kind, None, arrived)
        case (resource_id, *tail):
            if not is_id(resource_id):
                raise no_such_place("target.id", "the path holds an id that is none")
            if not tail and arrived.verb != "GET":
                return _parse_write(kind, resource_id, arrived)
            return _parse_instance(kind, resource_id, tuple(tail), arrived)
    raise AssertionError(rest)


def parse_operation_request(name: str, kind: str | None, resource_id: str | None, arrived: Arrived) -> Interaction:
    """Return the operation that is asked for by its name, whether or not there is one. Raises FhirRefusal."""
    arrived.require("GET", "POST")
    if name == "$validate" and kind is not None:
        arrived.require("POST")
        return read_validation(kind, resource_id, arrived.pairs, arrived.headers, arrived.body)
    result = arrived.extras.operations.get((kind or "", resource_id is not None, name))
    if kind is None or not (result or is_offered(name, kind, resource_id)):
        return Operation(name, kind, resource_id)
    pairs, bases = arrived.pairs, arrived.bases
    if arrived.verb == "POST":
        pairs += parse_parameters(arrived.headers, arrived.body)
    if result:
        return parse_own_operation(name, kind, resource_id, result, pairs, bases)
    return parse_operation(name, kind, resource_id, pairs, bases, lenient=arrived.headers.is_lenient)


def _parse_collection(kind: str, arrived: Arrived) -> Interaction:
    match arrived.verb:
        case "GET":
            return SearchType(kind, arrived.search(kind, arrived.pairs))
        case "POST":
            return Create(kind, read_created(kind, arrived.pairs, arrived.headers, arrived.body))
    return _parse_write(kind, None, arrived)


def _parse_write(kind: str, resource_id: str | None, arrived: Arrived) -> Interaction:
    sent = read_sent(kind, arrived.pairs, arrived.headers, arrived.body, on_type=resource_id is None)
    match arrived.verb:
        case "PUT":
            return Update(kind, resource_id, sent)
        case "PATCH":
            return Patch(kind, resource_id, sent)
        case "DELETE":
            return Delete(kind, resource_id, sent)
    raise method_not_allowed("GET, HEAD, PUT, PATCH, DELETE")


def _parse_instance(kind: str, resource_id: str, tail: tuple[str, ...], arrived: Arrived) -> Interaction:
    match tail:
        case ():
            return Read(kind, resource_id, parse_read_parameters(kind, arrived.pairs))
        case ("_history",):
            arrived.require("GET")
            return History(kind, resource_id, parse_history(kind, arrived.pairs))
        case ("_history", version) if is_id(version):
            arrived.require("GET")
            return VRead(kind, resource_id, version, parse_read_parameters(kind, arrived.pairs))
        case (operation,) if operation.startswith("$"):
            return parse_operation_request(operation, kind, resource_id, arrived)
        case ("*",):
            arrived.require("GET")
            return SearchCompartment(kind, resource_id, "*", SearchQuery())
        case (other,) if r4.is_resource_type(other):
            arrived.require("GET")
            return SearchCompartment(kind, resource_id, other, arrived.search(other, arrived.pairs))
        case (other, "_search") if r4.is_resource_type(other):
            arrived.require("POST")
            return SearchCompartment(kind, resource_id, other, arrived.search(other, arrived.pairs_and_form()))
    raise no_such_place("target.path", "the path leads nowhere")
