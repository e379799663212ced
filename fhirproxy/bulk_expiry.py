"""The end of exports that nobody deleted: their files lie with the upstream, so that is told before we forget them.

Source: Bulk Data Access IG, "Bulk Data Delete Request".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import uuid4

from fhirproxy import bulk_upstream
from fhirproxy.bulk_jobs import status_url_of
from fhirproxy.models import BulkJob
from fhirproxy.policy.bulk_urls import find_job_url
from fhirproxy.tenancy import find_upstream
from fhirproxy.upstream import UpstreamError
from smartauth.sealing import Unsealable

PATIENCE = timedelta(days=7)  # after its end, until a job is forgotten although its upstream never deleted it


@dataclass(frozen=True, slots=True)
class Purged:
    """How many jobs were forgotten, and how many are kept because their upstream could not be asked to delete them."""

    deleted: int
    kept: int


def purge(now: datetime) -> Purged:
    """Delete expired jobs, upstream first. An upstream that fails once is not asked again until the next time."""
    deleted = kept = 0
    failing: set[str] = set()
    for row in BulkJob.objects.filter(expires_at__lte=now).select_related("tenant").order_by("pk").iterator():
        tenant = row.tenant.slug
        is_gone = tenant not in failing and _delete_upstream(row, tenant)
        if not is_gone:
            failing.add(tenant)
        if is_gone or row.expires_at + PATIENCE <= now:
            row.delete()
            deleted += 1
        else:
            kept += 1
    return Purged(deleted, kept)


def _delete_upstream(row: BulkJob, tenant: str) -> bool:
    """Return True when there is nothing left of a job upstream, or nothing that we could reach."""
    if row.cancelled_at is not None or not row.sealed_status_url:
        return True
    info = find_upstream(tenant)
    if info is None:
        return True
    try:
        # Held against what is configured today: nothing is said to a server the tenant has left.
        url = find_job_url(status_url_of(row), bulk_upstream.places_of(info))
        return url is None or bulk_upstream.cancel(info, url, request_id=str(uuid4())).is_taken
    except UpstreamError:
        return False
    except Unsealable:
        return True
