"""Decide a write: the letter, the tenant's switches, the type; then what the client sent is read.

Source: SMART 2.2 scopes-and-launch-context; FHIR R4 http, "create" to "delete".
"""

from dataclasses import replace

from fhirproxy.policy.authority import Authority, Everyone, Grant
from fhirproxy.policy.headers import require_media
from fhirproxy.policy.jsonpatch import Change, MalformedPatch, parse_patch
from fhirproxy.policy.narrowing import decide_search
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.parameters import SearchQuery, parse_search
from fhirproxy.policy.plans import Deny, Limits, SearchPlan, deny_letter, having_write_level
from fhirproxy.policy.requests import Create, Delete, Patch, Update
from fhirproxy.policy.sent import Sent
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.write_plans import LETTERS, Verb, WritePlan
from fhirproxy.policy.written import read_resource
from smartauth.policy import r4

Write = Create | Update | Patch | Delete
JSON_PATCH = frozenset({"application/json-patch+json"})
WRITTEN_BY_ALL = "Directories, drugs and definitions are everybody's; only full access to the type may change them."


def decide_write(wanted: Write, authority: Authority, limits: Limits) -> WritePlan | Deny:
    """Say what a write needs to become a request, or why it never will.

    Raises FhirRefusal (400, 415, 422) for what cannot be read of it; that is looked at last.
    """
    verb = verb_of(wanted)
    via = permitted(verb, wanted.type, authority, limits)
    if isinstance(via, Deny):
        return via
    sent = wanted.sent
    resource_id = "" if isinstance(wanted, Create) else wanted.id or ""
    plan = WritePlan(
        verb=verb,
        type=wanted.type,
        id=resource_id,
        via=via,
        type_grants=authority.having("cruds", wanted.type),
        is_full=any(grant.is_full for grant in via),
        switches=limits.writes,
        version=sent.version,
        create_via=_may_create(verb, wanted.type, authority, limits, resource_id),
        returns=sent.returns,
        shape=sent.shape,
    )
    return _with_criteria(_with_body(plan, sent), sent.criteria, authority, limits)


def verb_of(wanted: Write) -> Verb:
    """Return the name FHIR has for the interaction."""
    verbs: dict[type[Write], Verb] = {Create: "create", Update: "update", Patch: "patch", Delete: "delete"}
    return verbs[type(wanted)]


def permitted(verb: Verb, resource_type: str, authority: Authority, limits: Limits) -> tuple[Grant, ...] | Deny:
    """Return the grants with which this kind of write may be tried at all, or why there is none."""
    letter = LETTERS[verb]
    having = authority.having(letter, resource_type)
    if not having:
        return deny_letter(authority, letter, resource_type, "writing")
    grants = having_write_level(having, limits)
    if isinstance(grants, Deny):
        return grants
    cls = r4.memberships()[resource_type].cls
    if cls == "operator":
        return Deny("write.operator_type", f"{resource_type} is not written through this server")
    if cls == "shared" or (cls == "patient-self" and verb in ("create", "delete")):
        grants = tuple(grant for grant in grants if isinstance(grant.patients, Everyone))
    if not grants and cls == "shared":
        return Deny("write.shared_type", f"{resource_type} is not written for single patients", fix=WRITTEN_BY_ALL)
    if not grants:
        return Deny("write.patient", f"whoever reaches single patients cannot {verb} a Patient")
    return grants


def _may_create(
    verb: Verb, resource_type: str, authority: Authority, limits: Limits, resource_id: str
) -> tuple[Grant, ...]:
    """Return who may create what an update does not find.

    Under an id of the client's choice only full authority may: for others "outside" and "absent" would differ.
    """
    if verb != "update" or not limits.writes.update_as_create:
        return ()
    grants = permitted("create", resource_type, authority, limits)
    if isinstance(grants, Deny):
        return ()
    return tuple(grant for grant in grants if grant.is_full or not resource_id)


def _with_body(plan: WritePlan, sent: Sent) -> WritePlan:
    match plan.verb:
        case "delete":
            if sent.body:
                raise bad_request("body.unexpected", "a delete has no body")
            return plan
        case "patch":
            return replace(plan, changes=read_changes(sent.content_type, sent.body))
    resource = read_resource(sent.content_type, sent.body, plan.type)
    resource_id = resource.pop("id", None)
    resource.pop("_id", None)
    if plan.verb == "create":
        return replace(plan, resource=resource)
    if plan.id and resource_id != plan.id:
        raise bad_request("body.id", "the id in the body is not the id in the path")
    if not plan.id and resource_id is not None:
        raise bad_request("body.id", "the body of a conditional update has no id: the criteria find it")
    return replace(plan, resource=resource)


def read_changes(content_type: str, body: bytes) -> tuple[Change, ...]:
    """Return the operations of a JSON Patch. Raises FhirRefusal (400 or 415)."""
    require_media(content_type, JSON_PATCH)
    try:
        return parse_patch(body)
    except MalformedPatch as why:
        raise bad_request("patch.malformed", f"the patch cannot be read: {why}") from None


def _with_criteria(plan: WritePlan, pairs: Pairs | None, authority: Authority, limits: Limits) -> WritePlan | Deny:
    if pairs is None:
        return plan
    query = parse_search(plan.type, pairs, authority.bases, lenient=False)
    if not query.criteria:
        raise bad_request("write.criteria", "a conditional write needs at least one search parameter")
    if query != SearchQuery(criteria=query.criteria):
        raise bad_request("write.criteria", "a conditional write takes filters only")
    if plan.version:
        raise bad_request("header.if_match", "If-Match goes with one resource, not with criteria")
    search = decide_search(plan.type, query, authority, limits)
    return replace(plan, criteria=search) if isinstance(search, SearchPlan) else search
