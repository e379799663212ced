"""Bulk data requests as values: a kick-off by GET or POST, and our own URLs for a job and its files.

Source: Bulk Data Access IG, "Bulk Data Export Operation Request Flow".
"""

import re
from dataclasses import dataclass
from typing import Literal
from uuid import UUID

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.headers import Headers, require_json_accepted
from fhirproxy.policy.outcomes import FhirRefusal, bad_request, forbidden
from fhirproxy.policy.parameters import Criterion, parse_search
from fhirproxy.policy.references import Bases, find_local, is_id
from fhirproxy.policy.targets import MAX_VALUE, Pairs, Target, parse_query
from fhirproxy.policy.written import read_tree
from smartauth.errors import Refusal
from smartauth.policy import r4

ExportLevel = Literal["system", "patient", "group"]

# Our own place for jobs, below the FHIR base. No resource type begins with an underscore.
PLACE = "_bulk"
ERROR_FILE = 0  # the number of the file that says something went wrong; files of resources count from 1
NDJSON = "application/fhir+ndjson"
NDJSON_NAMES = frozenset({NDJSON, "application/ndjson", "ndjson"})
NDJSON_ACCEPTED = NDJSON_NAMES | {"application/x-ndjson", "*/*", "application/*"}
JSON_BODIES = frozenset({"application/fhir+json", "application/json"})
JOB = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")
FILE = re.compile(r"0|[1-9][0-9]{0,5}")
INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,9})?(?:Z|[+-][0-9]{2}:[0-9]{2})"
)
# A comma separates filters where another type follows; in all other places it belongs to a value.
NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
MAX_PARAMETERS = 1_000
MAX_FILTERS = 50
SINGLE = frozenset({"_since", "_until", "_outputFormat"})
NAMES = SINGLE | {"_type", "_typeFilter", "_elements", "patient"}
# How each parameter is written in a Parameters resource.
VALUE_NAMES = {"_since": "valueInstant", "_until": "valueInstant", "patient": "valueReference"}


@dataclass(frozen=True, slots=True)
class TypeFilter:
    """One search that resources of a type must match to be exported."""

    type: str
    criteria: tuple[Criterion, ...]


@dataclass(frozen=True, slots=True)
class BulkExport:
    """GET or POST $export at the base, on Patient or on one Group. Empty `types` and `patients`: not limited."""

    level: ExportLevel
    group: str = ""
    types: tuple[str, ...] = ()
    filters: tuple[TypeFilter, ...] = ()
    elements: tuple[str, ...] = ()  # "status" or "Observation.status"
    since: str = ""
    until: str = ""
    patients: frozenset[str] = frozenset()
    is_async: bool = False  # Prefer: respond-async was sent


@dataclass(frozen=True, slots=True)
class BulkStatus:
    """GET /_bulk/<job>."""

    job: UUID


@dataclass(frozen=True, slots=True)
class BulkCancel:
    """DELETE /_bulk/<job>."""

    job: UUID


@dataclass(frozen=True, slots=True)
class BulkFile:
    """GET /_bulk/<job>/<number>."""

    job: UUID
    number: int


BulkInteraction = BulkExport | BulkStatus | BulkCancel | BulkFile


def find_bulk_request(verb: str, target: Target, headers: Headers, body: bytes, bases: Bases) -> BulkInteraction | None:
    """Return what a request asks of bulk data, or None when it is about something else. HEAD comes as GET.

    Raises FhirRefusal: 400, 403, 404, 405, 406 or 415.
    """
    level: ExportLevel
    match target.segments:
        case ("$export",):
            level, group = "system", ""
        case ("Patient", "$export"):
            level, group = "patient", ""
        case ("Group", group, "$export") if is_id(group):
            level = "group"
        case (place, *rest) if place == PLACE:
            if target.pairs:
                raise bad_request("bulk.parameter", "our own URLs of an export take no parameters")
            return _parse_job(verb, tuple(rest), headers)
        case _:
            return None
    _allow(verb, "GET", "POST")
    require_json_accepted(headers.accept, ())
    return parse_export(verb, level, group, target.pairs, headers, body, bases)


def parse_export(
    verb: str, level: ExportLevel, group: str, pairs: Pairs, headers: Headers, body: bytes, bases: Bases
) -> BulkExport:
    """Read a kick-off. Query and body are one list of parameters. Raises FhirRefusal: 400, 403 or 415."""
    found: dict[str, list[str]] = {}
    for name, value in (*pairs, *(_parse_parameters(headers, body) if verb == "POST" and body else ())):
        if name not in NAMES:
            raise bad_request("bulk.parameter", "an export takes no such parameter", seen=name[:64])
        if name in SINGLE and name in found:
            raise bad_request("query.repeated", f"{name} may occur once")
        found.setdefault(name, []).append(value)
    types = _parse_types(found.get("_type", []))
    if found.get("_outputFormat", [NDJSON])[0] not in NDJSON_NAMES:
        raise bad_request("bulk.output_format", f"_outputFormat is {NDJSON}")
    if "patient" in found and level == "system":
        raise bad_request("bulk.patient", "patient is for exports of patients or of a group")
    return BulkExport(
        level,
        group,
        types,
        _parse_filters(found.get("_typeFilter", []), types, bases),
        _parse_elements(found.get("_elements", []), types),
        _parse_instant("_since", found),
        _parse_instant("_until", found),
        frozenset(_parse_patient(text, bases) for whole in found.get("patient", []) for text in whole.split(",")),
        "respond-async" in [part.strip().lower() for part in re.split(r"[,;]", headers.prefer)],
    )


def _parse_job(verb: str, rest: tuple[str, ...], headers: Headers) -> BulkStatus | BulkCancel | BulkFile:
    match rest:
        case (job,) if JOB.fullmatch(job):
            _allow(verb, "GET", "DELETE")
            require_json_accepted(headers.accept, ())
            return BulkCancel(UUID(job)) if verb == "DELETE" else BulkStatus(UUID(job))
        case (job, number) if JOB.fullmatch(job) and FILE.fullmatch(number):
            _allow(verb, "GET")
            _require_ndjson_accepted(headers.accept)
            return BulkFile(UUID(job), int(number))
    refusal = Refusal("target.path", "the path leads nowhere")
    raise FhirRefusal(404, "not-found", refusal, public="There is nothing at this path.")


def _allow(verb: str, *verbs: str) -> None:
    if verb not in verbs:
        allow = ", ".join(verbs)
        refusal = Refusal("http.method", "the HTTP method is not allowed here", expected=allow)
        raise FhirRefusal(405, "not-supported", refusal, allow=allow)


def _require_ndjson_accepted(accept: str) -> None:
    offers = [part.replace(" ", "").lower() for part in accept.split(",")]
    media = {offer.partition(";")[0] for offer in offers if not re.search(r";q=0(?:\.0*)?(?:;|$)", offer)}
    if accept.strip() and not media & NDJSON_ACCEPTED:
        refusal = Refusal("header.format", "Accept asks for something other than NDJSON", expected=NDJSON)
        raise FhirRefusal(406, "not-supported", refusal)


def _parse_parameters(headers: Headers, body: bytes) -> Pairs:
    """Read a Parameters resource as pairs. Each parameter has a name and one value, and nothing else."""
    media, _, rest = headers.content_type.partition(";")
    if media.strip().lower() not in JSON_BODIES or rest.strip().lower() not in ("", "charset=utf-8"):
        raise FhirRefusal(415, "not-supported", Refusal("header.content_type", "the body is application/fhir+json"))
    tree = read_tree(body, rule="bulk.body")
    parameters = tree.get("parameter", [])
    if tree["resourceType"] != "Parameters" or not set(tree) <= {"resourceType", "parameter"}:
        raise bad_request("bulk.body", "the body is a Parameters resource with parameters alone")
    if not isinstance(parameters, list) or len(parameters) > MAX_PARAMETERS:
        raise bad_request("bulk.body", f"the body has at most {MAX_PARAMETERS} parameters")
    return tuple(_parse_parameter(one) for one in parameters)


def _parse_parameter(parameter: Json) -> tuple[str, str]:
    if isinstance(parameter, dict) and isinstance(name := parameter.get("name"), str):
        value_name = VALUE_NAMES.get(name, "valueString")
        value = parameter.get(value_name)
        if value_name == "valueReference" and isinstance(value, dict) and set(value) <= {"reference", "display"}:
            value = value.get("reference")
        if isinstance(value, str) and 0 < len(value) <= MAX_VALUE and set(parameter) == {"name", value_name}:
            return name, value
    raise bad_request("bulk.body", "a parameter has a name and one value of the type this parameter has")


def _parse_types(texts: list[str]) -> tuple[str, ...]:
    names = [name for text in texts for name in text.split(",")]
    if not all(r4.is_resource_type(name) for name in names):
        raise bad_request("bulk.type", "_type names something that is no resource type of FHIR R4")
    return tuple(sorted(set(names)))


def _parse_filters(texts: list[str], types: tuple[str, ...], bases: Bases) -> tuple[TypeFilter, ...]:
    items = [item for text in texts for item in NEXT_FILTER.split(text)]
    if len(items) > MAX_FILTERS:
        raise bad_request("bulk.type_filter", f"there are more than {MAX_FILTERS} filters")
    return tuple(_parse_filter(item, types, bases) for item in items)


def _parse_filter(item: str, types: tuple[str, ...], bases: Bases) -> TypeFilter:
    kind, separator, query = item.partition("?")
    if not separator or not r4.is_resource_type(kind):
        raise bad_request("bulk.type_filter", "each filter in _typeFilter is Type?parameter=value")
    if types and kind not in types:
        raise bad_request("bulk.type_filter", "_typeFilter is about a type that _type does not name")
    pairs = parse_query(query)
    if any("." in name or name.startswith("_has") for name, _ in pairs):
        # The lines of one type would answer questions about another.
        raise forbidden("bulk.type_filter_chain", "_typeFilter takes neither chains nor _has", fix="Leave them out.")
    search = parse_search(kind, pairs, bases, lenient=False)
    if not search.criteria or len(search.criteria) != len(pairs):
        raise bad_request("bulk.type_filter", "_typeFilter takes parameters that filter, and at least one")
    return TypeFilter(kind, search.criteria)


def _parse_elements(texts: list[str], types: tuple[str, ...]) -> tuple[str, ...]:
    found = {name for text in texts for name in text.split(",")}
    for name in found:
        kind, separator, element = name.rpartition(".")
        kinds = (kind,) if separator else types or tuple(r4.memberships())
        if (separator and not r4.is_resource_type(kind)) or not any(_elements_named(one, element) for one in kinds):
            raise bad_request("bulk.elements", "_elements names something that no exported type has at its top level")
    return tuple(sorted(found))


def elements_of(resource_type: str, names: tuple[str, ...]) -> frozenset[str]:
    """Return the JSON names that `_elements` keeps of a type; empty when it says nothing about the type."""
    said = [name.rpartition(".") for name in names]
    about = [element for kind, separator, element in said if not separator or kind == resource_type]
    kept = frozenset(name for element in about for name in _elements_named(resource_type, element))
    return kept | {"id"} if about else kept


def _elements_named(resource_type: str, name: str) -> tuple[str, ...]:
    facts = r4.elements(resource_type)
    if name in facts.elements:
        return (name,)
    return tuple(facts.choices.get(f"{name}[x]", ()))


def is_instant(text: str) -> bool:
    """Return True for a FHIR instant. Source: FHIR R4 datatypes, instant."""
    return INSTANT.fullmatch(text) is not None and find_interval(text) is not None


def _parse_instant(name: str, found: dict[str, list[str]]) -> str:
    text = found.get(name, [""])[0]
    if text and not is_instant(text):
        raise bad_request("bulk.instant", f"{name} is an instant with seconds and time zone")
    return text


def _parse_patient(text: str, bases: Bases) -> str:
    local = find_local(text, bases)
    if local is None or local.type != "Patient" or local.version is not None:
        raise bad_request("bulk.patient", "patient is a reference to a Patient on this server")
    return local.id
