"""The text of a search, read into criteria and into wishes about the result."""

from collections.abc import Iterable
from dataclasses import dataclass

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.search.chaining import Admits, is_chained, parse_chained
from fhirproxy.r4server.search.criteria import parse_criterion
from fhirproxy.r4server.search.matching import split_escaped
from fhirproxy.r4server.search.parameters import SearchParameter, find_parameter, parameter_names
from fhirproxy.r4server.store import Store, Version

PAGE_SIZE = 50
LARGEST_PAGE = 1000

# Read by the transport, not by search.
_NOT_SEARCH = frozenset({"_format", "_pretty"})


@dataclass(frozen=True, slots=True)
class SortKey:
    """One key of `_sort`."""

    parameter: SearchParameter
    descending: bool


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` or `_revinclude`: references in these parameters, to `target_type` only when it is set."""

    source_type: str
    parameters: tuple[SearchParameter, ...]
    target_type: str
    iterate: bool
    reverse: bool


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search of one resource type. `applied` holds the parameters that were honoured, for the self link."""

    resource_type: str
    criteria: tuple[Admits, ...] = ()
    includes: tuple[Include, ...] = ()
    sort: tuple[SortKey, ...] = ()
    page_size: int = PAGE_SIZE
    with_total: bool = True
    count_only: bool = False
    applied: tuple[tuple[str, str], ...] = ()

    def admits(self, version: Version) -> bool:
        """Return True when the resource fulfils every criterion."""
        return all(criterion.admits(version) for criterion in self.criteria)


def parse_query(
    resource_type: str,
    pairs: Iterable[tuple[str, str]],
    *,
    own_base: str,
    strict: bool = False,
    store: Store | None = None,
) -> SearchQuery:
    """Read the decoded name and value pairs of a search.

    own_base: this server's base URL with a trailing slash.  strict: refuse what is unknown instead of ignoring it,
    as `Prefer: handling=strict` asks.  store: where chains look; without one there are none.
    Raises FhirError 400.  Source: FHIR R4 search.html#errors.
    """
    criteria: list[Admits] = []
    includes: list[Include] = []
    sort: tuple[SortKey, ...] = ()
    page_size, with_total, count_only = PAGE_SIZE, True, False
    applied: list[tuple[str, str]] = []
    for name, value in pairs:
        stem, _, modifier = name.partition(":")
        known = True
        match stem:
            case "_include" | "_revinclude":
                includes.append(_parse_include(value, modifier, reverse=stem == "_revinclude"))
            case "_sort":
                sort = _parse_sort(resource_type, value)
            case "_count":
                page_size = _parse_count(value)
                count_only = count_only or page_size == 0
            case "_total":
                with_total = _parse_total(value)
            case "_summary":
                known = value in ("count", "false")
                count_only = count_only or value == "count"
            case _ if stem in _NOT_SEARCH:
                continue
            case _ if store is not None and is_chained(name):
                criteria.append(parse_chained(resource_type, name, value, store, own_base=own_base))
            case _:
                parameter = find_parameter(resource_type, stem)
                known = parameter is not None
                if parameter is not None:
                    criteria.append(parse_criterion(parameter, modifier, value, own_base=own_base))
        if known:
            applied.append((name, value))
        elif strict:
            raise FhirError(400, "not-supported", "a search parameter is unknown or not supported")
    return SearchQuery(
        resource_type,
        criteria=tuple(criteria),
        includes=tuple(includes),
        sort=sort,
        page_size=min(page_size, LARGEST_PAGE),
        with_total=with_total,
        count_only=count_only,
        applied=tuple(applied),
    )


def _parse_count(value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 9:
        raise FhirError(400, "invalid", "_count is not a number")
    return int(value)


def _parse_total(value: str) -> bool:
    if value not in ("none", "estimate", "accurate"):
        raise FhirError(400, "invalid", "_total is none, estimate or accurate")
    return value != "none"


def _parse_sort(resource_type: str, value: str) -> tuple[SortKey, ...]:
    keys = []
    for text in split_escaped(value, ","):
        parameter = find_parameter(resource_type, text.removeprefix("-"))
        if parameter is None or parameter.kind == "composite":
            raise FhirError(400, "invalid", "_sort names a parameter this type does not have")
        keys.append(SortKey(parameter, text.startswith("-")))
    return tuple(keys)


def _parse_include(value: str, modifier: str, *, reverse: bool) -> Include:
    if modifier not in ("", "iterate", "recurse"):
        raise FhirError(400, "not-supported", "the modifier of an include is not supported")
    source_type, _, rest = value.partition(":")
    name, _, target_type = rest.partition(":")
    if source_type not in resource_types() or (target_type and target_type not in resource_types()):
        raise FhirError(400, "invalid", "an include is Type:parameter or Type:parameter:Type")
    names = parameter_names(source_type) if name == "*" else (name,)
    found = [find_parameter(source_type, each) for each in names]
    references = tuple(each for each in found if each is not None and each.kind == "reference")
    if name != "*" and not references:
        raise FhirError(400, "invalid", "an include names a parameter that is not a reference of its type")
    return Include(source_type, references, target_type, modifier != "", reverse)
