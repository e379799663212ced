"""Versions and history: what is asked of them, and what is sent for it.

A version is given to whoever may see both it and the version that is current. The history of a type or of everything
tells what came and went, so it needs full authority. Source: FHIR R4 http, "vread" and "history".
"""

from dataclasses import dataclass, field

from fhirproxy.policy.authority import Authority, Everyone, Grant, reaches_all, union
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.plans import Deny, Limits, ReadPlan, SearchPlan, canonical_request
from fhirproxy.policy.reach import grants_for, grants_on_instance
from fhirproxy.policy.results import SHAPE_NAMES, Shape, parse_count, parse_shape, single
from fhirproxy.policy.targets import Pairs

NAMES = SHAPE_NAMES | {"_count", "_since", "_at"}


@dataclass(frozen=True, slots=True)
class HistoryQuery:
    """What a history request asks for. `since` and `at` are FHIR instants or dates, or empty."""

    count: int | None = None
    since: str = ""
    at: str = ""
    shape: Shape = field(default_factory=Shape)


def parse_history(resource_type: str | None, pairs: Pairs) -> HistoryQuery:
    """Read the parameters of a history request. Raises FhirRefusal."""
    results: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in NAMES or (name == "_elements" and resource_type is None):
            raise bad_request("history.parameter", "a history takes no such parameter", seen=name[:64])
        results.setdefault(name, []).append(value)
    since, at = single(results, "_since"), single(results, "_at")
    if any(text and find_interval(text) is None for text in (since, at)):
        raise bad_request("history.date", "_since or _at is not a date")
    shape = parse_shape(resource_type or "Basic", results, for_search=False)
    return HistoryQuery(parse_count(results), since, at, shape)


def decide_version(
    resource_type: str, resource_id: str, version: str, shape: Shape, authority: Authority
) -> ReadPlan | Deny:
    """Say how to read one version. Under restricted authority the current version is looked at first."""
    via = grants_on_instance(authority, resource_type, resource_id, "r")
    if isinstance(via, Deny):
        return via
    segments = (resource_type, resource_id, "_history", version)
    return ReadPlan(
        canonical_request(segments) if may_be_inside(via, resource_type, resource_id) else None,
        resource_type,
        resource_id,
        via,
        shape,
        reaches_all(via, resource_type),
        version=version,
    )


def decide_history(
    resource_type: str | None, resource_id: str | None, query: HistoryQuery, authority: Authority, limits: Limits
) -> SearchPlan | Deny:
    """Say how to fetch a history: of one resource with `r`, else with `s` and full authority."""
    level = "instance" if resource_id else "type" if resource_type else "system"
    interaction = f"history-{level}"
    via = grants_for(interaction, authority, resource_type=resource_type or "", resource_id=resource_id or "")
    if isinstance(via, Deny):
        return via
    count = min(query.count if query.count is not None else limits.default_count, limits.max_count)
    segments = tuple(part for part in (resource_type, resource_id, "_history") if part)
    dates = tuple((name, text) for name, text in (("_since", query.since), ("_at", query.at)) if text)
    # A page of nothing is asked for by nobody who wants to go on; the smallest page has one entry.
    pairs = (*dates, ("_count", str(max(count, 1))))
    inside = resource_type is None or resource_id is None or may_be_inside(via, resource_type, resource_id)
    return SearchPlan(
        request=canonical_request(segments, pairs) if inside else None,
        type=resource_type or "",
        via=via,
        count=max(count, 1),
        pairs=pairs,
        includes=(),
        shape=query.shape,
        is_full=reaches_all(via, resource_type or ""),
        id=resource_id or "",
        path=segments,
        interaction=interaction,
    )


def may_be_inside(via: tuple[Grant, ...], resource_type: str, resource_id: str) -> bool:
    """Return False when the id alone tells that a resource is outside: of a Patient nothing need be fetched."""
    reach = union([grant.patients for grant in via])
    return resource_type != "Patient" or isinstance(reach, Everyone) or resource_id in reach
