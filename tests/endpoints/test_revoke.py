"""Revocation.  RFC 7009 §2."""

from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.digests import digest
from smartauth.marks.models import Mark
from smartauth.models import AccessToken, Authorization, RefreshToken
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from smartauth.sandbox.minting import mint
from tests.endpoints.conftest import Post, Service
from tests.factories import make_client, phone_app

REVOKE = "/auth/sandbox/revoke"


@pytest.mark.requirement("HDR-05", "REVOKE-01")
def test_an_access_token_is_revoked_by_its_client(
    post: Post, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token, other = get_token(bulk_loader), get_token(bulk_loader)
    answer = post(REVOKE, {"token": token, "token_type_hint": "refresh_token", **bulk_loader.credentials()})
    assert (answer.status_code, answer.content) == (200, b"")
    assert "Content-Type" not in answer.headers
    assert answer.headers["Cache-Control"] == "no-store"
    assert AccessToken.objects.get(token_checksum=digest(token)).revoked_at is not None
    assert AccessToken.objects.get(token_checksum=digest(other)).revoked_at is None
    assert Mark.objects.filter(tag=f"token:{digest(token)}").exists()
    assert AuditRecord.objects.get(action="revoke").client_id == "bulk-loader"


@pytest.mark.requirement("REVOKE-04")
@pytest.mark.parametrize("token", ["unknown", "ü", "a.b.c"])
def test_an_unknown_token_is_fine(post: Post, bulk_loader: Service, token: str) -> None:
    assert post(REVOKE, {"token": token, **bulk_loader.credentials()}).status_code == 200


@pytest.mark.requirement("REVOKE-04")
def test_revoking_twice_is_fine_and_keeps_the_first_moment(
    post: Post, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    post(REVOKE, {"token": token, **bulk_loader.credentials()})
    first = AccessToken.objects.get().revoked_at
    assert post(REVOKE, {"token": token, **bulk_loader.credentials()}).status_code == 200
    assert AccessToken.objects.get().revoked_at == first


@pytest.mark.requirement("REVOKE-03")
def test_another_clients_token_is_refused_and_stays_alive(
    post: Post, bulk_loader: Service, register: Callable[..., Service], get_token: Callable[..., str]
) -> None:
    token, mallory = get_token(bulk_loader), register("mallory")
    answer = post(REVOKE, {"token": token, **mallory.credentials()})
    assert (answer.status_code, answer.json()["error"]) == (400, "unauthorized_client")
    assert Receipt.objects.get(trace_id=answer.json()["trace_id"]).rule == "revoke.not_yours"
    assert AccessToken.objects.get().revoked_at is None


@pytest.mark.requirement("REVOKE-02")
def test_a_public_client_names_itself(post: Post, tenant: TenantInfo) -> None:
    make_client(phone_app(scope="patient/*.rs"), activate_at=(tenant,))
    claims = {"client_id": "growth-chart", "tenant": "sandbox", "scope": "patient/*.rs", "patient": "ana"}
    token = mint(claims, user=None, now=timezone.now())
    assert post(REVOKE, {"token": token, "client_id": "growth-chart"}).status_code == 200
    assert AccessToken.objects.get().revoked_at is not None


def test_a_refresh_token_ends_its_whole_authorization(post: Post, tenant: TenantInfo) -> None:
    registered = make_client(phone_app(scope="patient/*.rs"), activate_at=(tenant,))
    user, now = User.objects.create(username="ana"), timezone.now()
    authorization = Authorization.objects.create(
        kind="user", client=registered.client, tenant_id=tenant.pk, user=user, auth_time=now
    )
    RefreshToken.objects.create(
        user=user, application=registered.client, authorization=authorization, token_checksum=digest("a refresh token")
    )
    assert post(REVOKE, {"token": "a refresh token", "client_id": "growth-chart"}).status_code == 200
    authorization.refresh_from_db()
    assert authorization.revoked_at is not None
    assert authorization.revoked_by == "client"
    assert Mark.objects.filter(tag=f"authorization:{authorization.pk}").exists()


@pytest.mark.requirement("REVOKE-02", "REVOKE-06")
def test_without_authentication_nothing_is_revoked(
    post: Post, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    for params in ({}, {"client_id": "bulk-loader"}, {**bulk_loader.credentials(iss="x")}):
        answer = post(REVOKE, {"token": token, **params})
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert AccessToken.objects.get().revoked_at is None


def test_the_token_parameter_is_required(post: Post, bulk_loader: Service) -> None:
    assert post(REVOKE, bulk_loader.credentials()).json()["error"] == "invalid_request"


def test_only_post_is_taken(client: Any, tenant: TenantInfo) -> None:
    assert client.get(REVOKE).status_code == 405
