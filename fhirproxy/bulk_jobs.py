"""The rows of bulk exports: reserving a place, what the upstream told, and cancelling."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from django.db import connection, transaction

from fhirproxy.models import BulkJob
from fhirproxy.policy.bulk_decisions import ExportPlan, JobScope
from fhirproxy.policy.bulk_results import Manifest
from fhirproxy.policy.outcomes import FhirRefusal
from smartauth.errors import Refusal
from smartauth.policy.access import Access
from smartauth.sealing import decrypt, encrypt

PURPOSE = "bulk job"
LIFETIME = timedelta(hours=24)
# One client's kick-offs are counted one after the other, or several at once would all find room.
LOCK = "SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))"


class StoredFile(msgspec.Struct, array_like=True, forbid_unknown_fields=True, frozen=True):
    """A file as it is sealed: its type, where the upstream has it, whether our credentials are wanted there."""

    type: str
    url: str
    needs_token: bool
    is_deletions: bool


@dataclass(frozen=True, slots=True)
class Job:
    """A live job of the client that asks. `status_url` and `files` are the upstream's own words."""

    id: UUID
    scope: JobScope
    elements: tuple[str, ...]
    request: str
    expires_at: datetime
    status_url: str
    files: tuple[StoredFile, ...]


def reserve(plan: ExportPlan, access: Access, *, tenant_pk: int, most: int, now: datetime) -> BulkJob:
    """Make the row of a job that is about to be started. Raises FhirRefusal (429) when `most` are running already.

    Call it inside a transaction together with what else must be stored with it.
    """
    with connection.cursor() as cursor:
        cursor.execute(LOCK, [f"bulk {access.tenant} {access.client_id}"])
    own = BulkJob.objects.filter(tenant_id=tenant_pk, client_id=access.client_id, expires_at__gt=now)
    if own.filter(completed_at=None, cancelled_at=None).count() >= most:
        reason = f"{most} exports of this client are running; wait for one or cancel it"
        raise FhirRefusal(429, "throttled", Refusal("bulk.too_many", reason))
    return BulkJob.objects.create(
        tenant_id=tenant_pk,
        client_id=access.client_id,
        level=plan.level,
        group=plan.group,
        types=list(plan.types),
        elements=list(plan.elements),
        request=plan.shown,
        created_at=now,
        expires_at=now + LIFETIME,
    )


def started(row: BulkJob, status_url: str) -> None:
    """Keep where the upstream tells how far the job is."""
    row.sealed_status_url = encrypt(status_url.encode(), purpose=PURPOSE)
    row.save(update_fields=["sealed_status_url"])


def dropped(row: BulkJob) -> None:
    """Forget a job the upstream did not start."""
    row.delete()


def find(job: UUID, access: Access, *, now: datetime) -> Job | None:
    """Return a job this client started at this tenant, unless it is cancelled, expired or was never really started."""
    row = BulkJob.objects.filter(
        pk=job, tenant__slug=access.tenant, client_id=access.client_id, cancelled_at=None, expires_at__gt=now
    ).first()
    if row is None or not row.sealed_status_url:
        return None
    files = _opened(row.sealed_files) if row.sealed_files else ()
    scope = JobScope(row.level, row.group, tuple(row.types))  # type: ignore[arg-type]
    return Job(row.pk, scope, tuple(row.elements), row.request, row.expires_at, status_url_of(row), files)


def _opened(sealed: str) -> tuple[StoredFile, ...]:
    return tuple(msgspec.json.decode(decrypt(sealed, purpose=PURPOSE), type=list[StoredFile]))


def completed(job: UUID, manifest: Manifest, *, now: datetime) -> None:
    """Keep where the files are; the numbers of their URLs are places in this list."""
    files = [StoredFile(one.type, one.url, manifest.needs_token, one.is_deletions) for one in manifest.files]
    sealed = encrypt(msgspec.json.encode(files), purpose=PURPOSE)
    with transaction.atomic():
        rows = BulkJob.objects.filter(pk=job, cancelled_at=None)
        rows.update(sealed_files=sealed)
        rows.filter(completed_at=None).update(completed_at=now)


def ended(job: UUID, *, now: datetime) -> None:
    """Mark a job as cancelled: it answers nothing any more, and its place is free."""
    BulkJob.objects.filter(pk=job, cancelled_at=None).update(cancelled_at=now)


def status_url_of(row: BulkJob) -> str:
    """Return where the upstream tells how far a started job is. Raises Unsealable."""
    return decrypt(row.sealed_status_url, purpose=PURPOSE).decode()
