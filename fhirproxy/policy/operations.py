"""The operations that read: which there are, and what they are given, as one value each.

An operation of another name, or at another place, is none of these and is refused. Source: FHIR R4 operations.
"""

import re
from dataclasses import dataclass, field

from fhirproxy.policy.bodies import Number
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.parameters import SearchQuery, parse_search
from fhirproxy.policy.references import Bases, is_id
from fhirproxy.policy.results import SHAPE_NAMES, Shape, parse_count, parse_shape, single
from fhirproxy.policy.targets import MAX_PAIRS, Pairs
from fhirproxy.policy.terminology import Terminology, is_question, parse_question
from fhirproxy.policy.values import MalformedValue, ReferenceValue, parse_reference, parse_value
from fhirproxy.policy.written import read_tree
from smartauth.errors import Refusal
from smartauth.policy import r4

# name and level to the types it is offered on.
ON_INSTANCES = {"$everything": frozenset({"Patient"})}
ON_TYPES = {"$lastn": frozenset({"Observation"}), "$docref": frozenset({"DocumentReference"})}
PRIMITIVES = frozenset(
    {
        "valueString", "valueUri", "valueUrl", "valueCanonical", "valueCode", "valueId", "valueDate", "valueDateTime",
        "valueInstant", "valueInteger", "valuePositiveInt", "valueUnsignedInt", "valueBoolean", "valueOid", "valueUuid",
    }
)  # fmt: skip
JSON_BODY = re.compile(r"application/(?:fhir\+)?json(?:\s*;\s*charset=\"?utf-8\"?)?", re.IGNORECASE)
MOST = re.compile(r"[1-9][0-9]{0,2}")


@dataclass(frozen=True, slots=True)
class Everything:
    """Patient/id/$everything. `types`: those named in `_type`; `dates`: `_since`, `start` and `end`, as given."""

    id: str
    types: tuple[str, ...] = ()
    dates: Pairs = ()
    count: int | None = None
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True)
class LastN:
    """Observation/$lastn: the latest `most` Observations of each kind among those a search finds."""

    query: SearchQuery
    most: int

    @property
    def shape(self) -> Shape:
        return self.query.shape


@dataclass(frozen=True, slots=True)
class DocRef:
    """DocumentReference/$docref of one patient. `filters`: `start`, `end` and `type`, as sent upstream."""

    patient: str
    filters: Pairs = ()
    count: int | None = None
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True)
class Meta:
    """Type/id/$meta."""

    type: str
    id: str
    shape: Shape = field(default_factory=Shape)


ReadingOperation = Everything | LastN | DocRef | Meta | Terminology


def is_offered(name: str, resource_type: str | None, resource_id: str | None) -> bool:
    """Return True when an operation is one of those that read, at a place where it exists."""
    if resource_type is None:
        return False
    if is_question(name, resource_type):
        return True
    if resource_id is not None:
        return name == "$meta" or resource_type in ON_INSTANCES.get(name, ())
    return resource_type in ON_TYPES.get(name, ())


def parse_operation(
    name: str, resource_type: str, resource_id: str | None, pairs: Pairs, bases: Bases, *, lenient: bool
) -> ReadingOperation:
    """Read an operation that is offered. Raises FhirRefusal."""
    if is_question(name, resource_type):
        return parse_question(name, resource_type, resource_id, pairs)
    match name, resource_id:
        case "$everything", str():
            return _parse_everything(resource_id, pairs)
        case "$meta", str():
            return Meta(resource_type, resource_id, _parse_results(pairs, frozenset())[1])
        case "$lastn", None:
            return _parse_lastn(pairs, bases, lenient=lenient)
        case "$docref", None:
            return _parse_docref(pairs, bases)
    raise AssertionError(name)


def parse_parameters(headers: Headers, body: bytes) -> Pairs:
    """Read the Parameters resource of a POST as pairs: primitive values only. Raises FhirRefusal (400 or 415)."""
    if not body:
        return ()
    if JSON_BODY.fullmatch(headers.content_type.strip()) is None:
        raise FhirRefusal(415, "not-supported", Refusal("header.content_type", "the body of an operation is JSON"))
    tree = read_tree(body)
    given = tree.get("parameter", [])
    if tree["resourceType"] != "Parameters" or not isinstance(given, list) or len(given) > MAX_PAIRS:
        raise bad_request("operation.parameters", "the body is not a Parameters resource of at most 100 parameters")
    return tuple(_primitive(one) for one in given)


def _primitive(given: object) -> tuple[str, str]:
    if isinstance(given, dict) and len(given) == 2 and isinstance(given.get("name"), str):
        (kind,) = given.keys() - {"name"}
        value = given[kind]
        if kind in PRIMITIVES and isinstance(value, str | int) and not isinstance(value, Number):
            text = str(value).lower() if isinstance(value, bool) else str(value)
            if text and text.isprintable():
                return given["name"], text
    # A resource given inline is one that nobody has checked.
    raise bad_request("operation.parameters", "a parameter is a name and one primitive value")


def _parse_results(pairs: Pairs, names: frozenset[str]) -> tuple[dict[str, list[str]], Shape]:
    results: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in names and name not in SHAPE_NAMES - {"_elements", "_summary"}:
            raise bad_request("operation.parameter", "the operation takes no such parameter", seen=name[:64])
        results.setdefault(name, []).append(value)
    return results, parse_shape("Basic", results, for_search=False)


def _dates(results: dict[str, list[str]], *names: str) -> Pairs:
    found = tuple((name, text) for name in names if (text := single(results, name)))
    if any(find_interval(text) is None for _, text in found):
        raise bad_request("operation.date", "a date of the operation is none")
    return found


def _parse_everything(patient: str, pairs: Pairs) -> Everything:
    results, shape = _parse_results(pairs, frozenset({"_type", "_since", "_count", "start", "end"}))
    named = [one for text in results.get("_type", []) for one in text.split(",")]
    if not all(r4.is_resource_type(one) for one in named):
        raise bad_request("operation.types", "_type is a list of resource types")
    dates = _dates(results, "_since", "start", "end")
    return Everything(patient, tuple(dict.fromkeys(named)), dates, parse_count(results), shape)


def _parse_lastn(pairs: Pairs, bases: Bases, *, lenient: bool) -> LastN:
    most = [value for name, value in pairs if name == "max"]
    if len(most) > 1 or (most and MOST.fullmatch(most[0]) is None):
        raise bad_request("lastn.max", "max is one number from 1 to 999")
    query = parse_search("Observation", tuple(one for one in pairs if one[0] != "max"), bases, lenient=lenient)
    if query.includes or query.sort or query.only_count or query.total or query.count is not None:
        raise bad_request("lastn.parameter", "the operation orders and counts by itself and brings nothing along")
    return LastN(query, int(most[0]) if most else 1)


def _parse_docref(pairs: Pairs, bases: Bases) -> DocRef:
    results, shape = _parse_results(pairs, frozenset({"patient", "start", "end", "type", "on-demand", "_count"}))
    if single(results, "on-demand") not in ("", "false"):
        raise FhirRefusal(403, "forbidden", Refusal("docref.on_demand", "documents are not made on demand"))
    parameters = r4.search_parameters("DocumentReference")
    try:
        patient = parse_reference(parameters["patient"], "Patient", single(results, "patient"), bases)
        kind = single(results, "type")
        wanted = (("type", parse_value("DocumentReference", parameters["type"], kind)),) if kind else ()
    except MalformedValue:
        raise bad_request("docref.value", "the operation needs one patient, and one code if it names a type") from None
    if not (isinstance(patient, ReferenceValue) and is_id(patient.id)):
        raise bad_request("docref.value", "the operation needs one patient")
    return DocRef(patient.id, (*_dates(results, "start", "end"), *wanted), parse_count(results), shape)
