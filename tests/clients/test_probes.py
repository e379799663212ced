"""Does this client work at this tenant now: every condition that can fail, what is said of it, and what to do."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from clients import key_sets
from clients.acting import operator
from clients.activations import deactivate, request_activation
from clients.client_secrets import issue_secret
from clients.jwks_rules import UnusableJwks
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.models import Activation, Client, KeySet, Tenant
from clients.probes import Probe, ProbeCheck, probe
from clients.registered import find_client
from clients.tenants import TenantInfo
from smartauth.context import new_context
from smartauth.marks.models import Mark
from smartauth.marks.poller import poller
from tests.clients.jwks_host import JwksHost
from tests.factories import make_client, make_tenant, phone_app, service, web_app

pytestmark = pytest.mark.django_db

SETTLED = timedelta(seconds=5)  # after which every worker knows
OPERATOR = operator(None)


@pytest.fixture
def tenant() -> TenantInfo:
    return make_tenant()


@pytest.fixture
def bulk_loader(tenant: TenantInfo, ec: KeyPair) -> Client:
    return make_client(service(jwks=ec.jwks), activate_at=[tenant]).client


def look(tenant: TenantInfo, client_id: str = "bulk-loader", *, after: timedelta = SETTLED) -> Probe:
    return probe(client_id, tenant, now=timezone.now() + after)


def only_problem(found: Probe) -> ProbeCheck:
    [problem] = [one for one in found.checks if not one.passed]
    assert problem.fix
    assert not found.works
    assert found.first_problem == problem
    return problem


def test_a_service_that_works_passes_everything(tenant: TenantInfo, bulk_loader: Client) -> None:
    found = look(tenant)
    assert found.works
    assert [one.name for one in found.checks] == [
        *("registered", "approved", "tenant", "activated", "scopes", "grant_type", "keys", "known")
    ]
    assert {one.fix for one in found.checks} == {""}
    told = found.as_json()
    assert (told["works"], told["client_id"], told["tenant"]) == (True, "bulk-loader", "sandbox")
    assert told["checks"][4] == {
        "name": "scopes",
        "title": "Scopes it may have there",
        "passed": True,
        "detail": "system/*.rs",
        "fix": "",
    }


@pytest.mark.parametrize(("metadata", "proof"), [(phone_app, "public"), (web_app, "secret")])
def test_an_app_that_works_passes_everything(tenant: TenantInfo, metadata: Callable[..., Any], proof: str) -> None:
    client = make_client(metadata(scope="launch/patient patient/*.rs"), activate_at=[tenant]).client
    found = look(tenant, client.client_id)
    assert found.works, found.first_problem
    assert [one.name for one in found.checks][-4:] == ["grant_type", "redirect_uri", proof, "known"]


def test_nobody_is_called_so(tenant: TenantInfo) -> None:
    for client_id in ("nobody", "no body", "n" * 300):
        problem = only_problem(look(tenant, client_id))
        assert (problem.name, problem.detail[:19]) == ("registered", "no client is called")


@pytest.mark.parametrize(
    ("status", "fix"),
    [
        ("draft", "Submit it."),
        ("submitted", "Wait for the operator's decision."),
        ("declined", "Mend what the reason says and submit it again."),
        ("suspended", "Ask the operator what has to happen first."),
        ("retired", "Register another client: this id is never used again."),
    ],
)
def test_it_is_not_approved(tenant: TenantInfo, bulk_loader: Client, status: str, fix: str) -> None:
    Client.objects.update(status=status)
    problem = only_problem(look(tenant))
    assert (problem.name, problem.detail, problem.fix) == ("approved", status, fix)


def test_why_it_was_suspended_is_told(tenant: TenantInfo, bulk_loader: Client) -> None:
    take_step("bulk-loader", "suspended", by=OPERATOR, context=new_context(), reason="It asks too much.")
    assert only_problem(look(tenant)).detail == "suspended: It asks too much."
    take_step("bulk-loader", "resumed", by=OPERATOR, context=new_context())
    assert look(tenant).works


def test_the_hospital_is_closed(tenant: TenantInfo, bulk_loader: Client) -> None:
    Tenant.objects.update(is_active=False)
    assert only_problem(look(tenant)).name == "tenant"


class TestActivation:
    """Of the client at the tenant."""

    def problem(self, tenant: TenantInfo) -> tuple[str, str]:
        problem = only_problem(look(tenant))
        return problem.name, problem.detail

    def test_nobody_asked_for_it(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        Activation.objects.all().delete()
        assert self.problem(tenant) == ("activated", "nobody has asked the hospital")

    def test_it_waits(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        Activation.objects.all().delete()
        request_activation(bulk_loader, tenant, by=OPERATOR, context=new_context())
        assert self.problem(tenant) == ("activated", "the hospital has not decided yet")

    def test_it_was_switched_off_and_why(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        deactivate(bulk_loader, tenant, by=OPERATOR, context=new_context(), note="The contract ended.")
        name, detail = self.problem(tenant)
        assert name == "activated"
        assert detail.startswith("switched off at 20")
        assert detail.endswith("UTC: The contract ended.")

    def test_another_tenant_is_another_matter(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        assert only_problem(look(make_tenant("north"))).name == "activated"
        assert look(tenant).works


SCOPES = [
    # registered                          allowed                 failing       part of what is told of the scopes
    ("system/*.rs", "", None, "system/*.rs"),
    ("system/*.rs", "system/Observation.r", None, "system/Observation.r; the hospital allows less than is registered"),
    ("system/Patient.rs", "system/Observation.rs", "scopes", "none; the hospital allows less than is registered"),
    ("", "", "scopes", "none is registered"),
    ("patient/*.rs", "", "grant_type", "patient/*.rs"),
    ("system/*.rs patient/*.rs", "patient/*.rs", "grant_type", "patient/*.rs; the hospital"),
]  # fmt: skip


@pytest.mark.parametrize(("registered", "allowed", "failing", "told"), SCOPES)
def test_scopes_are_what_registration_and_tenant_both_allow(
    tenant: TenantInfo, bulk_loader: Client, registered: str, allowed: str, failing: str | None, told: str
) -> None:
    Client.objects.update(scope=registered)
    Activation.objects.update(allowed_scope=allowed)
    found = look(tenant)
    assert next(one.detail for one in found.checks if one.name == "scopes").startswith(told)
    problem = found.first_problem
    assert (problem.name if problem else None) == failing


def test_a_scope_that_needs_refresh_tokens_without_them_is_mentioned(tenant: TenantInfo) -> None:
    make_client(phone_app(scope="patient/*.rs offline_access"), activate_at=[tenant])
    found = look(tenant, "growth-chart")
    assert found.works
    assert "without refresh_token" in next(one.detail for one in found.checks if one.name == "grant_type")


def test_an_app_without_a_place_to_come_back_to(tenant: TenantInfo) -> None:
    client = make_client(phone_app(scope="patient/*.rs"), activate_at=[tenant]).client
    Client.objects.filter(pk=client.pk).update(redirect_uris="")
    assert only_problem(look(tenant, "growth-chart")).name == "redirect_uri"


def test_a_secret_that_ended(tenant: TenantInfo) -> None:
    make_client(web_app(scope="patient/*.rs"), activate_at=[tenant])
    issue_secret("cardio", by=OPERATOR, context=new_context(), now=timezone.now(), lifetime=timedelta(days=40))
    told = {one.name: one.detail for one in look(tenant, "cardio").checks}["secret"]
    assert told.count("is good until") == 2
    assert look(tenant, "cardio", after=timedelta(days=31)).works
    problem = only_problem(look(tenant, "cardio", after=timedelta(days=41)))
    assert (problem.name, problem.detail.count("ended")) == ("secret", 2)


class TestKeysByUrl:
    """The copy that everybody works with is what counts."""

    @pytest.fixture
    def url(self, tenant: TenantInfo, jwks_host: JwksHost) -> str:
        make_client(service(jwks_uri=jwks_host.url), activate_at=[tenant])
        return jwks_host.url

    def keys(self, tenant: TenantInfo) -> ProbeCheck:
        return next(one for one in look(tenant).checks if one.name == "keys")

    def test_nobody_has_fetched_it(self, tenant: TenantInfo, url: str, jwks_host: JwksHost) -> None:
        assert "has not been fetched yet" in only_problem(look(tenant)).detail
        assert jwks_host.visits == 0

    def test_a_good_copy(self, tenant: TenantInfo, url: str, jwks_host: JwksHost, ec: KeyPair) -> None:
        jwks_host.publish(ec.public_jwk)
        key_sets.fetch(url, now=timezone.now())
        assert self.keys(tenant).passed
        assert self.keys(tenant).detail.startswith("ec-1; fetched at 20")
        KeySet.objects.update(expires_at=timezone.now())
        assert self.keys(tenant).passed
        assert "fetched anew with the next request" in self.keys(tenant).detail

    def test_the_host_fails(self, tenant: TenantInfo, url: str, jwks_host: JwksHost) -> None:
        jwks_host.page.status = 500
        with pytest.raises(UnusableJwks):
            key_sets.fetch(url, now=timezone.now())
        problem = only_problem(look(tenant))
        assert problem.name == "keys"
        assert "jwks.status, tried at 20" in problem.detail

    def test_a_host_that_fails_beside_a_good_copy(
        self, tenant: TenantInfo, url: str, jwks_host: JwksHost, ec: KeyPair
    ) -> None:
        jwks_host.publish(ec.public_jwk)
        key_sets.fetch(url, now=timezone.now())
        KeySet.objects.update(last_problem="jwks.timeout: it took too long")
        assert self.keys(tenant).passed
        KeySet.objects.update(expires_at=timezone.now())
        assert "it took too long (jwks.timeout" in self.keys(tenant).detail

    def test_keys_of_no_use(self, tenant: TenantInfo, url: str, ec: KeyPair) -> None:
        weak = {"kty": "RSA", "kid": "weak", "n": "AQAB", "e": "AQAB"}
        fetched = {"fetched_at": timezone.now(), "expires_at": timezone.now() + timedelta(hours=1)}
        KeySet.objects.create(jwks_uri=url, document={"keys": [weak]}, **fetched)
        problem = only_problem(look(tenant))
        assert problem.name == "keys"
        assert "of no use: weak (" in problem.detail


class TestKnown:
    """To every worker, this one among them."""

    def test_a_change_of_just_now_is_not_known_yet(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        problem = only_problem(look(tenant, after=timedelta(0)))
        assert (problem.name, problem.fix) == ("known", "Look again in a second.")
        at = Mark.objects.latest("created_at").created_at + timedelta(seconds=1)
        assert problem.detail == f"it changed just now; every worker knows by {at:%H:%M:%S} UTC"
        assert {one.name: one.detail for one in look(tenant).checks}["known"] == f"since {at:%H:%M:%S} UTC"

    def test_when_marks_are_gone_the_row_says_when(self, tenant: TenantInfo, bulk_loader: Client) -> None:
        Mark.objects.all().delete()
        at = Client.objects.get().updated + timedelta(seconds=1)
        assert {one.name: one.detail for one in look(tenant).checks}["known"] == f"since {at:%H:%M:%S} UTC"

    def test_a_worker_that_goes_by_something_else_says_so(
        self, serving: None, tenant: TenantInfo, bulk_loader: Client
    ) -> None:
        assert find_client("bulk-loader") is not None
        take_step("bulk-loader", "suspended", by=OPERATOR, context=new_context(), reason="Leaked.")
        take_step("bulk-loader", "resumed", by=OPERATOR, context=new_context())
        Client.objects.update(name="Another")
        assert only_problem(look(tenant)).name == "known"
        poller.poll()
        assert look(tenant).works


def test_it_costs_seven_statements_at_most(tenant: TenantInfo, jwks_host: JwksHost) -> None:
    make_client(service(jwks_uri=jwks_host.url), activate_at=[tenant])
    take_step("bulk-loader", "suspended", by=OPERATOR, context=new_context(), reason="Leaked.")
    with CaptureQueriesContext(connection) as queries:
        look(tenant)
    assert len(queries) == 7
