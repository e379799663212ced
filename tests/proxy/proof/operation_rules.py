"""The rules about operations that a tenant adds, each with a way to take it away."""

from typing import Any

from fhirproxy import own_operations
from fhirproxy.policy import compartments, shaping
from fhirproxy.policy.authority import EVERYONE, Grant
from tests.proxy.proof.rule import LEAKS, Rule

_parameters = shaping.parameters


def waved_through(unchecked: Any, grants: Any, letters: str, bases: Any, known: Any) -> Any:
    grant = Grant("system", "*", "cruds", EVERYONE, operator_types=frozenset({unchecked.type}))
    return compartments.check(unchecked, (grant,), letters, bases, known)


def with_every_value(tree: Any, inside: Any, bases: Any, *, with_values: bool) -> Any:
    return _parameters(tree, inside, bases, with_values=True)


def any_instance(*_: Any) -> None:
    return None


OPERATION_RULES: tuple[Rule, ...] = (
    Rule("2.6", "what a tenant's own operation finds is checked", (own_operations, "check", waved_through), LEAKS),
    Rule("2.6", "its other values are for those who see everything", (own_operations, "parameters",
    with_every_value), ("T2",)),
    Rule("2.6", "the instance it is asked of must be readable", (own_operations, "fetch", any_instance), ("T2",)),
)  # fmt: skip
