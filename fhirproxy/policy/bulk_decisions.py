"""Decide about bulk data: what may be exported, and whether a job may still be looked at.

A job never carries authority: the types it was started for are frozen with it, and the token that asks for its files
is judged again. Source: Bulk Data Access IG, "Security Considerations"; SMART 2.2 backend-services.
"""

from dataclasses import dataclass

from fhirproxy.policy.authority import Authority, Grant, reaches_all, union, within
from fhirproxy.policy.bodies import Json, Resource, write_json
from fhirproxy.policy.bulk_requests import BulkExport, ExportLevel
from fhirproxy.policy.parameters import SearchQuery
from fhirproxy.policy.plans import Asked, CanonicalRequest, Deny, canonical_request
from fhirproxy.policy.supported import asked_parameters
from fhirproxy.policy.targets import Pairs, render
from smartauth.policy import r4
from smartauth.policy.access import Restrictions

BASE_TYPES: dict[ExportLevel, tuple[str, ...]] = {
    "system": (),
    "patient": ("Patient",),
    "group": ("Group", "Patient"),
}


@dataclass(frozen=True, slots=True)
class ExportPlan:
    """Start an export. `body` empty: by GET, else by POST. `shown`: the request in our words, relative to our base."""

    request: CanonicalRequest
    body: bytes
    shown: str
    level: ExportLevel
    group: str
    types: tuple[str, ...]  # every type the files may hold
    elements: tuple[str, ...]
    asked: Asked = frozenset()  # what its filters name, and the upstream must have
    rule: str = "allow"


@dataclass(frozen=True, slots=True)
class JobScope:
    """What was frozen when a job was started."""

    level: ExportLevel
    group: str
    types: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """A job that may be looked at: within what was frozen and, for each line, within the authority of this request."""

    scope: JobScope
    authority: Authority

    def grants_for(self, resource_type: str) -> tuple[Grant, ...]:
        """Return the grants that may admit a line of a type; none when the job was not started for it."""
        if resource_type not in self.scope.types:
            return ()
        return tuple(grant for grant in self.authority.having("s", resource_type) if grant.level == "system")

    def is_full(self, resource_type: str) -> bool:
        """Return True when nothing but the type confines what is seen of it."""
        return reaches_all(self.grants_for(resource_type), resource_type)


def decide_export(wanted: BulkExport, authority: Authority, restrictions: Restrictions) -> ExportPlan | Deny:
    """Say how to start an export, or why not."""
    if _is_outside(wanted.level, wanted.group, restrictions):
        return Deny("bulk.restricted", "this client exports only the groups it is restricted to")
    if not any(grant.level == "system" for grant in authority.grants):
        return Deny("bulk.level", "bulk data needs system/ scopes", fix="Ask for system/ scopes as a backend service.")
    named = {*BASE_TYPES[wanted.level], *wanted.types, *(one.type for one in wanted.filters)}
    for resource_type in sorted(named):
        if not _is_covered(resource_type, authority):
            return _deny_type(resource_type)
    types = wanted.types or tuple(sorted(name for name in r4.memberships() if _is_covered(name, authority)))
    if not types:
        return Deny("scope", "no type is granted with r and s and without a filter", scope="system/Patient.rs")
    reach = union([grant.patients for grant in authority.grants if grant.level == "system"])
    if within(wanted.patients, reach) != wanted.patients:
        return Deny("compartment", "the export names a patient outside the authority")
    if not wanted.is_async:
        reason = "an export is asked for with the header Prefer: respond-async"
        return Deny("bulk.prefer", reason, status=400, issue="invalid", fix="Send Prefer: respond-async.")
    return _plan(wanted, types, says_types=bool(wanted.types) or not _is_every_type_covered(authority))


def decide_job(scope: JobScope, authority: Authority, restrictions: Restrictions) -> JobPlan | None:
    """Return the plan for a job of this client, or None when the authority no longer covers what it was started for."""
    if _is_outside(scope.level, scope.group, restrictions):
        return None
    if not all(_is_covered(name, authority) for name in (*BASE_TYPES[scope.level], *scope.types)):
        return None
    return JobPlan(scope, authority)


def _is_outside(level: ExportLevel, group: str, restrictions: Restrictions) -> bool:
    is_restricted = restrictions.patients is not None or restrictions.groups is not None
    return is_restricted and not (level == "group" and group in (restrictions.groups or ()))


def _is_whole(grant: Grant) -> bool:
    return grant.level == "system" and not grant.filters and not grant.instance


def _is_covered(resource_type: str, authority: Authority) -> bool:
    return all(any(map(_is_whole, authority.having(letter, resource_type))) for letter in "rs")


def _is_every_type_covered(authority: Authority) -> bool:
    whole = [grant for grant in authority.grants if _is_whole(grant) and grant.resource == "*"]
    return all(any(letter in grant.letters for grant in whole) for letter in "rs")


def _deny_type(resource_type: str) -> Deny:
    if r4.memberships()[resource_type].cls == "operator":
        return Deny("scope.operator_type", f"{resource_type} is reserved to clients permitted to see it by name")
    scope = f"system/{resource_type}.rs"
    reason = f"exporting {resource_type} needs r and s on it, without a filter"
    return Deny("scope", reason, scope=scope, fix=f"Ask for {scope}.")


def _plan(wanted: BulkExport, types: tuple[str, ...], *, says_types: bool) -> ExportPlan:
    # Types are named unless every type is granted: a server that has fewer than R4 might refuse to hear the rest.
    pairs: list[tuple[str, str]] = [("_type", ",".join(types))] if says_types else []
    pairs += [(name, text) for name, text in (("_since", wanted.since), ("_until", wanted.until)) if text]
    filters = [render((one.type,), tuple(c.as_pair() for c in one.criteria)) for one in wanted.filters]
    pairs += [("_typeFilter", ",".join(filters))] if filters else []
    segments = {"system": (), "patient": ("Patient",), "group": ("Group", wanted.group)}[wanted.level]
    path = (*segments, "$export")
    patients = [("patient", f"Patient/{one}") for one in sorted(wanted.patients)]
    elements = [("_elements", ",".join(wanted.elements))] if wanted.elements else []
    return ExportPlan(
        canonical_request(path, () if patients else tuple(pairs)),
        _parameters((*pairs, *patients)) if patients else b"",
        render(path, (*pairs, *elements, *patients)),
        wanted.level,
        wanted.group,
        types,
        wanted.elements,
        frozenset().union(*(asked_parameters(one.type, SearchQuery(one.criteria)) for one in wanted.filters)),
    )


def _parameters(pairs: Pairs) -> bytes:
    """The guide takes `patient` by POST alone."""
    written: list[Json] = []
    for name, value in pairs:
        if name == "patient":
            written.append({"name": name, "valueReference": {"reference": value}})
        else:
            written.append({"name": name, "valueInstant" if name in ("_since", "_until") else "valueString": value})
    body: Resource = {"resourceType": "Parameters", "parameter": written}
    return write_json(body)
