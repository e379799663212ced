"""Which search parameters the upstream says it has, and whether a search names others.

A parameter that a server does not have is ignored by some and refused by others, in words of their own; ignoring a
filter widens the answer. Source: FHIR R4 capabilitystatement, `rest.searchParam` and `rest.resource.searchParam`.
"""

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.extras import Extras
from fhirproxy.policy.parameters import COMMON, Criterion, SearchQuery
from fhirproxy.policy.plans import Asked, Deny, SearchPlan
from fhirproxy.policy.write_plans import WritePlan


@dataclass(frozen=True, slots=True)
class Supported:
    """Names of search parameters by type. A type of which the upstream lists none is absent, and is not judged."""

    names: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def has(self, resource_type: str, name: str) -> bool:
        """Return True unless the upstream lists parameters of the type, and this one is not among them."""
        return resource_type not in self.names or name in self.names[resource_type]


NOTHING_SAID = Supported()


def read_supported(statement: Resource) -> Supported:
    """Return what an upstream's CapabilityStatement says about search parameters, however little that is."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for rest in _objects(statement.get("rest")):
        if rest.get("mode") != "server":
            continue
        for listed in _objects(rest.get("resource")):
            own = _names(listed)
            if own:
                found[str(listed.get("type"))] |= own | _names(rest)
    return Supported({kind: frozenset(names) for kind, names in found.items()})


def _names(parent: Resource) -> set[str]:
    names = (one.get("name") for one in _objects(parent.get("searchParam")))
    return {name for name in names if isinstance(name, str)}


def _objects(values: Json) -> list[Resource]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def asked_parameters(resource_type: str, query: SearchQuery) -> Asked:
    """Return each parameter that a search of a type filters or sorts by, hops included, with the type it is of.

    Those that every type has are left out: they are taken for granted.
    """
    asked = {(resource_type, key.removeprefix("-")) for key in query.sort}
    for criterion in query.criteria:
        asked |= _asked_by(resource_type, criterion)
    return frozenset(one for one in asked if one[1] not in COMMON)


def _asked_by(resource_type: str, criterion: Criterion) -> set[tuple[str, str]]:
    asked, source = set(), resource_type
    for hop in criterion.hops:
        asked.add((hop.reached if hop.reverse else source, hop.parameter))
        source = hop.reached
    last = re.split(r"[.:]", criterion.name)[-1] if criterion.hops else criterion.name
    return asked | {(source, last)}


def asked_by(plan: object) -> Asked:
    """Return the parameters the client named of the search that a plan is, or that finds what it writes.

    None where nothing is sent: the answer is known to be empty.
    """
    search = plan.criteria if isinstance(plan, WritePlan) else plan
    return search.asked if isinstance(search, SearchPlan) and search.request is not None else frozenset()


def deny_unsupported(asked: Asked, supported: Supported, extras: Extras) -> Deny | None:
    """Say which parameters are not supported here, or None. Those that the tenant itself adds always are."""
    lacking = [one for one in asked if not (supported.has(*one) or one in extras.parameters)]
    if not lacking:
        return None
    names = ", ".join(sorted(f"{kind}.{name}" for kind, name in lacking))
    reason = f"search parameters that are not supported here: {names}"
    fix = "The CapabilityStatement, /metadata, lists those that are."
    return Deny("search.unsupported", reason, status=400, issue="not-supported", fix=fix)
