"""What ends authority ends it at the next request, everywhere, also in a process that remembers what it read.

RFC 9700 §4.14; RFC 7662 §2.2; SMART 2.2 app-launch, "Refresh access token".
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.http import HttpResponse
from django.test import Client as Browser
from django.utils import timezone

from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.marks.poller import poller
from smartauth.models import AccessToken, Authorization, RefreshToken
from smartauth.people.models import ProxyRelation, User
from smartauth.receipts.models import Receipt
from tests.endpoints.app_launch import App, launch
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT
from tests.endpoints.test_token_client_credentials import GRANT, TOKEN
from tests.endpoints.test_token_refresh_token import Refresh, Start
from tests.endpoints.token_requests import Ask, redemption
from tests.factories import make_tenant
from tests.proxy.conftest import Caller

pytestmark = pytest.mark.usefixtures("small", "serving")

SHORT = "/auth/token"
USERINFO = "/auth/sandbox/userinfo"
ISSUER = "http://127.0.0.1:8000"


def _user_deactivated() -> None:
    User.objects.filter(username="parent").update(is_active=False)


def _client_suspended() -> None:
    Client.objects.filter(client_id__in=["growth-chart", "bulk-loader"]).update(status=Client.Status.SUSPENDED)


def _client_declined() -> None:
    Client.objects.filter(client_id__in=["growth-chart", "bulk-loader"]).update(status=Client.Status.DECLINED)


def _activation_ended() -> None:
    Activation.objects.filter(client__client_id__in=["growth-chart", "bulk-loader"]).update(is_active=False)


def _activation_gone() -> None:
    Activation.objects.filter(client__client_id__in=["growth-chart", "bulk-loader"]).delete()


def _tenant_closed() -> None:
    Tenant.objects.filter(slug="sandbox").update(is_active=False)


def _consent_revoked() -> None:
    Authorization.objects.filter(kind="user").update(revoked_at=timezone.now(), revoked_by="user")


def _relation_ended() -> None:
    ProxyRelation.objects.update(ends_at=timezone.now() - timedelta(hours=1))


ENDINGS = [
    # what ends            of an app: token endpoint   receipt                     at the proxy, introspection
    (_user_deactivated,    400, "invalid_grant",       "grant.user_inactive",      "token.user_inactive"),
    (_client_suspended,    401, "invalid_client",      "client.suspended",         "token.client_not_approved"),
    (_client_declined,     401, "invalid_client",      "client.not_approved",      "token.client_not_approved"),
    (_activation_ended,    401, "invalid_client",      "client.not_activated",     "token.not_activated"),
    (_activation_gone,     401, "invalid_client",      "client.not_activated",     "token.not_activated"),
    (_tenant_closed,       400, "invalid_grant",       "grant.tenant_inactive",    "token.tenant_inactive"),
    (_consent_revoked,     400, "invalid_grant",       "grant.revoked",            "token.authorization_revoked"),
    (_relation_ended,      400, "invalid_grant",       "grant.relation_ended",     "token.relation_ended"),
]  # fmt: skip


@pytest.fixture
def north_auditor(tenant: TenantInfo, auditor: Service) -> Service:
    """A resource server with the right to introspect, active at two tenants: one may close."""
    north = make_tenant("north")
    client = Client.objects.get(client_id=auditor.client_id)
    Activation.objects.create(client=client, tenant_id=north.pk)
    return auditor


def end(change: Callable[[], None]) -> None:
    """Change something elsewhere, and let this process look at the marks as it does several times a second."""
    change()
    poller.poll()


def receipt_of(answer: HttpResponse) -> Receipt:
    return Receipt.objects.get(trace_id=answer.headers["X-Trace-Id"])


def introspected(post: Post, who: Service, token: str) -> tuple[dict[str, Any], HttpResponse]:
    # At the short URL, which is there whichever tenant is closed.
    answer = post("/auth/introspect", {"token": token, **who.credentials(aud=ISSUER)})
    assert answer.status_code == 200, answer.content
    body: dict[str, Any] = answer.json()
    return body, answer


@pytest.mark.requirement("TOK-24", "AT-04", "T-61")
@pytest.mark.parametrize(("change", "status", "error", "rule", "token_rule"), ENDINGS)
def test_an_app_is_stopped_at_the_token_endpoint_the_proxy_userinfo_and_introspection(
    browser: Browser,
    ask: Ask,
    start: Start,
    refresh: Refresh,
    call: Caller,
    post: Post,
    north_auditor: Service,
    growth_chart: App,
    parent: User,
    change: Callable[[], None],
    status: int,
    error: str,
    rule: str,
    token_rule: str,
) -> None:
    tokens = start(user=parent, patient="ben")
    access = tokens["access_token"]
    unspent = launch(browser, growth_chart, parent, patient="ben")
    headers = {"Authorization": f"Bearer {access}"}
    for _ in range(2):  # The second time from memory.
        assert call("/Patient/ben", access).status_code == 200
        assert Browser().get(USERINFO, headers=headers).status_code == 200
        assert introspected(post, north_auditor, access)[0]["active"] is True
    issued = AccessToken.objects.filter(authorization__kind="user").count()

    end(change)

    answer = call("/Patient/ben", access)
    closed = change is _tenant_closed
    assert (answer.status_code, receipt_of(answer).rule) == ((404, "tenant.unknown") if closed else (401, token_rule))
    assert Browser().get(USERINFO, headers=headers).status_code == (404 if closed else 401)
    short = Browser().get("/auth/userinfo", headers=headers)
    assert (short.status_code, receipt_of(short).rule) == (401, token_rule)
    body, told = introspected(post, north_auditor, access)
    if closed:  # It is no tenant of the caller any more, so the token is nobody's.
        token_rule = "token.unknown"
    assert (body, receipt_of(told).rule) == ({"active": False}, token_rule)
    for refused in (
        refresh(tokens["refresh_token"], path=SHORT),
        ask(growth_chart, redemption(unspent), path=SHORT),
    ):
        assert (refused.status_code, refused.json()["error"]) == (status, error)
        assert receipt_of(refused).rule == rule
    assert AccessToken.objects.filter(authorization__kind="user").count() == issued
    assert RefreshToken.objects.count() == 1


SERVICE_ENDINGS = [
    # what ends            status  error             rule                     at the proxy
    (_client_suspended,    401,    "invalid_client", "client.suspended",      "token.client_not_approved"),
    (_client_declined,     401,    "invalid_client", "client.not_approved",   "token.client_not_approved"),
    (_activation_ended,    401,    "invalid_client", "client.not_activated",  "token.not_activated"),
    (_activation_gone,     401,    "invalid_client", "client.not_activated",  "token.not_activated"),
    (_tenant_closed,       404,    "not_found",      "tenant.unknown",        "tenant.unknown"),
]  # fmt: skip


@pytest.mark.requirement("TOK-24", "AT-04")
@pytest.mark.parametrize(("change", "status", "error", "rule", "token_rule"), SERVICE_ENDINGS)
def test_a_service_is_stopped_the_same_way(
    post: Post,
    call: Caller,
    bulk_loader: Service,
    north_auditor: Service,
    change: Callable[[], None],
    status: int,
    error: str,
    rule: str,
    token_rule: str,
) -> None:
    for _ in range(2):
        token = post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()["access_token"]
        assert call("/Patient/ana", token).status_code == 200
    assert introspected(post, north_auditor, token)[0]["active"] is True

    end(change)

    refused = post(TOKEN, {**GRANT, **bulk_loader.credentials()})
    assert (refused.status_code, refused.json()["error"], receipt_of(refused).rule) == (status, error, rule)
    answer = call("/Patient/ana", token)
    assert (answer.status_code, receipt_of(answer).rule) == (404 if status == 404 else 401, token_rule)
    assert introspected(post, north_auditor, token)[0] == {"active": False}


@pytest.mark.requirement("TOK-24")
def test_what_begins_again_works_again_but_not_what_was_revoked(
    post: Post, call: Caller, start: Start, bulk_loader: Service
) -> None:
    app = start()["access_token"]
    token = post(TOKEN, {**GRANT, **bulk_loader.credentials()}).json()["access_token"]
    end(_client_suspended)
    end(_consent_revoked)
    assert [call("/Patient/ana", one).status_code for one in (app, token)] == [401, 401]
    end(lambda: Client.objects.update(status=Client.Status.APPROVED) and None)
    assert [call("/Patient/ana", one).status_code for one in (app, token)] == [401, 200]


def test_a_caller_that_lost_its_activation_introspects_nothing(
    post: Post, ec: Any, auditor: Service, bulk_loader: Service, get_token: Callable[..., str]
) -> None:
    token = get_token(bulk_loader)
    assert post(INTROSPECT, {"token": token, **auditor.credentials()}).json()["active"] is True
    end(lambda: Activation.objects.filter(client__client_id="auditor").update(is_active=False) and None)
    answer = post(INTROSPECT, {"token": token, **auditor.credentials()})
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
