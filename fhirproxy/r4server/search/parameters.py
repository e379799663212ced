"""Search parameters as this server evaluates them, loaded one at a time when first asked for."""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass

from fhirproxy.r4server.facts import bases_of, search_parameter_definitions
from fhirproxy.r4server.search.paths import Node, PlainPath, find_plain_path

_RESOLVE_IS = re.compile(r"\.where\(resolve\(\) is (?P<type>\w+)\)$")
_UNION = re.compile(r"\s*\|\s*")

Evaluate = Callable[[Node], list[Node]]


@dataclass(frozen=True, slots=True)
class Alternative:
    """One operand of a union: how to reach the values, and the one type a reference must point to, if any."""

    evaluate: Evaluate
    reference_type: str | None = None


@dataclass(frozen=True, slots=True)
class Component:
    """One half of a composite parameter: the plain type of its values and where they are below the composite's node."""

    kind: str
    alternatives: tuple[Alternative, ...]
    from_resource: bool = False


@dataclass(frozen=True, slots=True)
class SearchParameter:
    """A parameter of one resource type. `kind`: token, string, date, reference, quantity, number, uri or composite."""

    name: str
    kind: str
    alternatives: tuple[Alternative, ...]
    components: tuple[Component, ...] = ()


EVALUATED_KINDS = frozenset({"token", "string", "date", "reference", "quantity", "number", "uri", "composite"})


@functools.cache
def find_parameter(resource_type: str, name: str) -> SearchParameter | None:
    """Return the parameter `name` of a type, inherited ones included; None when unknown or not evaluated here."""
    definitions = search_parameter_definitions()
    for base in bases_of(resource_type):
        definition = definitions.get(base, {}).get(name)
        if definition is None:
            continue
        if definition["type"] not in EVALUATED_KINDS or "expr" not in definition:
            return None
        components = tuple(
            _component(definitions[base], part["code"], part["expr"]) for part in definition.get("component", ())
        )
        return SearchParameter(name, definition["type"], _alternatives(definition["expr"]), components)
    return None


def parameter_names(resource_type: str) -> tuple[str, ...]:
    """Return the names of all parameters of a type that this server evaluates, sorted."""
    definitions = search_parameter_definitions()
    names = {
        name
        for base in bases_of(resource_type)
        for name, definition in definitions.get(base, {}).items()
        if definition["type"] in EVALUATED_KINDS and "expr" in definition
    }
    return tuple(sorted(names))


def parameter_kind(resource_type: str, name: str) -> str:
    """Return the type of a parameter known to exist, e.g. "token", without loading its expression."""
    definitions = search_parameter_definitions()
    kinds = (definitions[base][name]["type"] for base in bases_of(resource_type) if name in definitions.get(base, {}))
    return str(next(kinds))


def _component(base: dict[str, dict[str, str]], code: str, expression: str) -> Component:
    from_resource = expression.startswith("%resource.")
    return Component(base[code]["type"], _alternatives(expression.removeprefix("%resource.")), from_resource)


def _alternatives(expression: str) -> tuple[Alternative, ...]:
    return tuple(_alternative(operand) for operand in _UNION.split(expression.strip()))


def _alternative(expression: str) -> Alternative:
    """Read one operand; a final `.where(resolve() is X)` becomes a test on what kind of thing the reference names."""
    resolved = _RESOLVE_IS.search(expression)
    if resolved:
        return Alternative(_evaluator(expression[: resolved.start()]), resolved["type"])
    return Alternative(_evaluator(expression))


def _evaluator(expression: str) -> Evaluate:
    plain: PlainPath | None = find_plain_path(expression)
    if plain is not None:
        return plain.walk
    # Imported late: the engine is not needed by most searches, and a server must listen soon.
    from fhirproxy.r4server.search.fhirpath import compile_expression

    return compile_expression(expression)
