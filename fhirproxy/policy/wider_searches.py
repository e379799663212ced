"""Searches of a compartment and across types, brought back to what the rules of a type search can judge.

Source: FHIR R4 search, "Searching" (contexts); FHIR R4 compartmentdefinition-patient.
"""

from dataclasses import dataclass, replace

from fhirproxy.policy.authority import EVERYONE, Authority, Everyone, union
from fhirproxy.policy.narrowing import NARROWED, confine, decide_search, deny_filters
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.parameters import SearchQuery, parse_search
from fhirproxy.policy.plans import Deny, Limits, SearchPlan, canonical_request, deny_letter
from fhirproxy.policy.reach import grants_for
from fhirproxy.policy.references import Bases
from fhirproxy.policy.supported import asked_parameters
from fhirproxy.policy.targets import Pairs
from smartauth.policy import r4

MAX_TYPES = 20


@dataclass(frozen=True, slots=True)
class SystemQuery:
    """A search across `types`, in the order named; none when the client named none."""

    types: tuple[str, ...]
    query: SearchQuery


def parse_system_search(pairs: Pairs, bases: Bases, *, lenient: bool) -> SystemQuery:
    """Read a search across types: each parameter must mean the same for every type. Raises FhirRefusal."""
    named = [value for name, value in pairs if name == "_type"]
    rest = tuple(pair for pair in pairs if pair[0] != "_type")
    if len(named) > 1:
        raise bad_request("query.repeated", "_type may occur once")
    types = tuple(dict.fromkeys(named[0].split(","))) if named else ()
    if len(types) > MAX_TYPES or not all(r4.is_resource_type(one) for one in types):
        raise bad_request("search.types", f"_type is a list of at most {MAX_TYPES} resource types")
    if any(name.startswith(("_include", "_revinclude")) for name, _ in rest):
        raise bad_request("search.include", "a search across types brings nothing along")
    if not types:
        return SystemQuery((), SearchQuery())
    queries = [parse_search(one, rest, bases, lenient=lenient) for one in types]
    if any(query != queries[0] for query in queries[1:]):
        raise bad_request("search.parameter", "a parameter does not mean the same for every type in _type")
    return SystemQuery(types, queries[0])


def decide_system_search(wanted: SystemQuery, authority: Authority, limits: Limits) -> SearchPlan | Deny:
    """Say how to search across types: with full authority over each of them, or not at all."""
    types, query = frozenset(wanted.types), wanted.query
    via = grants_for("search-system", authority, types=types)
    if isinstance(via, Deny):
        return via
    for one in wanted.types:
        refused = deny_filters(one, query, authority, EVERYONE, limits, is_full=True)
        if refused is not None:
            return refused
    count = min(query.count if query.count is not None else limits.default_count, limits.max_count)
    filters = (("_type", ",".join(wanted.types)), *(criterion.as_pair() for criterion in query.criteria))
    sorting = (("_sort", ",".join(query.sort)),) if query.sort else ()
    shown = (*filters, *sorting, ("_count", str(count)))
    total = (("_total", "accurate"),) if query.total == "accurate" else ()
    counting = canonical_request((), (*filters, ("_count", "1"), ("_total", "accurate"))) if query.only_count else None
    return SearchPlan(
        request=canonical_request((), (*shown, *total)),
        type="",
        via=via,
        count=count,
        pairs=shown,
        includes=(),
        shape=query.shape,
        is_full=True,
        only_count=query.only_count,
        total=query.total,
        counting=counting,
        types=types,
        path=(),
        interaction="search-system",
        asked=frozenset().union(*(asked_parameters(one, query) for one in wanted.types)),
    )


def decide_compartment_search(
    compartment: str, patient: str, resource_type: str, query: SearchQuery, authority: Authority, limits: Limits
) -> SearchPlan | Deny:
    """Say how to search one type in one patient's compartment: as the type search that names this patient."""
    if resource_type == "*":
        return Deny("compartment.all_types", "a compartment is searched type by type", fix="Name one type.")
    via = authority.having("s", resource_type)
    if not via:
        return deny_letter(authority, "s", resource_type, "searching")
    facts = r4.memberships()[resource_type]
    if compartment != "Patient" or facts.cls not in NARROWED or facts.narrow is None:
        return Deny("compartment.kind", "only the compartment of a Patient is searched, for types it can hold")
    reach = union([grant.patients for grant in via])
    if not isinstance(reach, Everyone) and patient not in reach:
        return Deny("compartment", "the search names a patient outside the authority")
    criteria = confine(resource_type, facts.narrow, query, frozenset({patient}))
    plan = decide_search(resource_type, replace(query, criteria=criteria or query.criteria), authority, limits)
    if isinstance(plan, Deny):
        return plan
    # The parameter that names the patient was added by us.
    plan = replace(plan, asked=asked_parameters(resource_type, query))
    return replace(plan, request=None) if criteria is None else plan
