"""What operators are told of a moment: each number is right, bounded, and says nothing of anybody's record."""

import json
import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from clients.models import Activation, ChangeRequest, Client, KeyFinding, KeyWatchRound, Tenant
from smartauth import keys
from smartauth.audit.models import AuditRecord
from smartauth.models import SigningKey
from smartauth.operations.details import details
from smartauth.operations.facts import MOST_NAMED, read_facts
from smartauth.operations.metrics import exposition
from smartauth.receipts.models import Receipt, RefusalCount
from tests.factories import NOW, make_client, make_tenant, phone_app, service
from tests.servers import ROOT

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(**options: Any) -> Samples:
    body, _ = exposition(read_facts(NOW), marks_read_ago=0.5, **options)
    return parsed(body)


def parsed(body: bytes) -> Samples:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(body.decode())
        for sample in family.samples
    }


def only(samples: Samples, name: str) -> dict[str, float]:
    """Return the samples of one metric by the values of its labels."""
    return {" ".join(value for _, value in labels): number for (one, labels), number in samples.items() if one == name}


def told() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(json.dumps(details(read_facts(NOW), marks_read_ago=0.5)))
    return found


def receipt(endpoint: str, error: str, rule: str, minutes: float, **more: Any) -> None:
    Receipt.objects.create(
        trace_id=uuid.uuid4(),
        at=NOW - timedelta(minutes=minutes),
        endpoint=endpoint,
        method="POST",
        status=400,
        error=error,
        rule=rule,
        reason="secret words about Ana",
        **more,
    )


@pytest.fixture
def partner(db) -> Client:
    return make_client(service(jwks_uri="https://a.example.org/jwks.json")).client


def find(client: Client, kind: str, minutes: float = 5, *, resolved: bool = False) -> None:
    at = NOW - timedelta(minutes=minutes)
    KeyFinding.objects.create(
        client=client, kind=kind, first_seen_at=at, last_seen_at=at, resolved_at=at if resolved else None
    )


@pytest.mark.django_db
def test_an_empty_server_has_every_number_that_alerts_stand_on():
    samples = scrape()
    assert samples["smartauth_database_up", ()] == 1
    assert samples["smartauth_marks_read_age_seconds", ()] == 0.5
    assert only(samples, "smartauth_clients") == dict.fromkeys(Client.Status.values, 0)
    assert only(samples, "smartauth_key_findings") == dict.fromkeys(KeyFinding.Kind.values, 0)
    assert only(samples, "smartauth_signing_keys") == {"active": 0, "next": 0, "retired": 0}
    assert samples["smartauth_activations_waiting", ()] == 0
    assert not only(samples, "smartauth_key_watch_age_seconds")  # It has never run: absent, not 0.


@pytest.mark.django_db
def test_without_a_database_that_is_what_is_told():
    body, _ = exposition(None, marks_read_ago=None)
    assert parsed(body) == {("smartauth_database_up", ()): 0}
    assert details(None, marks_read_ago=3.21) == {"database": {"up": False}, "marks": {"read_age_seconds": 3.2}}


def test_open_findings_are_counted_by_kind_and_dated_by_client(partner: Client):
    other = make_client(service(client_id="other", jwks_uri="https://b.example.org/jwks.json")).client
    find(partner, "unreachable", 10)
    find(other, "unreachable", 5)
    find(other, "certificate-ends", 1)
    find(partner, "empty", resolved=True)
    samples = scrape()
    assert only(samples, "smartauth_key_findings")["unreachable"] == 2
    assert only(samples, "smartauth_key_findings")["empty"] == 0
    assert only(samples, "smartauth_key_finding_age_seconds") == {
        "bulk-loader unreachable": 600,
        "other unreachable": 300,
        "other certificate-ends": 60,
    }
    watch = told()["key_watch"]
    assert [(one["client_id"], one["kind"]) for one in watch["open_findings"]] == [
        ("bulk-loader", "unreachable"),
        ("other", "unreachable"),
        ("other", "certificate-ends"),
    ]
    assert watch["more_open_findings"] == 0


def test_however_many_findings_there_are_the_series_are_bounded(partner: Client):
    like = Client.objects.get()
    for number in range(MOST_NAMED // 2):
        like.pk, like.client_id = None, f"loader-{number}"
        like.save(force_insert=True)
        for kind in ("empty", "certificate-ends", "kid-clash"):
            find(like, kind, number)
    samples = scrape()
    assert len(only(samples, "smartauth_key_finding_age_seconds")) == MOST_NAMED
    assert only(samples, "smartauth_key_findings")["empty"] == MOST_NAMED // 2
    assert told()["key_watch"]["more_open_findings"] == MOST_NAMED // 2


@pytest.mark.django_db
def test_the_age_of_the_last_round_of_the_watch():
    KeyWatchRound.objects.create(
        pk=1,
        began_at=NOW - timedelta(seconds=100),
        ended_at=NOW - timedelta(seconds=90),
        key_sets=7,
        fetched=2,
        failed=1,
        new_findings=3,
    )
    samples = scrape()
    assert samples["smartauth_key_watch_age_seconds", ()] == 90
    assert samples["smartauth_key_watch_key_sets", ()] == 7
    assert samples["smartauth_key_watch_failed", ()] == 1
    last = told()["key_watch"]["last_round"]
    assert (last["age_seconds"], last["fetched"], last["new_findings"]) == (90, 2, 3)


@pytest.mark.django_db
def test_refusals_of_the_last_hour_are_counted_by_endpoint_and_error():
    receipt("token", "invalid_client", "assertion.aud", 1)
    receipt("token", "invalid_client", "jwks.kid_unknown", 59)
    receipt("token", "invalid_grant", "code.expired", 2)
    receipt("fhir", "forbidden", "scope", 3)
    receipt("fhir", "forbidden", "scope", 61)
    minute = (NOW - timedelta(minutes=5)).replace(second=0, microsecond=0)
    for source, count in (("192.0.2.1", 40), ("192.0.2.2", 2)):
        RefusalCount.objects.create(minute=minute, source=source, rule="client.secret", count=count)
    RefusalCount.objects.create(minute=minute - timedelta(hours=1), source="x", rule="client.secret", count=9)
    samples = scrape()
    assert only(samples, "smartauth_refusals_last_hour") == {
        "token invalid_client": 2,
        "token invalid_grant": 1,
        "fhir forbidden": 1,
    }
    assert only(samples, "smartauth_refusals_only_counted_last_hour") == {"client.secret": 42}
    assert told()["refusals_last_hour"] == {
        "by_rule": {"assertion.aud": 1, "code.expired": 1, "jwks.kid_unknown": 1, "scope": 1},
        "only_counted_by_rule": {"client.secret": 42},
    }


@pytest.mark.django_db
def test_who_waits_for_an_operator_is_counted():
    make_tenant("sandbox")
    closed = make_tenant("closed")
    Tenant.objects.filter(slug="closed").update(is_active=False)
    approved = make_client(phone_app(), activate_at=()).client
    waiting = make_client(service(jwks_uri="https://a.example.org/j"), status=Client.Status.SUBMITTED).client
    gone = make_client(phone_app(client_id="gone"), status=Client.Status.RETIRED).client
    Client.objects.filter(pk=waiting.pk).update(updated=NOW - timedelta(hours=2))
    sandbox = Tenant.objects.get(slug="sandbox")
    declined = make_client(phone_app(client_id="declined-here")).client
    for client, tenant, decided_at in (
        (approved, sandbox, None),
        (waiting, sandbox, None),
        (gone, sandbox, None),
        (declined, sandbox, NOW),
        (approved, Tenant.objects.get(pk=closed.pk), None),
    ):
        Activation.objects.create(client=client, tenant=tenant, is_active=False, decided_at=decided_at)
    ChangeRequest.objects.create(client=approved, before={}, wanted={})
    ChangeRequest.objects.create(client=approved, before={}, wanted={}, state="declined", decided_at=NOW)
    samples = scrape()
    assert samples["smartauth_activations_waiting", ()] == 2
    assert samples["smartauth_change_requests_waiting", ()] == 1
    assert samples["smartauth_oldest_submitted_client_age_seconds", ()] == 7200
    counts = only(samples, "smartauth_clients")
    assert (counts["approved"], counts["submitted"], counts["retired"]) == (2, 1, 1)
    assert told()["clients"]["submitted_since"] == (NOW - timedelta(hours=2)).isoformat()


@pytest.mark.django_db
def test_our_keys_have_ages_and_the_next_one_a_day():
    keys.make_missing(NOW)
    later = NOW - timedelta(minutes=4)
    SigningKey.objects.update(activated_at=NOW - timedelta(days=80), created_at=NOW - timedelta(days=80))
    waiting = keys.make_key(SigningKey.Purpose.ACCESS_TOKEN, "ES256")
    waiting.created_at = later
    waiting.save()
    retired = keys.make_key(SigningKey.Purpose.ACCESS_TOKEN, "ES256")
    retired.state, retired.retired_at, retired.created_at = SigningKey.State.RETIRED, later, NOW - timedelta(days=99)
    retired.save()
    samples = scrape()
    assert only(samples, "smartauth_signing_key_age_seconds") == {
        "ES256 access_token active": 80 * 86_400,
        "ES256 access_token next": 240,
        "ES256 id_token active": 80 * 86_400,
        "RS256 id_token active": 80 * 86_400,
    }
    assert only(samples, "smartauth_signing_keys") == {"active": 3, "next": 1, "retired": 1}
    by_kid = {one["kid"]: one for one in told()["signing_keys"]}
    assert by_kid[waiting.kid]["may_sign_from"] == (later + keys.PUBLISHED_BEFORE_USE).isoformat()
    assert by_kid[retired.kid]["published_until"] == (later + keys.longest_use()).isoformat()


@pytest.mark.django_db
def test_the_age_of_the_newest_audit_record():
    AuditRecord.objects.create(action="read", at=NOW - timedelta(seconds=30), patient="ana")
    assert scrape()["smartauth_audit_record_age_seconds", ()] == 30


def test_nothing_names_a_person_a_record_an_address_or_a_secret(partner: Client):
    secrets = ("Bulk Loader", "Ana", "ana", "192.0.2.77", "dr-grey", "a.example.org", "PRIVATE KEY", "secret words")
    find(partner, "unreachable")
    receipt("token", "invalid_client", "client.secret", 1, client_id="mallory", remote_address="192.0.2.77", seen="Ana")
    AuditRecord.objects.create(action="read", at=NOW, patient="ana", query="Patient/ana", remote_address="192.0.2.77")
    RefusalCount.objects.create(minute=NOW, source="192.0.2.77", rule="client.secret", count=1)
    keys.make_missing(NOW)
    body, _ = exposition(read_facts(NOW), marks_read_ago=0.0)
    for text in (body.decode(), json.dumps(told())):
        assert [one for one in (*secrets, "mallory") if one in text] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("", "text/plain; version=0.0.4; charset=utf-8"),
        ("application/openmetrics-text; version=1.0.0", "application/openmetrics-text; version=1.0.0"),
    ],
)
def test_the_format_is_the_one_the_scraper_takes(accept, content_type):
    body, told_type = exposition(read_facts(NOW), marks_read_ago=0.0, accept=accept)
    assert told_type.startswith(content_type)
    assert b"# TYPE smartauth_database_up gauge" in body


@pytest.mark.django_db
def test_a_scrape_costs_few_statements(django_assert_max_num_queries):
    with django_assert_max_num_queries(18):
        read_facts(NOW)


def test_the_page_about_metrics_names_those_there_are_and_all_of_them(partner: Client):
    find(partner, "empty")
    keys.make_missing(NOW)
    Client.objects.update(status=Client.Status.SUBMITTED)
    AuditRecord.objects.create(action="read")
    KeyWatchRound.objects.create(pk=1, began_at=NOW, ended_at=NOW, key_sets=1, fetched=1, new_findings=1)
    receipt("token", "invalid_client", "assertion.aud", 1)
    RefusalCount.objects.create(minute=NOW, source="x", rule="client.secret", count=1)
    page = (ROOT / "docs" / "how-to" / "metrics.md").read_text().replace("`…_failed`", "`smartauth_key_watch_failed`")
    assert set(re.findall(r"smartauth_[a-z_]+", page)) == {name for name, _ in scrape()}
