"""Search parameters as values: every name known, every value in the grammar of its type, or a refusal.

Source: FHIR R4 search; FHIR R4 searchparameter-registry.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

from fhirproxy.policy.chains import Hop, Path, parse_chain, parse_has
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.outcomes import FhirRefusal, bad_request, forbidden
from fhirproxy.policy.references import Bases, is_id
from fhirproxy.policy.results import (
    INCLUDES,
    RESULT_NAMES,
    Include,
    Shape,
    parse_count,
    parse_include,
    parse_shape,
    parse_sort,
    single,
)
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.values import (
    MalformedValue,
    ReferenceValue,
    Value,
    parse_alternatives,
    parse_identifier,
    parse_of_type,
    parse_reference,
    parse_text,
    parse_value,
    parse_value_set,
)
from smartauth.policy import r4

NAME = re.compile(r"(?P<base>_?[A-Za-z][A-Za-z0-9-]*)(?::(?P<modifier>[A-Za-z][A-Za-z-]*))?(?P<chain>\..+)?")
COMMON = frozenset({"_id", "_lastUpdated", "_tag", "_profile", "_security"})
# FHIR knows these; each reads more than the resources of one type inside one authority.
REFUSED = frozenset(
    {
        "_filter", "_query", "_list", "_contained", "_containedType", "_type", "_in",
    }
)  # fmt: skip
# These read what no check can look at afterwards, so only those may use them who may see every resource of the type.
FULL_ONLY = frozenset({"_content", "_text", "_source"})
MODIFIERS = {
    "token": frozenset({"text", "not", "in", "not-in", "above", "below", "of-type", "ofType", "missing"}),
    "string": frozenset({"exact", "contains", "missing"}),
    "uri": frozenset({"above", "below", "missing"}),
    "reference": frozenset({"missing", "identifier"}),
    "date": frozenset({"missing"}),
    "number": frozenset({"missing"}),
    "quantity": frozenset({"missing"}),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One filter: at least one of `values` must hold. Criteria are ANDed."""

    name: str
    values: tuple[Value, ...]
    modifier: str = ""
    hops: tuple[Hop, ...] = ()  # through which other resources it reads; `name` then holds the whole way

    def as_pair(self) -> tuple[str, str]:
        """Return the filter as it is sent upstream."""
        name = f"{self.name}:{self.modifier}" if self.modifier else self.name
        return name, ",".join(str(value) for value in self.values)


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """Everything a type search asks for."""

    criteria: tuple[Criterion, ...] = ()
    includes: tuple[Include, ...] = ()
    sort: tuple[str, ...] = ()
    count: int | None = None
    only_count: bool = False  # `_summary=count` or `_count=0`
    total: str = ""  # "none", "estimate", "accurate" or empty
    shape: Shape = field(default_factory=Shape)


def is_patient_valued(parameter: r4.Parameter) -> bool:
    """Return True when a value of the parameter may name a patient."""
    return parameter.type == "reference" and ("Patient" in parameter.target or "*" in parameter.target)


def search_parameter(resource_type: str, name: str) -> r4.Parameter | None:
    """Return the parameter that filters `resource_type`, or None when this server does not offer it."""
    if name.startswith("_") and name not in COMMON:
        return None
    return r4.search_parameters(resource_type).get(name)


def parse_search(
    resource_type: str, pairs: Pairs, bases: Bases, *, lenient: bool, extras: Extras = NO_EXTRAS
) -> SearchQuery:
    """Read the parameters of a type search. Raises FhirRefusal: 400, or 403 for a parameter that reads too far.

    lenient: the client lets us drop unknown names that carry no control meaning.  extras: taken beside FHIR's own.
    """
    results: dict[str, list[str]] = {}
    criteria: list[Criterion] = []
    for name, value in pairs:
        base = re.split(r"[:.]", name, maxsplit=1)[0]
        if base in RESULT_NAMES:
            results.setdefault(name, []).append(value)
            continue
        criterion = _parse_criterion(resource_type, name, value, bases, extras, lenient=lenient)
        if criterion is not None:
            criteria.append(criterion)
    includes = [parse_include(resource_type, name, text) for name in INCLUDES for text in results.pop(name, [])]
    _require_known_results(results, len(includes))
    count = parse_count(results)
    return SearchQuery(
        criteria=tuple(criteria),
        includes=tuple(dict.fromkeys(includes)),
        sort=parse_sort(resource_type, single(results, "_sort"), lambda name: search_parameter(resource_type, name)),
        count=count,
        only_count=count == 0 or single(results, "_summary") == "count",
        total=_parse_total(single(results, "_total")),
        shape=parse_shape(resource_type, results, for_search=True),
    )


def _require_known_results(results: dict[str, list[str]], includes: int) -> None:
    for name in results:
        if name not in RESULT_NAMES:
            raise bad_request("search.modifier", f"{name.split(':')[0]} is not taken with this modifier")
    if includes > 10:
        raise bad_request("search.includes", "there are more than 10 includes")


def _parse_criterion(
    resource_type: str, name: str, text: str, bases: Bases, extras: Extras, *, lenient: bool
) -> Criterion | None:
    found = NAME.fullmatch(name)
    base = re.split(r"[:.]", name, maxsplit=1)[0]
    if base in REFUSED:
        raise forbidden("search.parameter_refused", f"the search parameter {base} is not offered", fix="Leave it out.")
    if base == "_has":
        return _chained(parse_has(resource_type, name, search_parameter), text, bases)
    if name in FULL_ONLY:
        return _value_of(name, lambda: Criterion(name, tuple(parse_text(one) for one in parse_alternatives(text))))
    parameter = search_parameter(resource_type, base) or extras.parameters.get((resource_type, base))
    if found is None or parameter is None:
        if lenient and found and not (base.startswith("_") or found["modifier"] or found["chain"]):
            return None
        fix = "Use a search parameter that FHIR R4 has for the type: /metadata lists those that work here."
        reason = f"{resource_type} has no search parameter of this name"
        raise bad_request("search.parameter", reason, seen=name[:64], fix=fix)
    if found["chain"]:
        return _chained(parse_chain(resource_type, name, search_parameter), text, bases)
    modifier = found["modifier"] or ""
    return _value_of(base, lambda: _criterion(resource_type, base, parameter, modifier, text, bases))


def _value_of(name: str, read: Callable[[], Criterion]) -> Criterion:
    try:
        return read()
    except MalformedValue as why:
        raise bad_request("search.value", f"the value of {name} cannot be read: {why}") from None


def _chained(path: Path, text: str, bases: Bases) -> Criterion:
    parameter = search_parameter(path.type, path.name)
    if parameter is None:
        raise bad_request("search.parameter", f"{path.type} has no search parameter of the name at the end of a chain")
    last = _value_of(path.name, lambda: _criterion(path.type, path.name, parameter, path.modifier, text, bases))
    return replace(last, name=f"{path.prefix}{path.name}", hops=path.hops)


def _criterion(
    resource_type: str, name: str, parameter: r4.Parameter, modifier: str, text: str, bases: Bases
) -> Criterion:
    kind = modifier if parameter.type == "reference" and r4.is_resource_type(modifier) else ""
    if kind and kind not in parameter.target and parameter.target != ["*"]:
        raise _bad_modifier(name)
    if modifier and not kind and not _takes_modifier(name, parameter, modifier):
        raise _bad_modifier(name)
    alternatives = parse_alternatives(text)
    if modifier == "missing":
        if text not in ("true", "false"):
            raise MalformedValue("it is true or false")
        return Criterion(name, (text,), modifier)
    if parameter.type == "reference" and modifier != "identifier":
        return Criterion(name, tuple(parse_reference(parameter, kind, part, bases) for part in alternatives))
    if name == "_id" and not all(is_id(part) for part in alternatives):
        raise MalformedValue("it is not a logical id")
    return Criterion(name, tuple(_text(resource_type, parameter, modifier, part) for part in alternatives), modifier)


def _text(resource_type: str, parameter: r4.Parameter, modifier: str, part: str) -> str:
    match modifier:
        case "in" | "not-in":
            return parse_value_set(part)
        case "identifier":
            return parse_identifier(part)
        case "of-type" | "ofType":
            return parse_of_type(part)
        case "text" | "exact" | "contains":
            return parse_text(part)
    return parse_value(resource_type, parameter, part)


def _takes_modifier(name: str, parameter: r4.Parameter, modifier: str) -> bool:
    # On a parameter that decides whose data is read, a modifier could turn "this patient" into "any other".
    if name == "_id" or is_patient_valued(parameter):
        return False
    return modifier in MODIFIERS.get(parameter.type, frozenset())


def _bad_modifier(name: str) -> FhirRefusal:
    return bad_request("search.modifier", f"{name} is not taken with this modifier")


def _parse_total(text: str) -> str:
    if text not in ("", "none", "estimate", "accurate"):
        raise bad_request("search.total", "_total is none, estimate or accurate")
    return text


def patients_named(query: SearchQuery) -> frozenset[str]:
    """Return the id of every patient a search names, apart from `_id` on Patient."""
    return frozenset(
        value.id
        for criterion in query.criteria
        for value in criterion.values
        if isinstance(value, ReferenceValue) and value.type == "Patient"
    )
