"""The part of FHIRPath that R4 search parameters use for tokens, references and dates, evaluated on JSON.

An expression outside this part is not guessed at: `parse_expression` returns None, and a scope constrained by such a
parameter grants nothing. Source: FHIR R4 searchparameter-registry.
"""

import re
from dataclasses import dataclass
from functools import cache

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.references import Bases, classify
from smartauth.policy import r4

# How a choice element spells its type in JSON: value[x] of type CodeableConcept is valueCodeableConcept.
CHOICE_TYPES = (
    "Boolean", "Integer", "Decimal", "String", "Uri", "Url", "Canonical", "Code", "Oid", "Id", "Uuid", "Markdown",
    "Instant", "Date", "DateTime", "Time", "Coding", "CodeableConcept", "Identifier", "Reference", "Period", "Timing",
    "Quantity", "Range", "Ratio", "Age", "Duration", "ContactPoint", "SampledData", "Money", "Attachment",
)  # fmt: skip

BRANCH = re.compile(
    r"\(?(?P<path>[A-Z][A-Za-z]+(?:\.[a-z][A-Za-z0-9]*)+)"
    r"(?: as (?P<cast>[A-Za-z]+)\)|\.as\((?P<call>[A-Za-z]+)\)"
    r"|\.where\(resolve\(\) is (?P<resolved>[A-Z][A-Za-z]+)\)"
    r"|\.where\((?P<member>[a-z][A-Za-z]*)='(?P<value>[A-Za-z-]+)'\))?"
)


@dataclass(frozen=True, slots=True)
class Branch:
    """One path below a resource type, possibly narrowed at its end."""

    base: str
    steps: tuple[str, ...]
    cast: str = ""  # the type of the last element, as choice elements spell it
    resolved: str = ""  # the reference must be to this resource type
    member: tuple[str, str] | None = None  # this member of the last element must have this value


@cache
def parse_expression(text: str) -> tuple[Branch, ...] | None:
    """Return the branches of an expression, or None when it is outside the part of FHIRPath read here."""
    branches = []
    for part in text.split(" | "):
        found = BRANCH.fullmatch(part.strip())
        if found is None or part.startswith("(") != bool(found["cast"]):
            return None
        base, *steps = found["path"].split(".")
        cast = found["cast"] or found["call"] or ""
        member = (found["member"], found["value"]) if found["member"] else None
        branches.append(Branch(base, tuple(steps), cast[:1].upper() + cast[1:], found["resolved"] or "", member))
    return tuple(branches)


def evaluate(branches: tuple[Branch, ...], resource: Resource, bases: Bases) -> list[Json]:
    """Return every value the expression selects in `resource`."""
    kind = resource.get("resourceType")
    found: list[Json] = []
    for branch in branches:
        if branch.base in (kind, "Resource", "DomainResource"):
            found.extend(value for value in _walk(branch, resource) if _is_kept(branch, value, bases))
    return found


def _walk(branch: Branch, resource: Resource) -> list[Json]:
    nodes: list[Json] = [resource]
    last = len(branch.steps) - 1
    for index, step in enumerate(branch.steps):
        cast = branch.cast if index == last else ""
        following: list[Json] = []
        for node in nodes:
            if isinstance(node, dict):
                for name in _names(branch.base if index == 0 else "", step, cast):
                    value = node.get(name)
                    following.extend(value if isinstance(value, list) else [value])
        nodes = [node for node in following if node is not None]
    return nodes


@cache
def _names(base: str, step: str, cast: str) -> tuple[str, ...]:
    if r4.is_resource_type(base) and step in r4.elements(base).elements:
        return (step,)  # Not a choice: a neighbour such as statusDate must not be read as a kind of status.
    if cast:
        return (step + cast, step)
    return (step, *(step + kind for kind in CHOICE_TYPES))


def _is_kept(branch: Branch, value: Json, bases: Bases) -> bool:
    if branch.resolved:
        who = classify(value, bases)
        return getattr(who, "type", None) == branch.resolved
    if branch.member is not None:
        name, wanted = branch.member
        return isinstance(value, dict) and value.get(name) == wanted
    return True
