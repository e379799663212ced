"""`_sort`: by the smallest value of a parameter upwards, by the largest downwards, what has none last."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from fhirproxy.r4server.search.query import SortKey
from fhirproxy.r4server.search.values import fold, values_of
from fhirproxy.r4server.store import Version


def sort_versions(versions: Sequence[Version], keys: tuple[SortKey, ...]) -> list[Version]:
    """Return the versions in the order the keys ask for; equal ones keep their order."""
    ordered = list(versions)
    for key in reversed(keys):  # Sorting is stable, so the first key is applied last.
        valued = [(version, _rank(version, key)) for version in ordered]
        having = [pair for pair in valued if pair[1] is not None]
        having.sort(key=lambda pair: pair[1], reverse=key.descending)
        ordered = [version for version, _ in having] + [version for version, rank in valued if rank is None]
    return ordered


def _rank(version: Version, key: SortKey) -> Any:
    ranks = [_comparable(value, key) for value in values_of(version, key.parameter)]
    if not ranks:
        return None
    return max(ranks) if key.descending else min(ranks)


def _comparable(value: Any, key: SortKey) -> Any:
    match key.parameter.kind:
        case "date":
            return value.high if key.descending else value.low
        case "token":
            return (str(value.code or ""), str(value.system or ""))
        case "reference":
            return value.key or value.text
        case "number" | "quantity":
            edge = value.high if key.descending else value.low
            return edge if edge is not None else Decimal("Infinity") if key.descending else Decimal("-Infinity")
        case _:
            return fold(value)
