"""What a kick-off asks for, by GET or by POST, read as a permissive server reads it.

Source: Bulk Data Access IG, "Bulk Data Kick-off Request".
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.messages import Request
from fhirproxy.r4server.search.query import SearchQuery, parse_query

NDJSON_NAMES = frozenset({"", "application/fhir+ndjson", "application/ndjson", "ndjson"})
_NEXT_FILTER = re.compile(r",(?=[A-Z][A-Za-z]+\?)")
_IGNORED = frozenset({"_elements", "_format", "_pretty", "includeAssociatedData"})


@dataclass(frozen=True, slots=True)
class Wanted:
    """One export as it was asked for. `types` and `patients` empty: all of them."""

    types: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    patients: frozenset[str] = frozenset()
    filters: dict[str, list[SearchQuery]] = field(default_factory=dict)


def parse_kickoff(request: Request, *, own_base: str) -> Wanted:
    """Read the parameters. Raises FhirError 400 without `Prefer: respond-async` or for a parameter that means nothing.

    own_base: this server's base URL with a trailing slash.
    """
    if "respond-async" not in (request.header("Prefer") or ""):
        raise FhirError(400, "invalid", "an export needs Prefer: respond-async")
    found: dict[str, list[str]] = {}
    for name, value in [*request.query_pairs(), *_posted(request)]:
        found.setdefault(name, []).append(value)
    if set(found) - _IGNORED - {"_type", "_since", "_until", "_typeFilter", "_outputFormat", "patient"}:
        raise FhirError(400, "not-supported", "the export has a parameter that is not supported")
    if not set(found.get("_outputFormat", [])) <= NDJSON_NAMES:
        raise FhirError(400, "not-supported", "files are NDJSON")
    types = frozenset(_split(found.get("_type", [])))
    if not types <= resource_types():
        raise FhirError(400, "invalid", "_type names something that is no resource type")
    return Wanted(
        types,
        _instant(found, "_since"),
        _instant(found, "_until"),
        frozenset(text.removeprefix(own_base).removeprefix("Patient/") for text in _split(found.get("patient", []))),
        _filters(found.get("_typeFilter", []), own_base),
    )


def _posted(request: Request) -> list[tuple[str, str]]:
    if request.method != "POST" or not request.body:
        return []
    document = request.json_body()
    parameters = document.get("parameter", []) if isinstance(document, dict) else None
    if not isinstance(parameters, list):
        raise FhirError(400, "structure", "the body is not a Parameters resource")
    pairs = []
    for parameter in parameters:
        value = next((value for name, value in parameter.items() if name.startswith("value")), "")
        pairs.append((str(parameter.get("name")), str(value["reference"] if isinstance(value, dict) else value)))
    return pairs


def _split(texts: Iterable[str]) -> list[str]:
    return [part for text in texts for part in text.split(",") if part]


def _instant(found: dict[str, list[str]], name: str) -> datetime | None:
    if name not in found:
        return None
    try:
        return datetime.fromisoformat(found[name][0])
    except ValueError as error:
        raise FhirError(400, "invalid", f"{name} is not an instant") from error


def _filters(texts: list[str], own_base: str) -> dict[str, list[SearchQuery]]:
    filters: dict[str, list[SearchQuery]] = {}
    for text in (part for whole in texts for part in _NEXT_FILTER.split(whole)):
        resource_type, _, query = text.partition("?")
        pairs = Request("GET", "", query, (), b"").query_pairs()
        filters.setdefault(resource_type, []).append(parse_query(resource_type, pairs, own_base=own_base, strict=True))
    return filters
