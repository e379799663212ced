"""What was parsed, granted and planned, in words for the security officer: names and ids, and values only where asked.

A receipt is no place for what somebody searched for; the simulator is, because the operator typed it.
"""

from dataclasses import fields, is_dataclass

from fhirproxy.policy.authority import Authority, Everyone, Grant, Patients
from fhirproxy.policy.bodies import Json
from fhirproxy.policy.parameters import SearchQuery
from fhirproxy.policy.plans import CanonicalRequest, Deny

# Of an interaction of which nothing else is known here, these members are names and ids.
PLAIN = ("type", "id", "version", "name", "compartment")
MOST_PATIENTS = 20  # named one by one

Tree = dict[str, Json]


def interaction_name(wanted: object) -> str:
    """Return FHIR's name of an interaction where it has one: `search-type`, `read`, …"""
    name = type(wanted).__name__
    if name == "History":
        level = "system" if getattr(wanted, "type", None) is None else "type"
        return f"history-{'instance' if getattr(wanted, 'id', None) else level}"
    if name.endswith("Operation"):
        return "operation"
    return {"VRead": "vread", "Bundled": "batch", "Page": "search-type"}.get(name) or _hyphened(name)


def describe_interaction(wanted: object, *, values: bool = False) -> Tree:
    """Return what a request was understood to ask for. values: of search parameters too, not their names alone."""
    found: Tree = {"interaction": interaction_name(wanted)}
    for name in PLAIN:
        member = getattr(wanted, name, None)
        if isinstance(member, str) and member:
            found[name] = member
    query = getattr(wanted, "query", None)
    if isinstance(query, SearchQuery):
        pairs = [
            *(criterion.as_pair() for criterion in query.criteria),
            *(include.as_pair() for include in query.includes),
        ]
        found["parameters"] = [f"{name}={value}" if values else name for name, value in pairs]
        found["sort"] = list(query.sort)
        found["count"] = query.count
    return found


def describe_grant(grant: Grant) -> Tree:
    """Return one grant: its scope, whom it reaches, and what else confines it."""
    filters = "&".join(f"{name}={value}" for name, value in grant.filters)
    scope = f"{grant.level}/{grant.resource}.{grant.letters}" + (f"?{filters}" if filters else "")
    found: Tree = {"scope": scope, "patients": _patients(grant.patients)}
    if grant.instance:
        found["instance"] = grant.instance
    return found


def describe_grants(authority: Authority) -> list[Json]:
    """Return every grant of an authority."""
    return [describe_grant(grant) for grant in authority.grants]


def describe_plan(plan: object, *, values: bool = False) -> Tree:
    """Return what was decided: the rule, the reason of a denial, and what is or would be asked upstream."""
    if isinstance(plan, Deny):
        found: Tree = {"rule": plan.rule, "reason": plan.reason, "status": plan.status}
        return found | ({"missing_scope": plan.scope} if plan.scope else {})
    found = {"plan": _hyphened(type(plan).__name__), "rule": getattr(plan, "rule", "allow")}
    mode = getattr(plan, "mode", "")
    if isinstance(mode, str) and mode:
        found["mode"] = mode
    if is_dataclass(plan):
        for one in fields(plan):
            member = getattr(plan, one.name)
            if isinstance(member, CanonicalRequest):
                found[one.name] = member.target if values else without_values(member.target)
            elif one.name == "request" and member is None:
                found["request"] = None
            elif one.name == "is_full":
                found["is_full"] = bool(member)
    via = getattr(plan, "via", ())
    return found | {"via": [describe_grant(grant) for grant in via if isinstance(grant, Grant)]}


def without_values(target: str) -> str:
    """Return a canonical target with the names of its parameters alone."""
    path, _, query = target.partition("?")
    names = [pair.partition("=")[0] for pair in query.split("&")] if query else []
    return f"{path}?{'&'.join(names)}" if names else path


def _patients(patients: Patients) -> Json:
    if isinstance(patients, Everyone):
        return "everyone"
    ids = sorted(patients)
    named: list[Json] = [*ids[:MOST_PATIENTS]]
    return named if len(ids) <= MOST_PATIENTS else [*named, f"and {len(ids) - MOST_PATIENTS} more"]


def _hyphened(name: str) -> str:
    return "".join(f"-{one.lower()}" if one.isupper() else one for one in name).removeprefix("-")
