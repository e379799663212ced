"""Filling in a registration: what is kept, what is found, and what becomes of it."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from clients import drafts
from clients.acting import NotPossible, operator, owner
from clients.changes import decide_change, differences_of
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.models import Activation, ChangeRequest, Client, ClientEvent, Draft
from clients.probes import probe
from clients.registered import find_client
from clients.tenants import find_tenant
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.people.models import User
from tests.conftest import Configure
from tests.factories import make_tenant

pytestmark = pytest.mark.django_db


@pytest.fixture
def kim() -> User:
    make_tenant()
    return User.objects.create_user("kim", password="not used here")


def service_answers(pair: KeyPair, **members: Any) -> dict[str, Any]:
    return {
        "client_name": "Night Export",
        "publisher": "Kim Inc",
        "purpose": "Counts vaccinations.",
        "contacts": ["kim@example.org"],
        "scope": "system/Immunization.rs",
        "jwks": {"keys": [pair.public_jwk]},
        "tenants": ["sandbox"],
    } | members


def filled(kim: User, pair: KeyPair, **members: Any) -> Draft:
    draft = drafts.begin(kim.pk, "service")
    assert drafts.save_answers(draft, service_answers(pair, **members)) == ()
    return draft


def submitted(kim: User, pair: KeyPair) -> Client:
    return drafts.submit(filled(kim, pair), user=kim.pk, context=new_context()).client


def test_in_the_sandbox_a_submitted_client_works_at_once(kim: User, ec: KeyPair) -> None:
    client = submitted(kim, ec)
    found = find_client(client.client_id)
    assert found is not None
    assert (found.status, dict(found.activations)) == ("approved", {"sandbox": ""})
    acts = [event.act for event in ClientEvent.objects.filter(client=client).order_by("pk")]
    assert acts == ["submitted", "keys_by_value", "requested", "approved", "activated"]
    assert not Draft.objects.exists()


def test_elsewhere_it_waits_for_the_hospital(kim: User, ec: KeyPair, configure: Configure) -> None:
    configure(mode="production")
    client = submitted(kim, ec)
    assert client.status == "submitted"
    assert list(Activation.objects.values_list("is_active", "decided_at")) == [(False, None)]


@pytest.mark.requirement("REG-13")
@pytest.mark.parametrize(
    ("kind", "scope", "grants"),
    [
        ("patient", "launch/patient openid patient/Observation.rs", {"authorization_code", "refresh_token"}),
        ("clinician", "launch openid fhirUser user/Observation.rs", {"authorization_code", "refresh_token"}),
        ("service", "system/Observation.rs", {"client_credentials"}),
    ],
)
def test_apps_for_one_patient_for_a_clinician_and_for_all_patients_are_registered(
    kim: User, ec: KeyPair, kind: str, scope: str, grants: set[str]
) -> None:
    draft = drafts.begin(kim.pk, kind)
    app = {} if kind == "service" else {"redirect_uris": ["https://app.example.org/callback"]}
    assert drafts.save_answers(draft, service_answers(ec, scope=scope, **app)) == ()
    client = drafts.submit(draft, user=kim.pk, context=new_context()).client
    assert (client.kind, client.scope, set(client.grant_types)) == (kind, scope, grants)
    assert probe(client.client_id, find_tenant("sandbox"), now=timezone.now() + timedelta(seconds=2)).works


@pytest.mark.parametrize(
    ("answers", "member", "rule"),
    [
        ({"client_name": ""}, "client_name", "draft.client_name_missing"),
        ({"contacts": ["kim"]}, "contacts", "draft.contact"),
        ({"scope": "patient/Observation.rs"}, "scope", "draft.scope_level"),
        ({"scope": "system/Observation.rx"}, "scope", "scope"),
        ({"scope": "system/Observation.rs __launch"}, "scope", "draft.scope_right"),
        ({"scope": "system/Observation.rs openid"}, "scope", "draft.scope_kind"),
        ({"token_endpoint_auth_method": "client_secret_basic"}, "token_endpoint_auth_method", "draft.service"),
        ({"jwks": None}, "jwks_uri", "registration.jwks_uri"),
        ({"policy_uri": "http://kim.example.org/"}, "policy_uri", "registration.policy_uri"),
        ({"tenants": ["nowhere"]}, "tenants", "draft.tenant"),
        ({"tenants": []}, "tenants", "draft.tenants_missing"),
    ],
)
def test_what_is_wrong_is_found_at_its_field_and_nothing_is_lost(
    kim: User, ec: KeyPair, answers: dict[str, Any], member: str, rule: str
) -> None:
    draft = drafts.begin(kim.pk, "service")
    found = drafts.save_answers(draft, service_answers(ec, **answers))
    assert [(one.member, rule in one.rule) for one in found] == [(member, True)]
    assert draft.answers["publisher"] == "Kim Inc"
    with pytest.raises(drafts.Unfinished):
        drafts.submit(draft, user=kim.pk, context=new_context())


def test_several_mistakes_are_found_at_once(kim: User) -> None:
    draft = drafts.begin(kim.pk, "patient")
    wrong = {
        "client_name": "Chart",
        "redirect_uris": ["http://app.example.org/callback"],
        "policy_uri": "ftp://x",
        "scope": "launch/patient",
    }
    found = drafts.save_answers(draft, wrong)
    assert {one.member for one in found} == {
        *("publisher", "purpose", "contacts", "redirect_uris", "policy_uri", "jwks_uri", "tenants")
    }


def test_a_private_key_is_not_kept(kim: User, ec: KeyPair) -> None:
    draft = drafts.begin(kim.pk, "service")
    private = {**ec.public_jwk, "d": "secret"}
    found = drafts.save_answers(draft, service_answers(ec, jwks={"keys": [private]}))
    assert [one.rule for one in found] == ["jwks.private_key"]
    assert "secret" not in str(Draft.objects.values_list("answers", flat=True)[0])


class TestChanges:
    """Of a client that was approved already."""

    @pytest.fixture
    def client(self, kim: User, ec: KeyPair, configure: Configure) -> Client:
        configure(mode="production")
        client = submitted(kim, ec)
        return take_step(client.client_id, "approved", by=operator(None), context=new_context())

    def change(self, kim: User, client: Client, **answers: Any) -> drafts.Submitted:
        draft = drafts.revise(client, kim.pk)
        assert drafts.save_answers(draft, answers) == ()
        return drafts.submit(draft, user=kim.pk, context=new_context())

    @pytest.mark.requirement("REG-08")
    def test_keys_change_at_once_and_their_owner_is_reminded_to_send_the_next(
        self, kim: User, client: Client, rsa: KeyPair
    ) -> None:
        done = self.change(kim, client, jwks={"keys": [rsa.public_jwk]})
        assert done.change is None
        client.refresh_from_db()
        assert client.client_jwks["keys"][0]["kid"] == "rsa-1"
        changed, reminded = client.events.filter(act__in=("changed", "keys_by_value"))[:2][::-1]
        assert (changed.actor, changed.reason) == ("owner", "Keys")
        assert (reminded.actor, reminded.reason[:12]) == ("server", "Now: rsa-1. ")
        assert "Register a new key before anything signs with it" in reminded.reason
        recorded = AuditRecord.objects.filter(client_id=client.client_id, rule="client.changed").get()
        assert (recorded.user_id, recorded.details["reason"]) == (kim.pk, "Keys")

    def test_more_scopes_wait_and_the_client_goes_on(self, kim: User, client: Client) -> None:
        done = self.change(kim, client, scope="system/Immunization.rs system/Patient.rs")
        assert done.change is not None
        client.refresh_from_db()
        assert (client.status, client.scope) == ("approved", "system/Immunization.rs")
        (difference,) = differences_of(done.change)
        assert (difference.member, difference.added, difference.widens) == ("scope", ("system/Patient.rs",), True)
        decide_change(done.change.pk, approve=True, by=operator(None), context=new_context())
        client.refresh_from_db()
        assert client.scope == "system/Immunization.rs system/Patient.rs"

    def test_a_declined_change_says_why_and_changes_nothing(self, kim: User, client: Client) -> None:
        done = self.change(kim, client, client_name="Export")
        assert done.change is not None
        with pytest.raises(NotPossible, match="reason"):
            decide_change(done.change.pk, approve=False, by=operator(None), context=new_context())
        decide_change(done.change.pk, approve=False, by=operator(None), context=new_context(), reason="Too short.")
        client.refresh_from_db()
        assert client.name == "Night Export"
        assert ChangeRequest.objects.get().reason == "Too short."

    def test_nobody_decides_twice(self, kim: User, client: Client) -> None:
        done = self.change(kim, client, client_name="Export")
        assert done.change is not None
        decide_change(done.change.pk, approve=True, by=operator(None), context=new_context())
        with pytest.raises(NotPossible, match="waits no more"):
            decide_change(done.change.pk, approve=False, by=operator(None), context=new_context(), reason="No.")

    def test_a_declined_client_is_revised_and_submitted_again(
        self, kim: User, ec: KeyPair, configure: Configure
    ) -> None:
        configure(mode="production")
        client = submitted(kim, ec)
        take_step(client.client_id, "declined", by=operator(None), context=new_context(), reason="Who are you?")
        self.change(kim, Client.objects.get(pk=client.pk), publisher="Kim Inc, Springfield")
        client.refresh_from_db()
        assert (client.status, client.publisher) == ("submitted", "Kim Inc, Springfield")

    def test_what_waits_for_a_decision_is_withdrawn_before_it_is_changed(
        self, kim: User, ec: KeyPair, configure: Configure
    ) -> None:
        configure(mode="production")
        client = submitted(kim, ec)
        with pytest.raises(NotPossible, match="submitted"):
            drafts.revise(client, kim.pk)
        take_step(client.client_id, "withdrawn", by=owner(kim.pk), context=new_context())
        assert drafts.revise(Client.objects.get(pk=client.pk), kim.pk).answers["client_name"] == "Night Export"
