"""Parameters that shape a result instead of filtering it: includes, order, elements, summary, format.

Source: FHIR R4 search, "Search Result Parameters"; FHIR R4 http, "Common parameters defined for all interactions".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.targets import Pairs
from smartauth.policy import r4

RESULT_NAMES = frozenset(
    {"_count", "_sort", "_summary", "_elements", "_total", "_include", "_revinclude", "_format", "_pretty"}
)
LARGEST_COUNT = re.compile(r"[0-9]{1,9}")
SHAPE_NAMES = frozenset({"_summary", "_elements", "_format", "_pretty"})
INCLUDES = ("_include", "_revinclude", "_include:iterate", "_revinclude:iterate")
Summary = Literal["", "true", "text", "data"]


@dataclass(frozen=True, slots=True)
class Include:
    """One `_include` or, when `reverse`, `_revinclude`: resources of `types` along `source`'s parameter."""

    source: str  # the type that holds the reference
    parameter: str
    target: str  # a type, or empty for every type the parameter may refer to
    reverse: bool
    types: frozenset[str]  # what it may bring into the result; empty means any type
    iterate: bool = False  # also from what came along

    @property
    def letters(self) -> str:
        """Return the letters of which one is needed on the type that comes along."""
        return "s" if self.reverse else "rs"

    def as_pair(self) -> tuple[str, str]:
        """Return the parameter as it is sent upstream."""
        text = f"{self.source}:{self.parameter}" + (f":{self.target}" if self.target else "")
        name = "_revinclude" if self.reverse else "_include"
        return f"{name}:iterate" if self.iterate else name, text


@dataclass(frozen=True, slots=True)
class Shape:
    """What is left of each resource after the check. Applied by us; never sent upstream."""

    elements: frozenset[str] = frozenset()  # empty: all
    summary: Summary = ""
    pretty: bool = False
    formats: tuple[str, ...] = ()


def single(results: dict[str, list[str]], name: str) -> str:
    """Return the only value of a parameter, or the empty text. Raises FhirRefusal when it is repeated."""
    values = results.get(name, [])
    if len(values) > 1:
        raise bad_request("query.repeated", f"{name} may occur once")
    return values[0] if values else ""


def parse_count(results: dict[str, list[str]]) -> int | None:
    """Read `_count`, or None when it is absent. Raises FhirRefusal."""
    text = single(results, "_count")
    if not text:
        return None
    if LARGEST_COUNT.fullmatch(text) is None:
        raise bad_request("search.count", "_count is not a number of at most nine digits")
    return int(text)


def parse_read_parameters(resource_type: str, pairs: Pairs) -> Shape:
    """Read the parameters of a read. Raises FhirRefusal for any that does not only shape the answer."""
    results: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in SHAPE_NAMES:
            raise bad_request("read.parameter", "a read takes no such parameter", seen=name[:64])
        results.setdefault(name, []).append(value)
    return parse_shape(resource_type, results, for_search=False)


def parse_shape(resource_type: str, results: dict[str, list[str]], *, for_search: bool) -> Shape:
    """Read `_elements`, `_summary`, `_pretty` and `_format`. Raises FhirRefusal."""
    summary = single(results, "_summary")
    names = single(results, "_elements")
    if summary not in ("", "true", "text", "data", "false") and not (for_search and summary == "count"):
        raise bad_request("search.summary", "_summary is true, text, data, count or false")
    if names and summary not in ("", "false"):
        raise bad_request("search.summary", "_summary and _elements exclude each other")
    pretty = single(results, "_pretty")
    if pretty not in ("", "true", "false"):
        raise bad_request("query.pretty", "_pretty is true or false")
    shown: Summary = summary if summary in ("true", "text", "data") else ""  # type: ignore[assignment]
    formats = single(results, "_format")
    return Shape(_elements(resource_type, names), shown, pretty == "true", (formats,) if formats else ())


def _elements(resource_type: str, text: str) -> frozenset[str]:
    if not text:
        return frozenset()
    facts = r4.elements(resource_type)
    wanted: set[str] = set()
    for name in text.split(","):
        if name in facts.elements:
            wanted.add(name)
        elif f"{name}[x]" in facts.choices:
            wanted.update(facts.choices[f"{name}[x]"])
        else:
            raise bad_request("search.elements", f"{resource_type} has no top-level element of a name in _elements")
    return frozenset(wanted)


def parse_sort(resource_type: str, text: str, find: Callable[[str], r4.Parameter | None]) -> tuple[str, ...]:
    """Read `_sort` as parameter names, each possibly with a leading minus. Raises FhirRefusal."""
    if not text:
        return ()
    keys = tuple(text.split(","))
    for key in keys:
        parameter = find(key.removeprefix("-"))
        if parameter is None or parameter.type in ("composite", "special"):
            raise bad_request("search.sort", f"_sort names something {resource_type} cannot be sorted by")
    return keys


def parse_include(resource_type: str, name: str, text: str) -> Include:
    """Read one include of a search of `resource_type`, `name` out of INCLUDES. Wildcards are refused.

    One that iterates may start from what another one brings. Raises FhirRefusal.
    """
    reverse, iterate = name.startswith("_rev"), name.endswith(":iterate")
    source, *rest = text.split(":")
    if len(rest) not in (1, 2) or not r4.is_resource_type(source):
        raise bad_request("search.include", f"{name} is Type:parameter or Type:parameter:Type")
    parameter = r4.search_parameters(source).get(rest[0])
    target = rest[1] if len(rest) == 2 else ""
    if parameter is None or parameter.type != "reference":
        raise bad_request("search.include", f"{source} has no reference parameter of the name in {name}")
    allowed = parameter.target
    if target and not (r4.is_resource_type(target) and (target in allowed or allowed == ["*"])):
        raise bad_request("search.include", f"the parameter in {name} does not refer to this type")
    if not reverse:
        if source != resource_type and not iterate:
            raise bad_request("search.include", f"_include starts from {resource_type}")
        reached = frozenset({target}) if target else frozenset(allowed) - {"*"}
        return Include(source, rest[0], target, reverse=False, types=reached, iterate=iterate)
    reachable = {target} if target else set(allowed)
    if not (iterate or reachable & {resource_type, "*"}):
        raise bad_request("search.include", f"the parameter in _revinclude does not refer to {resource_type}")
    return Include(source, rest[0], target, reverse=True, types=frozenset({source}), iterate=iterate)
