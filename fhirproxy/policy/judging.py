"""Judge a write: what is there now and what would be there, each against the grants of the same letter.

Only what was judged becomes a request: the body of every write is one of ours, made from a checked tree. Source: SMART
2.2 scopes-and-launch-context; FHIR R4 http and resource ("Security Labels").
"""

from dataclasses import dataclass

from fhirproxy.policy.authority import Everyone, Grant
from fhirproxy.policy.bodies import Resource, write_json
from fhirproxy.policy.compartments import (
    Checked,
    Known,
    Unchecked,
    check,
    find_unchecked,
    is_member,
)
from fhirproxy.policy.jsonpatch import PatchFailed, apply_patch, copy_tree, is_same
from fhirproxy.policy.kept_attachments import with_kept
from fhirproxy.policy.mentions import MAX_TARGETS, Mentions, take_mentions
from fhirproxy.policy.outcomes import FhirRefusal, forbidden, not_found, unprocessable
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.references import Bases, Local, classify, is_id, values_at
from fhirproxy.policy.rewriting import localise
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.policy.written import parse_clean
from smartauth.errors import Refusal
from smartauth.policy import r4

LARGEST_BODY = 10 * 1024 * 1024  # bytes
PRIMARY_REFERENCE = frozenset({"reference", "display", "type"})
LABELS = (("_tag", "tag"), ("_profile", "profile"))


@dataclass(frozen=True, slots=True)
class Draft:
    """A resource as it would be written: in our words, with what it refers to. Not yet judged."""

    unchecked: Unchecked
    mentions: Mentions


@dataclass(frozen=True, slots=True)
class Before:
    """What a write finds: inside the authority, and at which version (empty: the upstream has none)."""

    checked: Checked
    version: str


def judge_before(
    plan: WritePlan, found: Unchecked | None, version: str, bases: Bases, known: Known, *, is_deleted: bool
) -> Before:
    """Return what is there, inside the authority of the letter. Raises FhirRefusal: 404, 410, 412 or 501."""
    if found is None:
        if is_deleted and plan.is_full:
            raise FhirRefusal(410, "deleted", Refusal("read.deleted", "the resource was deleted"))
        raise not_found("deleted upstream" if is_deleted else "absent upstream")
    checked = check_written(found, plan, bases, known)
    if checked is None:
        raise not_found("the upstream has it, and it is outside the authority")
    if plan.version and plan.version != version:
        raise version_conflict("the version in If-Match is not the current one")
    if not version and not plan.is_full and not plan.switches.allow_unversioned:
        reason = "the FHIR server has no versions, so a write cannot be tied to what was checked"
        raise FhirRefusal(501, "not-supported", Refusal("write.unversioned", reason))
    return Before(checked, version)


def check_written(unchecked: Unchecked, plan: WritePlan, bases: Bases, known: Known) -> Checked | None:
    """Return the resource as checked when the grants of the write admit it, else None.

    A device or schedule that names nobody is everybody's to read, and so nobody's to write who reaches single patients.
    """
    free = tuple(grant for grant in plan.via if isinstance(grant.patients, Everyone))
    checked = check(unchecked, free, plan.letter, bases, known)
    if checked is not None:
        return checked
    facts = r4.memberships()[unchecked.type]
    if facts.cls == "conditional" and not any(
        isinstance(classify(value, bases), Local)
        for path in facts.primary
        for value in values_at(unchecked.resource, STEPS[path])
    ):
        return None
    return check(unchecked, plan.via, plan.letter, bases, known)


def version_conflict(reason: str) -> FhirRefusal:
    """Return the refusal of a write that came too late: 412."""
    return FhirRefusal(412, "conflict", Refusal("write.version", reason, fix="Read the resource again and repeat."))


def version_of(resource: Resource, etag: str) -> str:
    """Return the version of a resource as the upstream gave it, from `meta` or else its entity tag, or empty."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    if isinstance(version, str) and is_id(version):
        return version
    text = etag.strip().removeprefix("W/").strip('"')
    return text if is_id(text) else ""


def draft(plan: WritePlan, before: Before | None, bases: Bases, known: Known) -> Draft:
    """Return what a create, update or patch would write. Raises FhirRefusal: 400, 403 or 422."""
    if plan.verb == "patch":
        if before is None:
            raise AssertionError(plan)
        resource = _patched(plan, before, bases, known)
    else:
        resource = copy_resource(plan.resource or {})
    if plan.id:
        resource = {"resourceType": plan.type, "id": plan.id, **resource}
    # The one element whose references stay as they are: it may not be changed, so it need not be judged.
    apart_from = frozenset({"link"}) if plan.type == "Patient" else frozenset[str]()
    mentions = take_mentions(resource, bases, apart_from=apart_from)
    if before is not None and not plan.is_full:
        _keep_labels(plan, before.checked.resource, resource)
    return Draft(Unchecked(resource, plan.type, plan.id), mentions)


def copy_resource(resource: Resource) -> Resource:
    """Return a resource that shares nothing with `resource`."""
    return {name: copy_tree(value) for name, value in resource.items()}


def _patched(plan: WritePlan, before: Before, bases: Bases, known: Known) -> Resource:
    """A test tells what a resource holds, so it is for those who may read it; others would guess value by value."""
    current = before.checked
    if any(change.op == "test" for change in plan.changes):
        readable = check(Unchecked(current.resource, current.type, current.id), plan.readers, "r", bases, known)
        if readable is None:
            raise forbidden("patch.test", "a patch that tests values needs the letter r on the resource")
    seen = copy_resource(current.resource)
    localise(seen, bases)  # The patch is about what the client sees.
    try:
        result = apply_patch(seen, plan.changes)
    except PatchFailed as why:
        raise unprocessable("patch.failed", f"the patch cannot be applied: {why}") from None
    if not isinstance(result, dict) or (result.get("resourceType"), result.get("id")) != (plan.type, plan.id):
        raise unprocessable("patch.identity", "a patch cannot change the type or the id")
    resource = parse_clean(write_json(result), plan.type)
    resource.pop("id")
    return resource


def _keep_labels(plan: WritePlan, before: Resource, after: Resource) -> None:
    """Security labels stay exactly as they were; what was not said about them in an update is carried over."""
    was, now = _meta(before), _meta(after)
    labels = was.get("security")
    if plan.verb == "update" and labels and "security" not in now:
        now = {**now, "security": labels}
        after["meta"] = now
    if not is_same(labels or [], now.get("security") or []):
        raise forbidden("write.security_labels", "security labels cannot be changed with this token")
    used = {name for grant in plan.type_grants for name, _ in grant.filters}
    for parameter, element in LABELS:
        if parameter in used and not is_same(was.get(element) or [], now.get(element) or []):
            raise forbidden("write.labels", f"a scope of this token depends on meta.{element}, so it cannot be changed")


def _meta(resource: Resource) -> Resource:
    meta = resource.get("meta")
    return meta if isinstance(meta, dict) else {}


def judge_after(plan: WritePlan, before: Before | None, drafted: Draft, bases: Bases, known: Known) -> Checked:
    """Return the draft as checked. Raises FhirRefusal: 403 when it would lie outside, 422 for what it refers to."""
    unchecked = drafted.unchecked
    checked = check_written(unchecked, plan, bases, known)
    if checked is None:
        raise forbidden(
            "write.outside",
            "what would be written lies outside what this token may write",
            fix="The resource must be about a patient of this token, and match the filter of its scope.",
        )
    _require_no_labels(plan, before, unchecked.resource)
    if isinstance(checked.via.patients, Everyone):
        return checked
    _require_plain_subject(unchecked)
    if plan.type == "Patient":
        _require_same_links(before, unchecked.resource, bases)
    if before is not None:
        known = with_kept(plan, before.checked, checked, bases, known)
    _require_members(drafted.mentions, checked.via, bases, known)
    return checked


def _require_no_labels(plan: WritePlan, before: Before | None, resource: Resource) -> None:
    if before is None and not plan.is_full and _meta(resource).get("security"):
        raise forbidden("write.security_labels", "security labels cannot be set with this token")


def _require_plain_subject(unchecked: Unchecked) -> None:
    """Beside a literal reference an identifier or an extension could name somebody else to another reader."""
    for path in r4.memberships()[unchecked.type].primary:
        for value in values_at(unchecked.resource, STEPS[path]):
            if isinstance(value, dict) and not value.keys() <= PRIMARY_REFERENCE:
                reason = f"{path} is a reference with display and type, and nothing else"
                raise unprocessable("write.primary_reference", reason)


def _require_same_links(before: Before | None, resource: Resource, bases: Bases) -> None:
    was: Resource = {"link": copy_tree(before.checked.resource.get("link")) if before else None}
    take_mentions(was, bases)
    if not is_same(was["link"] or [], resource.get("link") or []):
        raise forbidden("write.patient_link", "links between patients cannot be changed with this token")


def _require_members(mentions: Mentions, grant: Grant, bases: Bases, known: Known) -> None:
    if len(mentions.locals) > MAX_TARGETS:
        raise unprocessable("write.references", "the body refers to more than 50 resources")
    if mentions.is_unclear or not all(is_reachable(local, grant, bases, known) for local in mentions.locals):
        raise unprocessable("write.reference", "the body refers to something absent or outside what this token reaches")


def to_look_up(mentions: Mentions) -> tuple[Local, ...]:
    """Return the resources that must be fetched before references are judged. More than the limit: none."""
    if len(mentions.locals) > MAX_TARGETS:
        return ()
    return tuple(
        local
        for local in sorted(mentions.locals, key=str)
        if local.type != "Patient" and r4.memberships()[local.type].cls != "shared"
    )


def is_reachable(local: Local, grant: Grant, bases: Bases, known: Known) -> bool:
    """Say whether a confined writer may point at a resource: shared, a patient of theirs, or one of a patient's."""
    if isinstance(grant.patients, Everyone) or r4.memberships()[local.type].cls == "shared":
        return True
    if local.type == "Patient":
        return local.id in grant.patients
    found = find_unchecked(known.get((local.type, local.id)))
    if found is None or (found.type, found.id) != (local.type, local.id):
        return False
    return is_member(found, grant.patients, bases, known)


def write_body(checked: Checked) -> bytes:
    """Return a checked resource as it is sent. Raises FhirRefusal (413)."""
    return require_sendable(write_json(checked.resource))


def require_sendable(body: bytes) -> bytes:
    """Return a body that is not too large to be sent. Raises FhirRefusal (413)."""
    if len(body) > LARGEST_BODY:
        raise FhirRefusal(413, "too-long", Refusal("body.size", "the resource would be larger than 10 MiB"))
    return body
