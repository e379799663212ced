"""The plain part of FHIRPath that most search parameters need: dotted paths, choice elements, one type filter.

A walk costs about a microsecond a step; the FHIRPath library, which evaluates everything else, twenty times that.
"""

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_DOTTED = r"[A-Za-z]\w*(?:\.[a-z]\w*)*"
_PLAIN = re.compile(_DOTTED)
_AS_OPERATOR = re.compile(rf"\((?P<path>{_DOTTED}) as (?P<type>\w+)\)(?P<rest>(?:\.[a-z]\w*)*)")
_AS_FUNCTION = re.compile(rf"(?P<path>{_DOTTED})\.as\((?P<type>\w+)\)(?P<rest>)")


@dataclass(frozen=True, slots=True)
class Node:
    """A value met on the way, and its place in the model, e.g. ``Observation.component`` or ``Quantity``."""

    value: Any
    place: str


@dataclass(frozen=True, slots=True)
class PlainPath:
    """Steps, then an optional type the values must have, then more steps."""

    steps: tuple[str, ...]
    only_type: str | None = None
    rest: tuple[str, ...] = ()

    def walk(self, start: Node) -> list[Node]:
        """Return what the path reaches from `start`, in document order."""
        nodes = [start]
        for step in self.steps:
            nodes = [child for node in nodes for child in _children(node, step)]
        if self.only_type is not None:
            nodes = [node for node in nodes if node.place.lower() == self.only_type.lower()]
        for step in self.rest:
            nodes = [child for node in nodes for child in _children(node, step)]
        return nodes


def find_plain_path(expression: str) -> PlainPath | None:
    """Return the path an expression is, or None when it needs a real FHIRPath engine.

    A leading type name (``Observation.subject``) is dropped: the walk starts at a resource of that type.
    """
    if _PLAIN.fullmatch(expression):
        return PlainPath(_steps(expression))
    matched = _AS_OPERATOR.fullmatch(expression) or _AS_FUNCTION.fullmatch(expression)
    if matched is None:
        return None
    return PlainPath(_steps(matched["path"]), matched["type"], tuple(filter(None, matched["rest"].split("."))))


def _steps(dotted: str) -> tuple[str, ...]:
    steps = tuple(dotted.split("."))
    return steps[1:] if steps[0][0].isupper() else steps


def _children(node: Node, name: str) -> Iterator[Node]:
    if not isinstance(node.value, dict):
        return
    if name in node.value:
        place = _place(node.place, name)
        for value in _each(node.value[name]):
            yield Node(value, place)
        return
    for member, place in _choices(node.place, name):
        if member in node.value:
            for value in _each(node.value[member]):
                yield Node(value, place)


def _each(value: Any) -> list[Any]:
    if isinstance(value, list):
        return [item for item in value if item is not None]
    return [] if value is None else [value]


@functools.cache
def _place(parent: str, name: str) -> str:
    path = f"{parent}.{name}"
    model = _model()
    return model["path2Type"].get(path) or model["pathsDefinedElsewhere"].get(path) or path


@functools.cache
def _choices(parent: str, name: str) -> tuple[tuple[str, str], ...]:
    types = _model()["choiceTypePaths"].get(f"{parent}.{name}", ())
    return tuple((f"{name}{type_name}", type_name) for type_name in types)


@functools.cache
def _model() -> dict[str, dict[str, Any]]:
    """Return the R4 model tables: types of paths and of choice elements."""
    # Imported late: a server must listen soon, and its first requests need no search.
    from fhirpathpy.models import models

    tables: dict[str, dict[str, Any]] = models["r4"]
    return tables
