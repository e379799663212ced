"""Files that say what was deleted since: Bundles of DELETE requests, written anew from types and ids.

Nothing is left of a deleted resource to be checked, so only who may see every resource of a type hears of them.
Source: Bulk Data Access IG, "Response - Complete Status", `deleted`.
"""

from fhirproxy.policy.bodies import Json, MalformedJson, parse_resource
from fhirproxy.policy.bulk_decisions import JobPlan
from fhirproxy.policy.references import Bases, Local, find_local
from fhirproxy.policy.shaping import Shaped, written_by_us


def may_hear_of_deletions(plan: JobPlan) -> bool:
    """Return True when nothing but the type confines what is seen of each type of the job that may be told of.

    A Bundle is never told of, so it is no reason to keep silent about the others.
    """
    told = [name for name in plan.scope.types if name != "Bundle"]
    return bool(told) and all(plan.is_full(name) for name in told)


def read_deletions(line: bytes, plan: JobPlan, bases: Bases) -> Shaped | None:
    """Return the deletions of a line that are of the job's types, or None unless it is strict JSON and holds some."""
    try:
        tree = parse_resource(line)
    except MalformedJson:
        return None
    entries = tree.get("entry")
    if tree["resourceType"] != "Bundle" or tree.get("type") != "transaction" or not isinstance(entries, list):
        return None
    found = [_deleted(entry, bases) for entry in entries]
    kept = [local for local in found if local is not None and plan.is_full(local.type)]
    if not kept:
        return None
    written: list[Json] = [{"request": {"method": "DELETE", "url": str(local)}} for local in kept]
    return written_by_us({"resourceType": "Bundle", "type": "transaction", "entry": written})


def _deleted(entry: Json, bases: Bases) -> Local | None:
    request = entry.get("request") if isinstance(entry, dict) else None
    if not isinstance(request, dict) or request.get("method") != "DELETE":
        return None
    url = request.get("url")
    local = find_local(url, bases) if isinstance(url, str) else None
    return local if local is not None and local.version is None else None
