"""Resources that accompany a page of matches: `_include`, `_revinclude`.  Source: FHIR R4 search.html#include."""

from collections.abc import Iterable

from fhirproxy.r4server.search.query import Include
from fhirproxy.r4server.search.values import values_of
from fhirproxy.r4server.store import Store, Version


def included_with(
    matches: Iterable[Version], includes: tuple[Include, ...], store: Store, *, own_base: str
) -> list[Version]:
    """Return the resources the includes add to `matches`, each once, none of the matches again."""
    if not includes:
        return []
    seen = {version.key for version in matches}
    added: list[Version] = []
    frontier, round_includes = list(matches), includes
    while frontier and round_includes:
        fresh: dict[str, Version] = {}
        for include in round_includes:
            reach = _reverse if include.reverse else _forward
            reached = reach(include, frontier, store, own_base)
            fresh |= {version.key: version for version in reached if version.key not in seen}
        seen |= fresh.keys()
        added += fresh.values()
        frontier = list(fresh.values())
        round_includes = tuple(include for include in includes if include.iterate)
    return added


def _local_keys(version: Version, include: Include, own_base: str) -> Iterable[str]:
    for parameter in include.parameters:
        for link in values_of(version, parameter):
            if link.key and link.base in ("", own_base):
                yield link.key


def _forward(include: Include, frontier: list[Version], store: Store, own_base: str) -> list[Version]:
    named = [
        key
        for version in frontier
        if version.resource_type == include.source_type
        for key in _local_keys(version, include, own_base)
        if not include.target_type or key.startswith(f"{include.target_type}/")
    ]
    return [found for found in map(store.find_current, dict.fromkeys(named)) if found is not None]


def _reverse(include: Include, frontier: list[Version], store: Store, own_base: str) -> list[Version]:
    targets = {
        version.key for version in frontier if not include.target_type or version.resource_type == include.target_type
    }
    return [
        version
        for version in store.all_of(include.source_type)
        if any(key in targets for key in _local_keys(version, include, own_base))
    ]
