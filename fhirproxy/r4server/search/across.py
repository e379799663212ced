"""Searches across types: the matches of each type in `_type`, one after the other.  Source: FHIR R4 search.html."""

from urllib.parse import urlencode

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.modes import Mode
from fhirproxy.r4server.search.paging import Snapshot
from fhirproxy.r4server.search.query import parse_query
from fhirproxy.r4server.search.sorting import sort_versions
from fhirproxy.r4server.store import Store


def search_across(
    pairs: list[tuple[str, str]], store: Store, mode: Mode, *, own_base: str, strict: bool
) -> tuple[Snapshot, str]:
    """Return the matches and the query of the self link. Raises FhirError 400."""
    types = dict(pairs).get("_type", "").split(",")
    if not set(types) <= resource_types():
        raise FhirError(400, "invalid", "_type names what is no resource type")
    rest = [pair for pair in pairs if pair[0] != "_type"]
    queries = [parse_query(one, rest, own_base=own_base, strict=strict, store=store) for one in types]
    matches = [version for query in queries for version in mode.select(query, store)]
    found = Snapshot("", queries[0], tuple(sort_versions(matches, queries[0].sort)))
    return found, urlencode([("_type", ",".join(types)), *queries[0].applied], safe="/:|,$")
