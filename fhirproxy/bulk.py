"""Bulk data, carried out: a kick-off becomes a job of ours, and everything about a job is judged again when it is used.

Nothing the upstream says of a job is passed on: status and manifest are written anew, files are checked line by line.
Source: Bulk Data Access IG, "Bulk Data Export Operation Request Flow".
"""

from collections.abc import Mapping
from datetime import datetime
from email.utils import format_datetime
from uuid import UUID

from django.db import transaction

from clients.tenants import TenantInfo
from fhirproxy import bulk_jobs, bulk_upstream
from fhirproxy.answers import PRIVATE
from fhirproxy.audit_events import event_by
from fhirproxy.bulk_files import Deletions, Resources, error_answer, file_answer
from fhirproxy.bulk_upstream import Reply, places_of
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawRequest, RawResponse
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import MalformedJson, parse_json
from fhirproxy.policy.bulk_decisions import ExportPlan, JobPlan, decide_export, decide_job
from fhirproxy.policy.bulk_deletions import may_hear_of_deletions
from fhirproxy.policy.bulk_requests import (
    ERROR_FILE,
    PLACE,
    BulkCancel,
    BulkExport,
    BulkFile,
    BulkInteraction,
    BulkStatus,
)
from fhirproxy.policy.bulk_results import MalformedManifest, Manifest, parse_manifest, write_manifest
from fhirproxy.policy.bulk_urls import UpstreamUrl, find_file_url, find_job_url
from fhirproxy.policy.outcomes import FhirRefusal, bad_request, not_found
from fhirproxy.policy.plans import Deny
from fhirproxy.supported import as_supported
from fhirproxy.upstream import UpstreamMalformed
from smartauth.audit.recording import AuditEvent, record_now, record_read
from smartauth.context import RequestContext
from smartauth.errors import Refusal
from smartauth.policy.access import Access


def carry_out(
    raw: RawRequest,
    wanted: BulkInteraction,
    tenant: TenantInfo,
    access: Access,
    authority: Authority,
    exchange: Exchange,
    *,
    now: datetime,
) -> RawResponse:
    """Answer a request about bulk data. Raises FhirRefusal, UpstreamError or AuditUnavailable."""
    if isinstance(wanted, BulkExport):
        if raw.method == "HEAD":  # Looking must not start anything.
            refusal = Refusal("http.method", "an export is started by GET or POST", expected="GET, POST")
            raise FhirRefusal(405, "not-supported", refusal, allow="GET, POST")
        plan = as_supported(decide_export(wanted, authority, access.restrictions), exchange)
        if isinstance(plan, Deny):
            raise plan.as_refusal()
        return _kick_off(raw.context, plan, tenant, access, exchange, now)
    job = bulk_jobs.find(wanted.job, access, now=now)
    if job is None:
        raise _no_job("the client has no such job that is neither cancelled nor expired")
    scope = decide_job(job.scope, authority, access.restrictions)
    if scope is None:
        raise _no_job("the authority no longer covers what the job was started for")
    match wanted:
        case BulkStatus():
            return _status(raw.context, job, scope, access, exchange, now)
        case BulkCancel():
            return _cancel(raw.context, job, access, exchange, now)
        case BulkFile():
            return _file(raw.context, job, wanted.number, scope, access, exchange)


def _kick_off(
    context: RequestContext, plan: ExportPlan, tenant: TenantInfo, access: Access, exchange: Exchange, now: datetime
) -> RawResponse:
    with transaction.atomic():  # An export that cannot be recorded is not started.
        row = bulk_jobs.reserve(plan, access, tenant_pk=tenant.pk, most=tenant.policy.max_jobs, now=now)
        facts = {"level": plan.level, "types": ",".join(plan.types)}
        record_now(context, _event("kick-off", row.pk, access, query=plan.shown, group=plan.group, facts=facts))
    try:
        exchange.calls += 1
        reply = bulk_upstream.kick_off(exchange.info, plan, request_id=exchange.request_id)
        url = _started_at(reply, plan, exchange)
    except BaseException:  # Whatever it was, a job that never started must not take a place.
        bulk_jobs.dropped(row)
        raise
    bulk_jobs.started(row, url.url)
    return RawResponse(202, (*PRIVATE, ("Content-Location", _job_url(exchange, row.pk))))


def _started_at(reply: Reply, plan: ExportPlan, exchange: Exchange) -> UpstreamUrl:
    """Return where the upstream tells how far it is. Raises FhirRefusal or UpstreamMalformed."""
    match reply.status:
        case 202:
            url = find_job_url(reply.headers.get("content-location", ""), places_of(exchange.info))
            if url is None:
                raise UpstreamMalformed("the status of the export is not on the upstream's own origin")
            return url
        case 400 | 422:
            raise bad_request("bulk.upstream_refused", "the FHIR server does not support this export")
        case 404 if plan.level == "group":
            raise not_found("the upstream knows no such Group, or no exports of groups")
        case 429:
            raise _throttled()
    raise UpstreamMalformed(f"status {reply.status} for a kick-off")


def _status(
    context: RequestContext, job: bulk_jobs.Job, plan: JobPlan, access: Access, exchange: Exchange, now: datetime
) -> RawResponse:
    exchange.calls += 1
    url = _own_url(job, exchange)
    reply = bulk_upstream.ask_status(exchange.info, url, request_id=exchange.request_id)
    match reply.status:
        case 200:
            manifest = _read_manifest(reply, plan)
            for one in manifest.files:
                _file_url(one.url, exchange, needs_token=manifest.needs_token)
            bulk_jobs.completed(job.id, manifest, now=now)
            facts = {"files": len(manifest.files), "files_removed": manifest.removed}
            record_read(context, _event("status", job.id, access, group=job.scope.group, facts=facts))
            return _manifest_answer(job, manifest, exchange)
        case 202:
            record_read(context, _event("status", job.id, access, group=job.scope.group))
            # How far the upstream is could tell how much there is, so it is not repeated.
            waiting = (("X-Progress", "in progress"), ("Retry-After", str(reply.retry_after)))
            return RawResponse(202, (*PRIVATE, *waiting))
        case 404 | 410:
            bulk_jobs.ended(job.id, now=now)
            raise _no_job("the upstream has forgotten the job")
        case 429:
            raise _throttled()
    raise UpstreamMalformed(f"status {reply.status} for the status of an export")


def _read_manifest(reply: Reply, plan: JobPlan) -> Manifest:
    try:
        return parse_manifest(parse_json(reply.body), plan)
    except (MalformedManifest, MalformedJson) as why:
        raise UpstreamMalformed(f"the manifest of an export cannot be read: {why}") from None


def _manifest_answer(job: bulk_jobs.Job, manifest: Manifest, exchange: Exchange) -> RawResponse:
    request_url = f"{exchange.info.bases.public_url}/{job.request}"
    document = write_manifest(manifest, request_url=request_url, job_url=_job_url(exchange, job.id))
    expires = ("Expires", format_datetime(job.expires_at, usegmt=True))
    return RawResponse(200, (("Content-Type", "application/json"), *PRIVATE, expires), document.encode())


def _cancel(
    context: RequestContext, job: bulk_jobs.Job, access: Access, exchange: Exchange, now: datetime
) -> RawResponse:
    record_now(context, _event("cancel", job.id, access, group=job.scope.group))
    exchange.calls += 1
    reply = bulk_upstream.cancel(exchange.info, _own_url(job, exchange), request_id=exchange.request_id)
    if not reply.is_taken:
        raise UpstreamMalformed(f"status {reply.status} for cancelling an export")
    bulk_jobs.ended(job.id, now=now)
    return RawResponse(202, PRIVATE)


def _file(
    context: RequestContext, job: bulk_jobs.Job, number: int, plan: JobPlan, access: Access, exchange: Exchange
) -> RawResponse:
    if number == ERROR_FILE:
        record_read(context, _event("file", job.id, access, group=job.scope.group, facts={"file": number}))
        return error_answer(exchange.request_id)
    if number > len(job.files):
        raise _no_job("the job has no file of this number")
    file = job.files[number - 1]
    if file.is_deletions and not may_hear_of_deletions(plan):
        raise _no_job("the authority is no longer full, so deletions are not told")
    url = _file_url(file.url, exchange, needs_token=file.needs_token)

    def note(action: str, facts: Mapping[str, str | int]) -> None:
        named = {"file": number, **facts}
        event = _event(action, job.id, access, group=job.scope.group, resource_type=file.type, facts=named)
        record_read(context, event)

    sifter = Deletions(plan, exchange) if file.is_deletions else Resources(file.type, plan, job.elements, exchange)
    return file_answer(sifter, url, exchange, client=(access.tenant, access.client_id), note=note)


def _own_url(job: bulk_jobs.Job, exchange: Exchange) -> UpstreamUrl:
    """Hold a stored URL against what is configured today: the tenant may have moved to another server since."""
    url = find_job_url(job.status_url, places_of(exchange.info))
    if url is None:
        raise UpstreamMalformed("the status of the export is no longer on the upstream's own origin")
    return url


def _file_url(text: str, exchange: Exchange, *, needs_token: bool) -> UpstreamUrl:
    url = find_file_url(text, places_of(exchange.info), needs_token=needs_token)
    if url is None:
        raise UpstreamMalformed("a file of the export is neither on the upstream's origin nor on a known file host")
    return url


def _job_url(exchange: Exchange, job: UUID) -> str:
    return f"{exchange.info.bases.public_url}/{PLACE}/{job}"


def _no_job(officer: str) -> FhirRefusal:
    refusal = Refusal("bulk.absent", "there is no such export, or it is not this client's", officer=officer)
    return FhirRefusal(404, "not-found", refusal)


def _throttled() -> FhirRefusal:
    return FhirRefusal(429, "throttled", Refusal("bulk.upstream_busy", "the FHIR server asks to wait"))


def _event(
    action: str,
    job: UUID,
    access: Access,
    *,
    query: str = "",
    group: str = "",
    resource_type: str = "",
    facts: Mapping[str, str | int] | None = None,
) -> AuditEvent:
    return event_by(
        access,
        "export",
        rule="allow",
        resource_type=resource_type or ("Group" if group else ""),
        resource_id="" if resource_type else group,
        query=query,
        details={"interaction": f"bulk-{action}", "job": str(job), **(facts or {})},
    )
