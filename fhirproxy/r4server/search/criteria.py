"""What a resource must fulfil to be a match: every criterion, and of each at least one of its values."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.search.matching import TESTS, Test, Wanted, split_escaped
from fhirproxy.r4server.search.parameters import SearchParameter
from fhirproxy.r4server.search.values import values_of
from fhirproxy.r4server.store import Version

_MODIFIERS = {
    "string": frozenset({"exact", "contains"}),
    "token": frozenset({"not", "text"}),
    "uri": frozenset({"below", "above"}),
    "reference": frozenset({"identifier"}) | resource_types(),
}


@dataclass(frozen=True, slots=True)
class Criterion:
    """One parameter of the query with its alternatives."""

    parameter: SearchParameter
    holds: Callable[[tuple[Any, ...]], bool]

    def admits(self, version: Version) -> bool:
        """Return True when the resource fulfils this criterion."""
        return self.holds(values_of(version, self.parameter))


def parse_criterion(parameter: SearchParameter, modifier: str, value: str, *, own_base: str) -> Criterion:
    """Read one ``name:modifier=value``. Raises FhirError 400 for a modifier or value that cannot be honoured.

    A modifier this server does not know is refused, never skipped.  Source: FHIR R4 search.html#modifiers.
    """
    if modifier == "missing":
        if value not in ("true", "false"):
            raise FhirError(400, "invalid", ":missing takes true or false")
        return Criterion(parameter, (lambda found: not found) if value == "true" else bool)
    if modifier and modifier not in _MODIFIERS.get(parameter.kind, ()):
        raise FhirError(400, "not-supported", "the modifier is not supported for this parameter")
    texts = [text for text in split_escaped(value, ",") if text]
    if not texts:
        raise FhirError(400, "invalid", "a search parameter has no value")
    if parameter.kind == "composite":
        pairs = [_composite_test(parameter, text, own_base) for text in texts]
        return Criterion(parameter, lambda found: any(test(pair) for pair in found for test in pairs))
    tests = [TESTS[parameter.kind](Wanted(text, modifier, own_base)) for text in texts]
    if modifier == "not":
        return Criterion(parameter, lambda found: not any(test(item) for item in found for test in tests))
    if len(tests) == 1:
        only = tests[0]
        return Criterion(parameter, lambda found: any(map(only, found)))
    return Criterion(parameter, lambda found: any(test(item) for item in found for test in tests))


def _composite_test(parameter: SearchParameter, text: str, own_base: str) -> Test:
    halves = split_escaped(text, "$")
    if len(halves) != len(parameter.components):
        raise FhirError(400, "invalid", "a composite value has one part for each component, joined by $")
    tests = [
        TESTS[component.kind](Wanted(half, "", own_base))
        for component, half in zip(parameter.components, halves, strict=True)
    ]
    return lambda pair: all(any(map(test, found)) for test, found in zip(tests, pair.parts, strict=True))
