"""The toolkit's ground holds: its stock views accept our tokens, refuse revoked ones, and its admin deletes nothing."""

from collections.abc import Callable
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.utils import timezone
from oauth2_provider.decorators import protected_resource
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from clients.models import Client
from smartauth import tokens
from smartauth.digests import digest
from smartauth.models import AccessToken
from tests.endpoints.conftest import Service, bulk_loader, get_token, post, register, tenant

__all__ = ["bulk_loader", "get_token", "post", "register", "tenant"]  # Fixtures of the endpoints, used here too.


@protected_resource(scopes=["system/Patient.rs"])
def stock_view(request: HttpRequest) -> HttpResponse:
    return HttpResponse("inside")


class HasToken(BasePermission):
    def has_permission(self, request: Request, view: APIView) -> bool:
        return request.auth is not None


class StockApi(APIView):
    """A hospital's own DRF view, with the toolkit's authentication class from our settings."""

    permission_classes = (HasToken,)

    def get(self, request: Request) -> Response:
        return Response({"client": request.auth.application.client_id})


VIEWS: list[Callable[[HttpRequest], Any]] = [stock_view, StockApi.as_view()]


def call(view: Callable[[HttpRequest], Any], token: str) -> int:
    status: int = view(RequestFactory().get("/", headers={"Authorization": f"Bearer {token}"})).status_code
    return status


@pytest.mark.parametrize("view", VIEWS)
def test_a_stock_view_accepts_our_token_and_refuses_it_once_revoked(
    bulk_loader: Service, get_token: Callable[..., str], view: Callable[[HttpRequest], Any]
) -> None:
    token = get_token(bulk_loader, "system/Patient.rs")
    assert call(view, token) == 200
    tokens.revoke_access_token(digest(token), now=timezone.now())
    assert call(view, token) in (401, 403)


@pytest.mark.parametrize("view", VIEWS)
def test_a_stock_view_asks_the_authorization_and_the_client(
    bulk_loader: Service, get_token: Callable[..., str], view: Callable[[HttpRequest], Any]
) -> None:
    token = get_token(bulk_loader, "system/Patient.rs")
    Client.objects.update(status=Client.Status.SUSPENDED)
    assert call(view, token) in (401, 403)
    Client.objects.update(status=Client.Status.APPROVED)
    assert call(view, token) == 200
    tokens.revoke_authorization(AccessToken.objects.get().authorization_id, by="administrator", now=timezone.now())
    assert call(view, token) in (401, 403)


def test_a_stock_view_checks_the_scope(bulk_loader: Service, get_token: Callable[..., str]) -> None:
    assert call(stock_view, get_token(bulk_loader, "system/Observation.rs")) == 403


def test_revoking_through_the_model_keeps_the_row(bulk_loader: Service, get_token: Callable[..., str]) -> None:
    get_token(bulk_loader)
    AccessToken.objects.get().revoke()
    assert AccessToken.objects.get().revoked_at is not None
