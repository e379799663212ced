"""Userinfo.

OIDC Core §5.3; RFC 6750 §3; SMART 2.2 scopes-and-launch-context, "Scopes for requesting identity data".
"""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.http import HttpResponse
from django.test import Client as Browser
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clients.models import Activation, Client, Tenant
from clients.tenants import TenantInfo
from smartauth.models import AccessToken, Authorization
from smartauth.people.models import FhirUser, User
from smartauth.receipts.models import Receipt
from smartauth.sandbox.minting import mint
from tests.endpoints.app_launch import FHIR_BASE
from tests.endpoints.conftest import Post, Service
from tests.endpoints.test_introspect import INTROSPECT, auditor
from tests.endpoints.test_token_client_credentials import rule_of, statements
from tests.endpoints.test_token_refresh_token import Refresh, Start, refresh, start
from tests.endpoints.token_requests import APPS, verified
from tests.factories import make_tenant

__all__ = ["auditor", "refresh", "start"]

pytestmark = pytest.mark.usefixtures("signing_key", "small")

USERINFO = "/auth/sandbox/userinfo"


def userinfo(token: str, path: str = USERINFO, *, method: str = "GET", scheme: str = "Bearer") -> Any:
    """Ask as an app does."""
    return Browser().generic(method, path, headers={"Authorization": f"{scheme} {token}"})


def assert_refused(answer: Any, rule: str, *, presented: bool = True) -> None:
    """Make sure that an answer says no more than that the bearer token is not valid."""
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_token"), answer.content
    challenge = 'Bearer realm="smartauth"' + (', error="invalid_token"' if presented else "")
    assert answer.headers["WWW-Authenticate"] == challenge
    assert set(answer.json()) == {"error", "error_description", "trace_id"}
    assert answer.headers["Cache-Control"] == "no-store"
    assert rule_of(answer) == rule


@pytest.mark.requirement("HDR-05", "OIDC-13", "OIDC-15", "OIDC-21")
@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("name", [name for name, _ in APPS])
def test_it_tells_what_the_id_token_and_introspection_tell(
    request: pytest.FixtureRequest, start: Start, post: Post, ana: User, auditor: Service, name: str, method: str
) -> None:
    tokens = start(request.getfixturevalue(name))

    answer = userinfo(tokens["access_token"], method=method)

    assert answer.status_code == 200, answer.content
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Pragma"] == "no-cache"
    assert answer.json() == {"sub": str(ana.subject), "fhirUser": f"{FHIR_BASE}/Patient/ana"}
    claims = verified(tokens["id_token"], "RS256").claims
    introspected = post(INTROSPECT, {"token": tokens["access_token"], **auditor.credentials()}).json()
    for told in (claims, introspected):
        assert {name: told[name] for name in ("sub", "fhirUser")} == answer.json()
    assert not Receipt.objects.exists()


SCOPES = [
    ("openid", []),
    ("openid fhirUser", ["fhirUser"]),
    ("openid profile", ["profile"]),
    ("openid fhirUser profile patient/*.rs", ["fhirUser", "profile"]),
]


@pytest.mark.parametrize(("scope", "names"), SCOPES)
def test_it_tells_what_was_granted(start: Start, ana: User, scope: str, names: list[str]) -> None:
    told = userinfo(start(scope=scope)["access_token"]).json()
    assert told == {"sub": str(ana.subject), **dict.fromkeys(names, f"{FHIR_BASE}/Patient/ana")}


def test_a_clinician_is_a_practitioner(start: Start, dr_grey: User) -> None:
    told = userinfo(start(user=dr_grey, patient="ben")["access_token"]).json()
    assert told == {"sub": str(dr_grey.subject), "fhirUser": f"{FHIR_BASE}/Practitioner/dr-grey"}


@pytest.mark.requirement("OIDC-10")
def test_who_is_nobody_in_the_records_is_a_subject_only(start: Start, mallory: User) -> None:
    tokens = start(user=mallory, scope="openid fhirUser")
    assert tokens["scope"] == "openid"
    assert userinfo(tokens["access_token"]).json() == {"sub": str(mallory.subject)}


def test_what_the_user_is_in_the_records_is_asked_anew_each_time(start: Start, ana: User) -> None:
    token = start(scope="openid fhirUser")["access_token"]
    FhirUser.objects.update(reference="Patient/ben")
    assert userinfo(token).json()["fhirUser"] == f"{FHIR_BASE}/Patient/ben"
    FhirUser.objects.all().delete()
    assert userinfo(token).json() == {"sub": str(ana.subject)}


def test_a_refreshed_token_tells_the_same_and_a_narrowed_one_less(start: Start, refresh: Refresh) -> None:
    tokens = start()
    refreshed = refresh(tokens["refresh_token"]).json()
    assert userinfo(refreshed["access_token"]).json() == userinfo(tokens["access_token"]).json()
    narrowed = refresh(refreshed["refresh_token"], scope="openid").json()
    assert set(userinfo(narrowed["access_token"]).json()) == {"sub"}


def _assert_openid_missing(answer: Any) -> None:
    assert (answer.status_code, answer.json()["error"]) == (403, "insufficient_scope"), answer.content
    expected = 'Bearer realm="smartauth", error="insufficient_scope", scope="openid"'
    assert answer.headers["WWW-Authenticate"] == expected
    assert rule_of(answer) == "userinfo.openid"


@pytest.mark.requirement("OIDC-13")
def test_a_token_without_openid_tells_nothing(start: Start, refresh: Refresh) -> None:
    _assert_openid_missing(userinfo(start(scope="launch/patient patient/*.rs")["access_token"]))
    narrowed = refresh(start()["refresh_token"], scope="patient/Patient.rs").json()
    _assert_openid_missing(userinfo(narrowed["access_token"]))


def test_a_registration_that_lost_openid_tells_nothing(start: Start) -> None:
    token = start()["access_token"]
    Client.objects.update(scope="patient/*.rs")
    _assert_openid_missing(userinfo(token))


@pytest.mark.usefixtures("growth_chart")
def test_a_token_without_a_user_tells_nothing(get_token: Callable[..., str], bulk_loader: Service) -> None:
    _assert_openid_missing(userinfo(get_token(bulk_loader)))
    claims = {"client_id": "growth-chart", "tenant": "sandbox", "scope": "openid fhirUser", "fhirUser": "Patient/ana"}
    _assert_openid_missing(userinfo(mint(claims, user=None, now=timezone.now())))


@pytest.mark.requirement("OIDC-13")
def test_no_token_gets_no_error_code(client: Browser, tenant: TenantInfo) -> None:
    assert_refused(client.get(USERINFO), "token.missing", presented=False)


def test_other_schemes_are_no_token(tenant: TenantInfo) -> None:
    assert_refused(userinfo("YW5hOng=", scheme="Basic"), "token.missing", presented=False)


def test_a_token_in_the_address_or_in_a_form_is_not_read(client: Browser, post: Post, start: Start) -> None:
    token = start()["access_token"]
    assert_refused(client.get(USERINFO, {"access_token": token}), "token.missing", presented=False)
    assert_refused(post(USERINFO, {"access_token": token}), "token.missing", presented=False)


@pytest.mark.parametrize(("token", "rule"), [("made-up", "token.unknown"), ("a b", "token.syntax")])
def test_what_is_no_token_of_ours_is_refused(tenant: TenantInfo, token: str, rule: str) -> None:
    assert_refused(userinfo(token), rule)


def test_refresh_tokens_and_id_tokens_are_no_access_tokens(start: Start) -> None:
    tokens = start()
    for name in ("refresh_token", "id_token"):
        assert_refused(userinfo(tokens[name]), "token.unknown")


def _revoked() -> None:
    AccessToken.objects.update(revoked_at=timezone.now())


def _expired() -> None:
    AccessToken.objects.update(expires=timezone.now() - timedelta(seconds=1))


def _authorization_revoked() -> None:
    Authorization.objects.update(revoked_at=timezone.now())


def _client_suspended() -> None:
    Client.objects.update(status=Client.Status.SUSPENDED)


def _not_activated() -> None:
    Activation.objects.update(is_active=False)


def _user_deactivated() -> None:
    User.objects.update(is_active=False)


ENDINGS = [
    (_revoked, "token.revoked"),
    (_expired, "token.expired"),
    (_authorization_revoked, "token.authorization_revoked"),
    (_client_suspended, "token.client_not_approved"),
    (_not_activated, "token.not_activated"),
    (_user_deactivated, "token.user_inactive"),
]


@pytest.mark.parametrize(("end", "rule"), ENDINGS)
def test_a_token_that_has_ended_tells_nothing(start: Start, end: Callable[[], None], rule: str) -> None:
    token = start()["access_token"]
    assert userinfo(token).status_code == 200
    end()
    assert_refused(userinfo(token), rule)


class TestTenant:
    """A token speaks of its user at its own tenant only."""

    def test_the_short_url_takes_tokens_of_every_tenant(self, start: Start, ana: User) -> None:
        assert userinfo(start()["access_token"], "/auth/userinfo").json()["sub"] == str(ana.subject)

    def test_another_tenants_url_does_not(self, start: Start) -> None:
        make_tenant("north")
        assert_refused(userinfo(start()["access_token"], "/auth/north/userinfo"), "token.audience")

    @pytest.mark.parametrize("slug", ["nowhere", "sandbox"])
    def test_an_unknown_or_closed_one_is_404(self, start: Start, slug: str) -> None:
        token = start()["access_token"]
        Tenant.objects.update(is_active=False)
        answer: HttpResponse = userinfo(token, f"/auth/{slug}/userinfo")
        assert (answer.status_code, rule_of(answer)) == (404, "tenant.unknown")
        assert_refused(userinfo(token, "/auth/userinfo"), "token.tenant_inactive")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "HEAD"])
def test_only_get_and_post_are_taken(start: Start, method: str) -> None:
    answer = userinfo(start()["access_token"], method=method)
    assert answer.status_code == 405
    assert {"GET", "POST"} <= set(answer.headers["Allow"].split(", "))


def test_it_takes_one_statement_and_none_once_the_token_is_known(start: Start, serving: None) -> None:
    first, second = start()["access_token"], start()["access_token"]
    userinfo(first)  # The tenant: loaded once per process.
    with CaptureQueriesContext(connection) as cold:
        assert userinfo(second).status_code == 200
    with CaptureQueriesContext(connection) as warm:
        assert userinfo(second).status_code == 200
    assert (statements(cold), statements(warm)) == (1, 0)


def test_it_is_where_the_configuration_says(start: Start, client: Browser) -> None:
    url = client.get("/.well-known/openid-configuration").json()["userinfo_endpoint"]
    path = url.removeprefix("http://127.0.0.1:8000")
    assert userinfo(start()["access_token"], path).status_code == 200
