"""Is a resource in a result because a match brought it along? Judged by the include's own parameter.

Source: FHIR R4 search, "Including other resources in result".
"""

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.compartments import Unchecked
from fhirproxy.policy.expressions import evaluate, parse_expression
from fhirproxy.policy.references import Bases, find_local
from fhirproxy.policy.results import Include
from smartauth.policy import r4

Key = tuple[str, str]


class Tie:
    """What one include ties to the matches of a page."""

    def __init__(self, include: Include, matches: list[Unchecked], bases: Bases) -> None:
        self._include = include
        self._bases = bases
        if include.reverse:
            self._reached = frozenset((match.type, match.id) for match in matches)
        else:
            self._reached = frozenset(key for match in matches for key in self._references(match))

    def holds(self, candidate: Unchecked) -> bool:
        """Return True when the include leads from a match to `candidate`, or from it to a match."""
        include = self._include
        if include.types and candidate.type not in include.types:
            return False
        if include.reverse:
            return not self._reached.isdisjoint(self._references(candidate))
        return (candidate.type, candidate.id) in self._reached

    def _references(self, unchecked: Unchecked) -> list[Key]:
        parameter = r4.search_parameters(self._include.source)[self._include.parameter]
        branches = parse_expression(parameter.expr)
        if branches is None:
            return []  # A path we cannot follow brings nothing along.
        found = []
        for value in evaluate(branches, unchecked.resource, self._bases):
            local = find_local(_literal(value), self._bases)
            if local is not None and self._include.target in ("", local.type):
                found.append((local.type, local.id))
        return found


def _literal(value: Json) -> str:
    """Return the text of a Reference, or of an element that is a URL itself."""
    literal = value.get("reference") if isinstance(value, dict) else value
    return literal if isinstance(literal, str) else ""
