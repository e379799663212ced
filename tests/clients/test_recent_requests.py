"""What a client asked for lately: its tokens and its refusals, and nothing about people."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import connection
from django.test import Client as Browser

from clients.key_pairs import KeyPair
from clients.models import Client
from clients.recent_requests import MOST, recent_requests
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.factories import ASSERTION_TYPE, claims_at, make_client, make_tenant, service, signed

pytestmark = pytest.mark.django_db

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def receipt(minutes: int, **values: Any) -> Receipt:
    made = {
        "trace_id": uuid4(),
        "at": NOON + minutes * MINUTE,
        "endpoint": "token",
        "method": "POST",
        "status": 401,
        "error": "invalid_client",
        "rule": "client.secret",
        "reason": "the client_secret is wrong",
        "client_id": "cardio",
        "tenant": "sandbox",
        "officer": "upstream said 42",
        "decision": {"patient": "ana", "user": 7},
        "remote_address": "192.0.2.7",
    } | values
    return Receipt.objects.create(**made)


def issued(minutes: int, **values: Any) -> AuditRecord:
    made = {
        "at": NOON + minutes * MINUTE,
        "trace_id": uuid4(),
        "action": "token",
        "rule": "token.authorization_code",
        "client_id": "cardio",
        "tenant": "sandbox",
        "user_id": 4711,
        "patient": "ana",
        "patients": ["ana"],
        "details": {"scope": "patient/*.rs", "dropped": "fax (scope.unknown)", "dpop_jkt": "thumb"},
        "remote_address": "192.0.2.7",
    } | values
    return AuditRecord.objects.create(**made)


def test_tokens_and_refusals_are_told_together_the_newest_first() -> None:
    issued(1), receipt(2), issued(3), receipt(4, endpoint="fhir", status=403, rule="scope")
    assert [(one.at.minute, one.endpoint, one.is_ok, one.status) for one in recent_requests("cardio")] == [
        (4, "fhir", False, 403),
        (3, "token", True, 200),
        (2, "token", False, 401),
        (1, "token", True, 200),
    ]


def test_a_refusal_is_told_as_its_owner_may_see_it() -> None:
    row = receipt(1, expected="a", seen="b", fix="c")
    [told] = recent_requests("cardio")
    assert told.as_json() == {
        "at": "2026-03-01T12:01:00+00:00",
        "endpoint": "token",
        "is_ok": False,
        "status": 401,
        "error": "invalid_client",
        "rule": "client.secret",
        "reason": "the client_secret is wrong",
        "expected": "a",
        "seen": "b",
        "fix": "c",
        "trace_id": str(row.trace_id),
        "tenant": "sandbox",
    }


def test_a_token_is_told_by_its_scopes() -> None:
    row = issued(1)
    [told] = recent_requests("cardio")
    assert (told.rule, told.reason) == (
        "token.authorization_code",
        "a token was issued for patient/*.rs; not granted: fax (scope.unknown)",
    )
    assert told.trace_id == row.trace_id
    issued(2, details={"scope": "system/*.rs"}, trace_id=None)
    assert recent_requests("cardio")[0].as_json()["reason"] == "a token was issued for system/*.rs"
    assert recent_requests("cardio")[0].as_json()["trace_id"] is None


def test_nothing_of_people_is_told() -> None:
    issued(1)
    receipt(2)
    told = json.dumps([one.as_json() for one in recent_requests("cardio")])
    for secret in ("ana", "4711", "192.0.2.7", "upstream", "thumb"):
        assert secret not in told


def test_other_clients_and_what_people_do_on_pages_are_left_out() -> None:
    receipt(1, client_id="mallory")
    issued(2, client_id="mallory")
    issued(3, action="read")
    for page in ("consent", "picker", "my-apps", "logout"):
        receipt(4, endpoint=page)
    assert recent_requests("cardio") == ()


def test_no_more_than_asked_for_and_never_more_than_all_that_fit() -> None:
    for minute in range(4):
        issued(minute)
        receipt(minute)
    assert [one.at.minute for one in recent_requests("cardio", limit=3)] == [3, 3, 2]
    assert recent_requests("cardio", limit=-1) == ()
    assert len(recent_requests("cardio", limit=10**9)) == 8
    assert MOST == 200


def test_two_statements_by_an_index_each(django_assert_num_queries: Any) -> None:
    issued(1)
    receipt(1)
    with django_assert_num_queries(2) as queries:
        recent_requests("cardio")
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL enable_seqscan = off")
        for query, index in zip(queries, ("audit_of_client_tokens", "receipt_of_client"), strict=True):
            cursor.execute(f"EXPLAIN {query['sql']}")
            assert index in str(cursor.fetchall())


def test_real_requests_are_found(ec: KeyPair) -> None:
    tenant: TenantInfo = make_tenant()
    make_client(service(jwks=ec.jwks), activate_at=[tenant])
    ask(ec, "system/Patient.rs fax")
    Client.objects.update(status="suspended")
    ask(ec, "system/Patient.rs")
    refused, token = recent_requests("bulk-loader")
    assert (refused.rule, refused.fix) == ("client.suspended", "Ask the operator why.")
    assert token.is_ok
    assert token.reason.startswith("a token was issued for system/Patient.rs; not granted: fax (scope")


def ask(pair: KeyPair, scope: str) -> None:
    assertion = signed(pair, claims_at(datetime.now(UTC)))
    body = f"grant_type=client_credentials&scope={scope}&client_assertion_type={ASSERTION_TYPE}"
    Browser(HTTP_HOST="127.0.0.1:8000").post(
        "/auth/sandbox/token",
        f"{body}&client_assertion={assertion}",
        content_type="application/x-www-form-urlencoded",
    )
