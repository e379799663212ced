"""Decide a search: whom it may reach, which filters we add, which we refuse.

The query is narrowed so that counts, pages and order come out of the authority alone; the check on what comes back does
not rely on it. Source: FHIR R4 search; SMART 2.2 scopes-and-launch-context.
"""

from fhirproxy.policy.authority import Authority, Everyone, Grant, Patients, reaches_all, union
from fhirproxy.policy.chains import deny_chain
from fhirproxy.policy.parameters import FULL_ONLY, Criterion, SearchQuery, patients_named
from fhirproxy.policy.plans import CanonicalRequest, Deny, Limits, SearchPlan, canonical_request, deny_letter
from fhirproxy.policy.references import Local
from fhirproxy.policy.results import Include
from fhirproxy.policy.supported import asked_parameters
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.totals import is_exact
from fhirproxy.policy.values import MalformedValue, ReferenceValue, parse_alternatives
from smartauth.policy import r4

NARROWED = frozenset({"compartment", "patient-self", "derived-targets"})
UNSEARCHABLE = frozenset({"document", "derived-binary"})
MAX_RESOLVED = 10


def decide_search(resource_type: str, query: SearchQuery, authority: Authority, limits: Limits) -> SearchPlan | Deny:
    """Say how to search a type within the authority, or why not."""
    via = authority.having("s", resource_type)
    if not via:
        return deny_letter(authority, "s", resource_type, "searching")
    reach = union([grant.patients for grant in via])
    refused = deny_filters(resource_type, query, authority, reach, limits, is_full=reaches_all(via, resource_type))
    if refused is not None:
        return refused
    narrowed = _narrow(resource_type, query, reach, is_formal=all(grant.rules.is_formal for grant in via))
    if isinstance(narrowed, Deny):
        return narrowed
    criteria, resolve = narrowed
    includes = tuple(include for include in query.includes if _is_granted(include, authority))
    is_full = reaches_all(via, resource_type)
    count = min(query.count if query.count is not None else limits.default_count, limits.max_count)
    filters = _canonical_pairs(criteria or (), _pushed_down(query, via))
    shown = (*filters, *(include.as_pair() for include in includes), *_sorting(query), ("_count", str(count)))
    trusts_total = limits.trust_totals and not is_full and is_exact(resource_type, via, criteria)
    total = (("_total", "accurate"),) if (is_full or trusts_total) and query.total == "accurate" else ()
    return SearchPlan(
        request=canonical_request((resource_type,), (*shown, *total)) if criteria is not None else None,
        type=resource_type,
        via=via,
        count=count,
        pairs=shown,
        includes=includes,
        shape=query.shape,
        is_full=is_full,
        only_count=query.only_count,
        total=query.total,
        counting=_counting(resource_type, query, filters, is_full=is_full, limits=limits),
        resolve=resolve,
        trusts_total=trusts_total,
        asked=asked_parameters(resource_type, query),
    )


def _counting(
    resource_type: str, query: SearchQuery, filters: Pairs, *, is_full: bool, limits: Limits
) -> CanonicalRequest | None:
    """A full count needs the upstream's number and as little else as possible; a restricted one is counted by us."""
    if not query.only_count and (is_full or query.total != "accurate"):
        return None
    page = (("_count", "1"), ("_total", "accurate")) if is_full else (("_count", str(limits.max_count)),)
    return canonical_request((resource_type,), (*filters, *page))


def deny_filters(
    resource_type: str, query: SearchQuery, authority: Authority, reach: Patients, limits: Limits, *, is_full: bool
) -> Deny | None:
    """Say why a filter reads further than the authority goes, or None."""
    for criterion in query.criteria:
        if criterion.name in FULL_ONLY and not is_full:
            return Deny("search.parameter_refused", f"{criterion.name} needs full authority over {resource_type}")
        if criterion.modifier in ("in", "not-in") and not all(
            limits.knows_value_set(str(value)) for value in criterion.values
        ):
            return Deny("search.value_set", "the value set is not on a host this server knows")
        if criterion.hops and (refused := deny_chain(resource_type, criterion.hops, authority, reach)) is not None:
            return refused
    return None


Narrowed = tuple[tuple[Criterion, ...] | None, tuple[Local, ...]]  # None: nothing can match


def _narrow(resource_type: str, query: SearchQuery, reach: Patients, *, is_formal: bool) -> Narrowed | Deny:
    if isinstance(reach, Everyone):
        return query.criteria, ()
    facts = r4.memberships()[resource_type]
    if facts.cls in UNSEARCHABLE or (facts.cls in NARROWED and facts.narrow is None):
        return Deny("search.cannot_narrow", f"a search of {resource_type} cannot be confined to this patient")
    if not patients_named(query) <= reach:
        return Deny("compartment", "the search names a patient outside the authority")
    if facts.cls not in NARROWED or facts.narrow is None:
        return query.criteria, ()
    if is_formal and facts.cls == "compartment" and _is_confined(query, facts):
        return query.criteria, ()
    if resource_type == "Provenance" and not _names(query, "patient"):
        return _provenance_by_target(query)
    return confine(resource_type, facts.narrow, query, reach), ()


def _is_confined(query: SearchQuery, facts: r4.Membership) -> bool:
    """Return True when the client confines its search to patients, all of whom are inside, in another role than ours.

    Read formally, whatever such a search finds belongs to those patients.
    """
    return any(
        criterion.name in facts.params
        and all(isinstance(value, ReferenceValue) and value.type == "Patient" for value in criterion.values)
        for criterion in query.criteria
    )


def confine(resource_type: str, name: str, query: SearchQuery, reach: frozenset[str]) -> tuple[Criterion, ...] | None:
    """Take the client's own words on the narrowing parameter away and say it once: servers differ about repeats."""
    allowed = set(reach)
    others = []
    for criterion in query.criteria:
        if criterion.name == name:
            allowed &= {_patient_id(resource_type, value) for value in criterion.values}
        else:
            others.append(criterion)
    if not allowed:
        return None
    ids = sorted(allowed)
    if resource_type == "Patient":
        return (Criterion(name, tuple(ids)), *others)
    return (Criterion(name, tuple(ReferenceValue("Patient", one) for one in ids)), *others)


def _patient_id(resource_type: str, value: object) -> str:
    if isinstance(value, ReferenceValue):
        return value.id if value.type == "Patient" else ""
    return str(value) if resource_type == "Patient" else ""


def _provenance_by_target(query: SearchQuery) -> Narrowed | Deny:
    """Provenance of other things than patients cannot be narrowed by patient; what it is about is looked at first."""
    targets = [value for criterion in query.criteria if criterion.name == "target" for value in criterion.values]
    found = tuple(Local(value.type, value.id) for value in targets if isinstance(value, ReferenceValue))
    if not found or len(found) > MAX_RESOLVED:
        reason = "a search of Provenance names a patient, or at most 10 targets"
        return Deny("search.provenance", reason, status=400, issue="invalid")
    return query.criteria, tuple(local for local in found if local.type != "Patient")


def _names(query: SearchQuery, name: str) -> bool:
    return any(criterion.name == name for criterion in query.criteria)


def _is_granted(include: Include, authority: Authority) -> bool:
    if not include.types:  # Any type at all: the check on what comes back decides.
        return bool(authority.grants)
    return any(authority.having(include.letters, one) for one in include.types)


def _pushed_down(query: SearchQuery, via: tuple[Grant, ...]) -> Pairs:
    """Return the filters of the only applicable grant, when it has some the client did not use itself."""
    if len(via) != 1:
        return ()
    found = []
    for name, value in via[0].filters:
        if _names(query, name):
            continue
        try:
            found.append((name, ",".join(parse_alternatives(value))))
        except MalformedValue:
            continue  # Nothing is lost: a filter that cannot be sent is judged on what comes back.
    return tuple(found)


def _canonical_pairs(criteria: tuple[Criterion, ...], pushed: Pairs) -> Pairs:
    return (*(criterion.as_pair() for criterion in criteria), *pushed)


def _sorting(query: SearchQuery) -> Pairs:
    return (("_sort", ",".join(query.sort)),) if query.sort else ()
