"""Introspection.  RFC 7662 §2; SMART 2.2 token-introspection."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.models import AccessToken, Authorization
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import describe
from smartauth.sandbox.minting import mint
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_token_client_credentials import statements
from tests.factories import make_client, make_tenant, phone_app

INTROSPECT = "/auth/sandbox/introspect"


@pytest.fixture
def auditor(register: Callable[..., Service]) -> Service:
    """A resource server with the right to introspect."""
    return register("auditor", scope="__introspect system/Patient.r")


@pytest.mark.requirement(
    "AT-08", "HDR-04", "HDR-05", "INTRO-01", "INTRO-02", "INTRO-06", "INTRO-09", "INTRO-10", "INTRO-15", "T-51"
)
def test_a_live_token_is_described_as_it_was_issued(
    post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader, "system/Patient.rs system/Observation.read")
    bearer = get_token(auditor, "__introspect")

    answer = post(INTROSPECT, {"token": token}, Authorization=f"Bearer {bearer}")

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Content-Type"] == "application/json"
    row = AccessToken.objects.get(application__client_id="bulk-loader")
    body = answer.json()
    assert body == {
        "active": True,
        "scope": "system/Patient.rs system/Observation.read",
        "client_id": "bulk-loader",
        "sub": "bulk-loader",
        "iss": "http://127.0.0.1:8000",
        "aud": "http://127.0.0.1:8000/fhir/sandbox/r4",
        "exp": int(row.expires.timestamp()),
        "iat": int(row.expires.timestamp()) - 300,
        "nbf": int(row.expires.timestamp()) - 300,
        "max_cache_age": 60,
        "jti": row.claims["jti"],
        "token_type": "Bearer",
    }


@pytest.mark.requirement("INTRO-15")
def test_what_is_told_is_remembered_for_a_minute_and_never_past_the_end(
    post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    params = {"token": token, **auditor.credentials()}
    answer = post(INTROSPECT, params)
    assert (answer.json()["max_cache_age"], answer.headers["Cache-Control"]) == (60, "no-store")
    ends_at = timezone.now() + timedelta(seconds=20)
    AccessToken.objects.filter(application__client_id="bulk-loader").update(expires=ends_at)
    body = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
    assert 0 < body["max_cache_age"] <= 20


@pytest.mark.requirement("INTRO-12")
def test_the_token_asked_about_is_no_credential_of_the_caller(
    post: Post, auditor: Service, get_token: Callable[..., str]
) -> None:
    answer = post(INTROSPECT, {"token": get_token(auditor, "__introspect")})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


@pytest.mark.requirement("INTRO-08")
def test_a_caller_may_also_authenticate_as_a_client(
    post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str]
) -> None:
    answer = post(INTROSPECT, {"token": get_token(bulk_loader), **auditor.credentials()})
    assert answer.json()["active"] is True


@pytest.mark.requirement("INTRO-03")
def test_launch_context_is_told_with_its_types(post: Post, auditor: Service, tenant: TenantInfo) -> None:
    make_client(phone_app(scope="patient/*.rs launch/patient"), activate_at=(tenant,))
    context = {"patient": "ana", "need_patient_banner": True, "fhirContext": [{"reference": "ImagingStudy/1"}]}
    claims = {"client_id": "growth-chart", "tenant": "sandbox", "scope": "launch/patient patient/Patient.rs"}
    token = mint(claims | context, user=None, now=timezone.now())
    body = post(INTROSPECT, {"token": token, **auditor.credentials()}).json()
    assert {name: body[name] for name in context} == context
    assert body["scope"] == "launch/patient patient/Patient.rs"


@pytest.mark.requirement("AT-08")
def test_a_narrowed_registration_narrows_what_is_told(
    post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader, "system/Patient.rs system/Observation.rs")
    Client.objects.filter(client_id="bulk-loader").update(scope="system/Patient.r")
    assert post(INTROSPECT, {"token": token, **auditor.credentials()}).json()["scope"] == "system/Patient.r"


def _revoked(token: AccessToken) -> None:
    AccessToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())


def _expired(token: AccessToken) -> None:
    AccessToken.objects.filter(pk=token.pk).update(expires=timezone.now() - timedelta(seconds=1))


def _authorization_revoked(token: AccessToken) -> None:
    Authorization.objects.filter(pk=token.authorization_id).update(revoked_at=timezone.now())


def _client_suspended(token: AccessToken) -> None:
    Client.objects.filter(pk=token.application_id).update(status=Client.Status.SUSPENDED)


def _deactivated(token: AccessToken) -> None:
    Activation.objects.filter(client_id=token.application_id).update(is_active=False)


ENDINGS = [
    (_revoked, "token.revoked"),
    (_expired, "token.expired"),
    (_authorization_revoked, "token.authorization_revoked"),
    (_client_suspended, "token.client_not_approved"),
    (_deactivated, "token.not_activated"),
]


@pytest.mark.requirement("AT-04", "INTRO-07", "T-61")
@pytest.mark.parametrize(("end", "rule"), ENDINGS)
def test_whatever_ends_a_token_makes_it_inactive(
    post: Post,
    bulk_loader: Service,
    auditor: Service,
    get_token: Callable[..., str],
    end: Callable[[AccessToken], None],
    rule: str,
) -> None:
    token = get_token(bulk_loader)
    assert post(INTROSPECT, {"token": token, **auditor.credentials()}).json()["active"] is True
    end(AccessToken.objects.get(application__client_id="bulk-loader"))
    answer = post(INTROSPECT, {"token": token, **auditor.credentials()})
    assert (answer.status_code, answer.content) == (200, b'{"active":false}')
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == rule


NO_TOKENS = [
    ("nonsense", "token.unknown"),
    ("a.b.c", "token.unknown"),
    ("ü", "token.syntax"),
    ("x" * 20_000, "token.syntax"),
    ("with blank", "token.syntax"),
]


@pytest.mark.requirement("INTRO-07", "T-49")
@pytest.mark.parametrize(("token", "rule"), NO_TOKENS)
def test_what_is_no_token_is_inactive(post: Post, auditor: Service, token: str, rule: str) -> None:
    answer = post(INTROSPECT, {"token": token, **auditor.credentials()})
    assert (answer.status_code, answer.content) == (200, b'{"active":false}')
    assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == rule


@pytest.mark.requirement("INTRO-07", "INTRO-08", "T-51")
def test_a_caller_without_the_right_learns_nothing(
    post: Post, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    as_client = post(INTROSPECT, {"token": token, **bulk_loader.credentials()})
    as_bearer = post(INTROSPECT, {"token": token}, Authorization=f"bearer {token}")
    for answer in (as_client, as_bearer):
        assert (answer.status_code, answer.content) == (200, b'{"active":false}')
        assert Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"]).rule == "introspect.no_right"


@pytest.mark.requirement("INTRO-10")
def test_only_tokens_of_ones_own_tenants_are_seen(
    post: Post, register: Callable[..., Service], auditor: Service, get_token: Callable[..., str]
) -> None:
    north = make_tenant("north")
    who = register("northern", activate_at=(north,))
    aud = "http://127.0.0.1:8000/auth/north/token"
    grant = {"grant_type": "client_credentials", "scope": "system/Patient.r"}
    token = post("/auth/north/token", {**grant, **who.credentials(aud=aud)}).json()["access_token"]
    by_client = post(INTROSPECT, {"token": token, **auditor.credentials()})
    by_bearer = post(INTROSPECT, {"token": token}, Authorization=f"Bearer {get_token(auditor, '__introspect')}")
    assert by_client.content == by_bearer.content == b'{"active":false}'
    AccessToken.objects.filter(application__client_id="northern").update(revoked_at=timezone.now())
    revoked = post(INTROSPECT, {"token": token, **auditor.credentials()})
    unknown = post(INTROSPECT, {"token": "unknown", **auditor.credentials()})
    seen = [describe(Receipt.objects.get(trace_id=one.headers["X-Trace-Id"]), "partner") for one in (revoked, unknown)]
    for one in seen:
        del one["trace_id"], one["at"]
    assert seen[0] == seen[1]  # That another tenant has such a token is not told.


@pytest.mark.requirement("INTRO-12")
def test_a_bearer_of_another_tenant_is_no_credential(
    post: Post, auditor: Service, get_token: Callable[..., str]
) -> None:
    make_tenant("north")
    bearer = get_token(auditor, "__introspect")
    answer = post("/auth/north/introspect", {"token": bearer}, Authorization=f"Bearer {bearer}")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["WWW-Authenticate"]


@pytest.mark.requirement("INTRO-11", "T-51")
def test_without_credentials_there_is_no_answer(
    post: Post, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    answer = post(INTROSPECT, {"token": get_token(bulk_loader)})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")
    assert answer.headers["WWW-Authenticate"] == 'Bearer realm="smartauth"'


@pytest.mark.requirement("INTRO-11")
def test_naming_a_public_client_is_no_credential(post: Post, tenant: TenantInfo) -> None:
    make_client(phone_app(scope="__introspect"), activate_at=(tenant,))
    answer = post(INTROSPECT, {"token": "x", "client_id": "growth-chart"})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")


@pytest.mark.requirement("INTRO-11", "INTRO-12")
def test_a_dead_bearer_is_no_credential(post: Post, auditor: Service, get_token: Callable[..., str]) -> None:
    bearer = get_token(auditor, "__introspect")
    AccessToken.objects.update(revoked_at=timezone.now())
    answer = post(INTROSPECT, {"token": bearer}, Authorization=f"Bearer {bearer}")
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token")


def test_the_token_parameter_is_required(post: Post, auditor: Service) -> None:
    answer = post(INTROSPECT, auditor.credentials())
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


@pytest.mark.requirement("INTRO-01")
def test_only_post_is_taken(client: Any, tenant: TenantInfo) -> None:
    answer = client.get(INTROSPECT)
    assert (answer.status_code, answer.headers["Allow"]) == (405, "POST")


def test_a_closed_tenant_ends_its_tokens(
    post: Post, bulk_loader: Service, register: Callable[..., Service], get_token: Callable[..., str]
) -> None:
    north = make_tenant("north")
    caller = register("caller", scope="__introspect", activate_at=(north,))
    token = get_token(bulk_loader)
    Tenant.objects.filter(slug="sandbox").update(is_active=False)
    aud = "http://127.0.0.1:8000/auth/north/token"
    answer = post("/auth/north/introspect", {"token": token, **caller.credentials(aud=aud)})
    assert answer.content == b'{"active":false}'
    assert post(INTROSPECT, {"token": token}).status_code == 404


def test_introspection_takes_two_statements_at_most(
    post: Post, bulk_loader: Service, auditor: Service, get_token: Callable[..., str], serving: None
) -> None:
    bearer, first, second = get_token(auditor, "__introspect"), get_token(bulk_loader), get_token(bulk_loader)
    with CaptureQueriesContext(connection) as by_bearer:
        assert post(INTROSPECT, {"token": first}, Authorization=f"Bearer {bearer}").json()["active"]
    with CaptureQueriesContext(connection) as by_client:
        assert post(INTROSPECT, {"token": second, **auditor.credentials()}).json()["active"]
    with CaptureQueriesContext(connection) as warm:
        assert post(INTROSPECT, {"token": first}, Authorization=f"Bearer {bearer}").json()["active"]
    assert (statements(by_bearer), statements(by_client), statements(warm)) == (2, 2, 1)
    assert not AuditRecord.objects.exclude(action="token").exists()
