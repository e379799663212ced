"""Exports that nobody deleted end at the FHIR server, too, and are forgotten here once they have.

Bulk Data Access IG, "Bulk Data Delete Request". The server behind is scripted.
"""

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import call_command

from clients import tenants
from fhirproxy import bulk_expiry, bulk_jobs
from fhirproxy.bulk_expiry import PATIENCE, Purged
from fhirproxy.models import BulkJob, Upstream
from tests.proxy.conftest import Caller, Mint
from tests.proxy.scripted import Said, Scripted
from tests.proxy.test_bulk import EVERYTHING, kick_off
from tests.proxy.test_bulk_upstreams import BEARER, STATUS, behind
from tests.servers import free_port

__all__ = ["behind"]

DELETE = f"DELETE {STATUS}"


def expire(*, since: timedelta = timedelta(hours=1)) -> None:
    """Let every job have ended so long ago."""
    end = datetime.now(UTC) - since
    BulkJob.objects.update(created_at=end - bulk_jobs.LIFETIME, expires_at=end)


@pytest.fixture
def expired(behind: Scripted, minted: Mint, call: Caller) -> Scripted:
    """A server on which there is one export that has ended."""
    kick_off(call, minted(EVERYTHING))
    expire()
    behind.asked.clear()
    return behind


def purge() -> Purged:
    return bulk_expiry.purge(datetime.now(UTC))


@pytest.mark.requirement("BULK-15")
@pytest.mark.parametrize("status", [202, 200, 404, 410, 405])
def test_what_has_ended_is_deleted_upstream_and_then_here(expired: Scripted, status: int) -> None:
    expired.answers[DELETE] = Said(status)
    assert purge() == Purged(1, 0)
    assert expired.lines() == [DELETE]
    assert expired.headers_of(DELETE)["authorization"] == f"Bearer {BEARER}"
    assert not BulkJob.objects.exists()


@pytest.mark.parametrize("status", [401, 429, 500, 503])
def test_what_the_upstream_does_not_delete_is_kept_for_a_week(expired: Scripted, status: int) -> None:
    expired.answers[DELETE] = Said(status)
    assert purge() == Purged(0, 1)
    assert BulkJob.objects.exists()
    expired.answers[DELETE] = Said(202)
    assert purge() == Purged(1, 0)


def test_after_a_week_it_is_forgotten_whatever_the_upstream_says(expired: Scripted) -> None:
    expired.answers[DELETE] = Said(500)
    expire(since=PATIENCE + timedelta(hours=1))
    assert purge() == Purged(1, 0)
    assert expired.lines() == [DELETE]


def test_an_upstream_that_is_away_is_asked_once(behind: Scripted, minted: Mint, call: Caller) -> None:
    token = minted(EVERYTHING)
    for _ in range(3):
        kick_off(call, token)
    expire()
    behind.asked.clear()
    behind.answers[DELETE] = Said(503)
    out, err = StringIO(), StringIO()
    call_command("purge", stdout=out, stderr=err)
    assert "0 bulk exports" in out.getvalue()
    assert "3 bulk exports are kept" in err.getvalue()
    assert behind.lines() == [DELETE]


def test_what_was_deleted_or_never_began_is_not_asked_about(expired: Scripted) -> None:
    row = BulkJob.objects.get()
    row.cancelled_at = datetime.now(UTC)
    row.save()
    row.pk, row.cancelled_at, row.sealed_status_url = None, None, ""
    row.save(force_insert=True)
    assert purge() == Purged(2, 0)
    assert expired.lines() == []


def test_nothing_is_said_to_a_server_the_tenant_has_left(expired: Scripted) -> None:
    Upstream.objects.update(base_url=f"http://127.0.0.1:{free_port()}/r4")
    tenants._tenants.clear()
    assert purge() == Purged(1, 0)
    assert expired.lines() == []


def test_what_has_not_ended_stays(behind: Scripted, minted: Mint, call: Caller) -> None:
    kick_off(call, minted(EVERYTHING))
    behind.asked.clear()
    assert purge() == Purged(0, 0)
    assert (BulkJob.objects.count(), behind.lines()) == (1, [])
