"""Chains and reverse chains: criteria that look at other resources.  Source: FHIR R4 search.html#chaining."""

from dataclasses import dataclass
from typing import Protocol

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types
from fhirproxy.r4server.search.criteria import parse_criterion
from fhirproxy.r4server.search.parameters import SearchParameter, find_parameter
from fhirproxy.r4server.search.values import values_of
from fhirproxy.r4server.store import Store, Version


class Admits(Protocol):
    """What a query asks of a criterion."""

    def admits(self, version: Version) -> bool:
        """Return True when the resource fulfils it."""


@dataclass(frozen=True, slots=True)
class Chained:
    """Some resource this one refers to fulfils `inner`."""

    parameter: SearchParameter
    kind: str  # a type, or empty for any
    inner: Admits
    store: Store

    def admits(self, version: Version) -> bool:
        """Return True when a referenced resource fulfils the rest of the chain."""
        for link in values_of(version, self.parameter):
            found = self.store.find_current(link.key) if link.key else None
            if found is not None and self.kind in ("", found.resource_type) and self.inner.admits(found):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Reversed:
    """Some resource that refers to this one fulfils `inner`."""

    source_type: str
    parameter: SearchParameter
    inner: Admits
    store: Store

    def admits(self, version: Version) -> bool:
        """Return True when a referring resource fulfils the rest of the chain."""
        return any(
            any(link.key == version.key for link in values_of(other, self.parameter)) and self.inner.admits(other)
            for other in self.store.all_of(self.source_type)
        )


def is_chained(name: str) -> bool:
    """Return True for the name of a parameter that leads through another resource."""
    return "." in name or name.startswith("_has:")


def parse_chained(resource_type: str, name: str, value: str, store: Store, *, own_base: str) -> Admits:
    """Read a chain, a reverse chain, or the plain parameter at the end of one. Raises FhirError 400."""
    if name.startswith("_has:"):
        _, source_type, reference, rest = (*name.split(":", 3), "", "", "")[:4]
        inner = parse_chained(source_type, rest, value, store, own_base=own_base)
        return Reversed(source_type, _reference(source_type, reference), inner, store)
    step, point, rest = name.partition(".")
    if point:
        reference, _, kind = step.partition(":")
        parameter = _reference(resource_type, reference)
        kinds = [kind] if kind else sorted(resource_types())
        inner = _AnyOf(
            {one: parse_chained(one, rest, value, store, own_base=own_base) for one in kinds if _has(one, rest)}
        )
        if not inner.by_type:
            raise FhirError(400, "invalid", "a chain ends in a parameter its type does not have")
        return Chained(parameter, kind, inner, store)
    plain, _, modifier = name.partition(":")
    found = find_parameter(resource_type, plain)
    if found is None:
        raise FhirError(400, "invalid", "a chain ends in a parameter its type does not have")
    return parse_criterion(found, modifier, value, own_base=own_base)


@dataclass(frozen=True, slots=True)
class _AnyOf:
    by_type: dict[str, Admits]

    def admits(self, version: Version) -> bool:
        inner = self.by_type.get(version.resource_type)
        return inner is not None and inner.admits(version)


def _has(resource_type: str, rest: str) -> bool:
    return find_parameter(resource_type, rest.partition(".")[0].partition(":")[0]) is not None


def _reference(resource_type: str, name: str) -> SearchParameter:
    found = find_parameter(resource_type, name) if resource_type in resource_types() else None
    if found is None or found.kind != "reference":
        raise FhirError(400, "invalid", "a chain goes through a reference parameter")
    return found
