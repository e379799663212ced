"""A write, carried out: look, judge, record, send, look again. What was allowed is recorded before it is sent."""

import logging
from dataclasses import dataclass, replace

from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.compartments import Checked, Unchecked, find_unchecked, needed
from fhirproxy.policy.decisions import read_for_ourselves, undo_request, write_request
from fhirproxy.policy.judging import (
    Before,
    check_written,
    draft,
    judge_after,
    judge_before,
    to_look_up,
    version_conflict,
    version_of,
)
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.plans import CanonicalRequest
from fhirproxy.policy.references import Local
from fhirproxy.policy.write_outcomes import refusal_of
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.resolving import resolve
from fhirproxy.upstream import UpstreamMalformed
from fhirproxy.write_answers import Written, existing_answer, written_answer
from fhirproxy.write_trail import Trail
from smartauth.errors import Refusal

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A write that may be sent. `checked` is what will be there, or for a delete what was."""

    plan: WritePlan
    request: CanonicalRequest
    checked: Checked
    version: str


def write(plan: WritePlan, authority: Authority, exchange: Exchange, trail: Trail) -> RawResponse:
    """Carry out a write. Raises FhirRefusal, UpstreamError, or AuditUnavailable before anything was sent."""
    prepared = prepare(plan, authority, exchange)
    if isinstance(prepared, Checked):
        trail.found(plan, prepared)
        return existing_answer(plan, prepared, exchange)
    trail.intend(prepared.plan, prepared.version, prepared.checked)
    try:
        result = send(prepared, exchange)
    except FhirRefusal as refused:
        if refused.status != 412 or plan.verb != "patch" or plan.version or plan.criteria:
            raise
        # Somebody else was faster: a patch says what to change and not from what, so it is worked out once more.
        prepared = prepare(plan, authority, exchange)
        if isinstance(prepared, Checked):
            raise AssertionError(plan) from None
        trail.intend(prepared.plan, prepared.version, prepared.checked)
        result = send(prepared, exchange)
    trail.done(prepared.plan, result.id, result.status, prepared.checked)
    return written_answer(prepared.plan, result, exchange)


def prepare(plan: WritePlan, authority: Authority, exchange: Exchange) -> Prepared | Checked:
    """Return what may be sent, or the resource that a conditional create found. Raises FhirRefusal or UpstreamError."""
    if plan.criteria is not None:
        found = resolve(plan, plan.criteria, authority, exchange)
        if isinstance(found, Checked):
            return found
        plan = found
    before = None
    if plan.verb != "create":
        before = look(plan, exchange)
        if before is None:
            plan = as_create(plan)
    if plan.verb == "delete" and before is not None:
        request = write_request("delete", before.checked, before.version)
        return Prepared(plan, request, before.checked, before.version)
    checked = _judged(plan, before, exchange)
    version = before.version if before else ""
    verb = "update" if plan.id else "create"
    return Prepared(plan, write_request(verb, checked, version), checked, version)


def look(plan: WritePlan, exchange: Exchange) -> Before | None:
    """Return what is there now; None when an update may create it. Raises FhirRefusal or UpstreamError."""
    bases = exchange.info.bases
    found = exchange.read(read_for_ourselves(plan.type, plan.id), Local(plan.type, plan.id))
    if found.unchecked is None and plan.create_via and not plan.version:
        return None
    known = exchange.learn(needed(found.unchecked, bases)) if found.unchecked and not plan.is_full else exchange.known
    exchange.checked += 1
    version = version_of(found.unchecked.resource, found.etag) if found.unchecked else ""
    try:
        return judge_before(plan, found.unchecked, version, bases, known, is_deleted=found.is_deleted)
    except FhirRefusal:
        exchange.removed += 1
        raise


def as_create(plan: WritePlan) -> WritePlan:
    """Return the plan for an update that found nothing, where updates may create."""
    return replace(plan, via=plan.create_via, is_full=any(grant.is_full for grant in plan.create_via), verb="create")


def _judged(plan: WritePlan, before: Before | None, exchange: Exchange) -> Checked:
    bases = exchange.info.bases
    drafted = draft(plan, before, bases, exchange.known)
    if not plan.is_full:
        learn_deeply(exchange, (*needed(drafted.unchecked, bases), *to_look_up(drafted.mentions)))
    exchange.checked += 1
    return judge_after(plan, before, drafted, bases, exchange.known)


def learn_deeply(exchange: Exchange, wanted: tuple[Local, ...]) -> None:
    """Fetch what a judgement hangs on, and what the membership of that hangs on in turn."""
    known = exchange.learn(wanted)
    for local in wanted:
        found = find_unchecked(known.get((local.type, local.id)))
        if found is not None:
            exchange.learn(needed(found, exchange.info.bases))


def send(prepared: Prepared, exchange: Exchange) -> Written:
    """Send a write and check what came of it. Raises FhirRefusal or UpstreamError."""
    plan = prepared.plan
    answer, resource = exchange.write(prepared.request)
    if plan.verb == "delete" and answer.status in (200, 202, 204):
        return Written(204, plan.id)
    if plan.verb != "create" and answer.status in (404, 410):
        raise not_found("the resource was deleted while it was being written")
    if plan.verb != "create" and answer.status == 409:
        raise version_conflict("the FHIR server says that the write conflicts with another")
    if answer.status not in (200, 201):
        raise refusal_of(answer.status, resource)
    return written(plan, find_unchecked(resource), answer.location, exchange)


def written(plan: WritePlan, found: Unchecked | None, location: str, exchange: Exchange) -> Written:
    """Return what came of a write that succeeded, checked once more; it is read where the answer does not hold it."""
    if found is None:
        found = _read_back(plan, location, exchange)
    if found.type != plan.type or (plan.id and found.id != plan.id):
        raise UpstreamMalformed("the answer is not the resource that was written")
    status = 201 if plan.verb == "create" else 200
    return Written(status, found.id, _require_inside(plan, found, exchange))


def _read_back(plan: WritePlan, location: str, exchange: Exchange) -> Unchecked:
    """Read what was written when the answer does not hold it."""
    resource_id = plan.id
    base_path = "/".join(("", *exchange.info.base.segments, ""))
    rest = exchange.info.bases.relative(location) if "://" in location else location.removeprefix(base_path)
    parts = (rest or "").split("/")
    if not resource_id and len(parts) in (2, 4) and parts[0] == plan.type:
        resource_id = parts[1]
    wanted = Local(plan.type, resource_id)
    found = exchange.read(read_for_ourselves(wanted.type, wanted.id), wanted) if resource_id else None
    if found is None or found.unchecked is None:
        raise UpstreamMalformed("the answer does not say what was written")
    return found.unchecked


def _require_inside(plan: WritePlan, found: Unchecked, exchange: Exchange) -> Checked:
    bases = exchange.info.bases
    for local in needed(found, bases):
        exchange.known.pop((local.type, local.id), None)
    known = exchange.learn(needed(found, bases))
    checked = check_written(found, plan, bases, known)
    if checked is not None:
        return checked
    exchange.removed += 1
    undone = "not undone"
    if plan.verb == "create" and plan.switches.compensate and not plan.id:
        undone = _undo(found, exchange)
    officer = f"the upstream stored {found.type}/{found.id}, which lies outside the authority; {undone}"
    _log.error("a write through request %s: %s", exchange.request_id, officer)  # Somebody must look at that server.
    refusal = Refusal("write.escaped", "what the FHIR server stored is not what was checked", officer=officer)
    raise FhirRefusal(500, "exception", refusal, public="The FHIR server stored something else than was sent.")


def _undo(found: Unchecked, exchange: Exchange) -> str:
    answer, _ = exchange.write(undo_request(found))
    return "deleted again" if answer.status in (200, 202, 204) else f"deleting it failed with status {answer.status}"
