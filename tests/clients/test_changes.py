"""Changes of approved clients: in force at once or waiting, and never more than was asked for.

SMART 2.2 app-launch, "Register App with EHR"; RFC 7592 §2.2.
"""

from typing import Any

import pytest

from clients import drafts
from clients.acting import BY_ITSELF, BY_PROTOCOL, Actor, NotPossible, operator, owner
from clients.changes import decide_change, differences_of, request_change, withdraw_change
from clients.differences import merged
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.metadata import InvalidClientMetadata
from clients.models import ChangeRequest, Client, ClientEvent
from clients.registration import describe_metadata
from clients.self_registration import replace
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.digests import digest
from smartauth.people.models import User
from tests.clients.at_once import at_once
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, phone_app, service, web_app

pytestmark = pytest.mark.django_db

OPERATOR = operator(None)
WIDE = "patient/*.rs openid"


@pytest.fixture(autouse=True)
def production(configure: Configure) -> None:
    configure(mode="production")


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", password="not used here")


@pytest.fixture
def client(kim: User) -> Client:
    return make_client(phone_app(scope="patient/Observation.rs openid"), owner=kim.pk).client


def change(client: Client, by: Actor = BY_PROTOCOL, **members: Any) -> tuple[Client, ChangeRequest | None, str | None]:
    metadata = describe_metadata(Client.objects.get(pk=client.pk)) | members
    return request_change(client.client_id, metadata, by=by, context=new_context())


def waiting(client: Client, **members: Any) -> ChangeRequest:
    _, request, secret = change(client, **members)
    assert request is not None
    assert secret is None
    return request


def decide(request: ChangeRequest, approve: bool = True, by: Actor = OPERATOR, reason: str = "") -> ChangeRequest:
    return decide_change(request.pk, approve=approve, by=by, context=new_context(), reason=reason)


def refusal(call: Any) -> str:
    with pytest.raises(NotPossible) as refused:
        call()
    assert refused.value.refusal.fix
    return refused.value.refusal.rule


def acts() -> list[str]:
    return list(ClientEvent.objects.order_by("pk").values_list("act", flat=True))


WAITS = [
    # what changes                                                   waits
    ({"contacts": ["dev@cardio.example.org"]}, False),
    ({"software_version": "2"}, False),
    ({"scope": "patient/Observation.rs"}, False),
    ({"require_pushed_authorization_requests": True}, False),
    ({"scope": WIDE}, True),
    ({"client_name": "Another"}, True),
    ({"redirect_uris": ["https://cardio.example.org/callback", "https://cardio.example.org/two"]}, True),
    ({"launch_urls": ["https://cardio.example.org/launch"]}, True),
    ({"purpose": "Something else."}, True),
    ({"policy_uri": "https://cardio.example.org/privacy"}, True),
    ({"grant_types": ["authorization_code", "refresh_token"]}, True),
    ({"application_type": "native"}, True),
]


@pytest.mark.requirement("REG-15")
@pytest.mark.parametrize(("members", "waits"), WAITS)
def test_what_gives_more_or_shows_something_else_waits(client: Client, members: dict[str, Any], waits: bool) -> None:
    before = describe_metadata(Client.objects.get())
    _, request, _ = change(client, **members)
    assert (request is not None) == waits
    assert describe_metadata(Client.objects.get()) == (before if waits else before | members)
    assert Client.objects.get().status == "approved"
    assert acts() == ["change_requested" if waits else "changed"]
    if request is not None:
        assert [one.member for one in differences_of(request)] == [*members]
        decide(request)
        assert describe_metadata(Client.objects.get()) == before | members


def test_the_sandbox_decides_by_itself_and_says_so(client: Client, configure: Configure) -> None:
    configure(mode="sandbox")
    _, request, _ = change(client, scope=WIDE)
    assert request is None
    assert Client.objects.get().scope == WIDE
    assert acts() == ["changed", "change_approved"]


def test_a_newer_change_takes_the_place_of_one_that_waits(client: Client) -> None:
    first, second = waiting(client, scope=WIDE), waiting(client, client_name="Another")
    assert refusal(lambda: decide(first)) == "change.decided"
    decide(second)
    assert Client.objects.values_list("name", "scope").get() == ("Another", "patient/Observation.rs openid")


def test_one_that_waits_is_withdrawn_once(client: Client, kim: User) -> None:
    request = waiting(client, scope=WIDE)
    withdraw_change(client.client_id, by=owner(kim.pk), context=new_context())
    assert refusal(lambda: withdraw_change(client.client_id, by=owner(kim.pk), context=new_context())) == "change.none"
    assert refusal(lambda: decide(request)) == "change.decided"
    assert acts() == ["change_requested", "change_withdrawn"]


@pytest.mark.parametrize("status", ["draft", "submitted", "declined", "suspended", "retired"])
def test_only_an_approved_client_is_changed_like_this(client: Client, status: str) -> None:
    Client.objects.update(status=status)
    assert refusal(lambda: change(client, scope=WIDE)) == "change.not_approved"


def test_declining_takes_a_reason_and_its_owner_reads_it(client: Client) -> None:
    request = waiting(client, scope=WIDE)
    assert refusal(lambda: decide(request, approve=False, reason=" ")) == "change.reason"
    assert decide(request, approve=False, reason="Why all of it?").reason == "Why all of it?"
    assert ClientEvent.objects.first().reason == "Why all of it?"  # type: ignore[union-attr]
    assert AuditRecord.objects.latest("pk").rule == "client.change_declined"


def test_a_change_that_the_rules_of_today_refuse_is_still_read_and_declined(client: Client) -> None:
    request = waiting(client, redirect_uris=["https://new.example.org/callback"])
    ChangeRequest.objects.update(wanted=request.wanted | {"redirect_uris": ["http://new.example.org/callback"]})
    request.refresh_from_db()
    assert [(one.member, one.widens) for one in differences_of(request)] == [("redirect_uris", True)]
    with pytest.raises(InvalidClientMetadata):
        decide_change(request.pk, approve=True, by=OPERATOR, context=new_context())
    decide_change(request.pk, approve=False, by=OPERATOR, context=new_context(), reason="Use https.")
    assert ChangeRequest.objects.get().state == ChangeRequest.State.DECLINED


@pytest.mark.parametrize("by", [owner(1), BY_PROTOCOL])
def test_nobody_decides_about_a_change_of_their_own(client: Client, by: Actor) -> None:
    request = waiting(client, scope=WIDE)
    assert refusal(lambda: decide(request, by=by)) == "change.role"
    assert refusal(lambda: withdraw_change(client.client_id, by=OPERATOR, context=new_context())) == "change.role"
    assert decide(request, by=BY_ITSELF).state == "approved"


@pytest.mark.django_db(transaction=True)
def test_of_two_decisions_at_once_one_counts_and_the_other_is_told(client: Client) -> None:
    request = waiting(client, scope=WIDE)
    found = at_once(lambda: decide(request), lambda: decide(request, approve=False, reason="No."))
    [won] = [one for one in found if isinstance(one, ChangeRequest)]
    [lost] = [one for one in found if isinstance(one, NotPossible)]
    assert lost.refusal.rule == "change.decided"
    assert ChangeRequest.objects.get().state == won.state
    assert (Client.objects.get().scope == WIDE) == (won.state == "approved")


@pytest.mark.django_db(transaction=True)
def test_asking_withdrawing_and_deciding_at_once_do_not_wait_for_each_other_for_ever(client: Client) -> None:
    for _ in range(3):
        request = waiting(client, client_name="Another")
        found = at_once(
            lambda request=request: decide(request, approve=False, reason="No."),
            lambda: withdraw_change(client.client_id, by=BY_PROTOCOL, context=new_context()),
            lambda: change(client, client_name="A third"),
        )
        assert not [one for one in found if isinstance(one, Exception) and not isinstance(one, NotPossible)], found


class TestMeanwhile:
    """Between asking and deciding things happen, and they stay."""

    def test_an_operator_took_a_scope_away(self, client: Client) -> None:
        request = waiting(client, scope="patient/Observation.rs openid patient/Patient.rs")
        Client.objects.update(scope="openid")
        assert differences_of(request)[0].added == ("patient/Patient.rs",)
        decide(request)
        assert Client.objects.get().scope == "openid patient/Patient.rs"

    def test_an_operator_restricted_the_client(self, client: Client) -> None:
        request = waiting(client, scope=WIDE)
        Client.objects.update(restrictions={"patients": ["ana"]})
        decide(request)
        assert Client.objects.get().restrictions == {"patients": ["ana"]}

    def test_the_client_replaced_a_lost_key(self, kim: User, ec: KeyPair, rsa: KeyPair) -> None:
        client = make_client(service(jwks=ec.jwks)).client
        request = waiting(client, client_name="Another")
        Client.objects.update(client_jwks=rsa.jwks)
        decide(request)
        assert Client.objects.get().client_jwks == rsa.jwks

    def test_the_client_said_everything_anew_by_protocol(self, client: Client) -> None:
        request = waiting(client, scope=WIDE)
        locked = Client.objects.get()
        metadata = describe_metadata(locked) | {"client_id": client.client_id}
        replace(locked, metadata, context=new_context())
        assert refusal(lambda: decide(request)) == "change.decided"
        assert Client.objects.get().status == "approved"
        assert acts() == ["change_requested", "change_withdrawn"]

    def test_the_client_was_suspended_and_stays_so(self, client: Client) -> None:
        request = waiting(client, scope=WIDE)
        take_step(client.client_id, "suspended", by=OPERATOR, context=new_context(), reason="Leaked.")
        decide(request)
        assert Client.objects.values_list("scope", "status").get() == (WIDE, "suspended")

    def test_the_client_was_retired(self, client: Client) -> None:
        request = waiting(client, scope=WIDE)
        take_step(client.client_id, "retired", by=OPERATOR, context=new_context())
        assert refusal(lambda: decide(request)) == "change.decided"
        assert Client.objects.get().scope == "patient/Observation.rs openid"


class TestHowItAuthenticates:
    """A client may come to prove more, never less."""

    def test_a_public_app_that_gets_a_secret_is_shown_it_once(self, client: Client) -> None:
        changed, request, secret = change(client, token_endpoint_auth_method="client_secret_basic")
        assert (request, changed.client_secret) == (None, digest(secret or ""))
        assert changed.client_secret_expires_at is not None
        assert change(client, contacts=["dev@cardio.example.org"])[2] is None

    def test_secrets_go_when_a_key_comes(self, kim: User, ec: KeyPair) -> None:
        client = make_client(web_app()).client
        change(client, token_endpoint_auth_method="private_key_jwt", jwks=ec.jwks)
        row = Client.objects.get()
        assert (row.client_secret, row.previous_client_secret, row.client_type) == ("", "", "confidential")

    def test_it_never_proves_less(self, kim: User) -> None:
        client = make_client(web_app()).client
        with pytest.raises(InvalidClientMetadata, match="prove less"):
            change(client, token_endpoint_auth_method="none")

    def test_a_secret_that_comes_with_an_approval_is_shown_to_nobody(self, client: Client) -> None:
        request = waiting(client, client_name="Another", token_endpoint_auth_method="client_secret_basic")
        decide(request)
        row = Client.objects.get()
        assert row.client_secret
        everything = str([*ClientEvent.objects.values(), *AuditRecord.objects.values()])
        assert row.client_secret not in everything


MERGED = [
    # now                          before             wanted             result
    ({"a": "1"}, {"a": "1"}, {"a": "2"}, {"a": "2"}),
    ({"a": "3"}, {"a": "1"}, {"a": "2"}, {"a": "2"}),
    ({"a": "3"}, {"a": "1"}, {"a": "1"}, {"a": "3"}),
    ({"a": "1"}, {"a": "1"}, {}, {}),
    ({}, {"a": "1"}, {"a": "1"}, {}),
    ({"b": "x"}, {}, {"a": "1"}, {"b": "x", "a": "1"}),
    ({"l": ["1", "2"]}, {"l": ["1", "2"]}, {"l": ["2", "1", "3"]}, {"l": ["2", "1", "3"]}),
    ({"l": ["2"]}, {"l": ["1", "2"]}, {"l": ["1", "2", "3"]}, {"l": ["2", "3"]}),
    ({"l": ["1", "2", "4"]}, {"l": ["1", "2"]}, {"l": ["1"]}, {"l": ["1", "4"]}),
    ({"l": ["3"]}, {}, {"l": ["3"]}, {"l": ["3"]}),
    ({"scope": "a c"}, {"scope": "a b"}, {"scope": "a b d"}, {"scope": "a c d"}),
    ({"k": True}, {"k": True}, {}, {}),
    ({"jwks": {"keys": []}}, {"jwks": {"keys": []}}, {"jwks_uri": "u"}, {"jwks_uri": "u"}),
]


@pytest.mark.parametrize(("now", "before", "wanted", "result"), MERGED)
def test_only_the_difference_is_put_in_force(now: Any, before: Any, wanted: Any, result: Any) -> None:
    assert merged(now, before, wanted) == result


class TestDrafts:
    """Changes being filled in while the client moves on."""

    ANSWERS: dict[str, Any] = {"publisher": "B", "purpose": "B", "contacts": ["b@example.org"]}

    def test_what_the_client_became_meanwhile_is_not_undone(self, kim: User, ec: KeyPair, rsa: KeyPair) -> None:
        tenant = make_tenant()
        client = make_client(service(jwks=ec.jwks, scope="system/Patient.rs system/Group.rs"), owner=kim.pk).client
        draft = drafts.revise(client, kim.pk)
        Client.objects.update(client_jwks=rsa.jwks, scope="system/Patient.rs", software_version="7")
        answers = self.ANSWERS | {"client_name": "Another", "tenants": [tenant.slug]}
        assert drafts.save_answers(draft, answers) == ()
        done = drafts.submit(draft, user=kim.pk, context=new_context())
        assert done.change is not None
        decide(done.change)
        row = Client.objects.get()
        assert (row.name, row.scope, row.software_version) == ("Another", "system/Patient.rs", "7")
        assert row.client_jwks == rsa.jwks

    def test_what_its_kind_does_not_ask_for_stays(self, kim: User, client: Client) -> None:
        tenant = make_tenant()
        Client.objects.update(launch_urls="https://cardio.example.org/launch", kind="patient")
        draft = drafts.revise(Client.objects.get(), kim.pk)
        assert drafts.save_answers(draft, self.ANSWERS | {"client_name": "Chart", "tenants": [tenant.slug]}) == ()
        done = drafts.submit(draft, user=kim.pk, context=new_context())
        assert done.change is not None
        decide(done.change)
        assert Client.objects.get().launch_urls == "https://cardio.example.org/launch"

    def test_a_draft_of_a_client_that_came_to_somebody_else_is_not_submitted(self, client: Client, kim: User) -> None:
        make_tenant()
        draft = drafts.revise(client, kim.pk)
        lee = User.objects.create_user("lee", password="not used here")
        Client.objects.update(user=lee)
        assert refusal(lambda: drafts.submit(draft, user=kim.pk, context=new_context())) == "draft.not_yours"
        assert drafts.revise(Client.objects.get(), lee.pk).owner_id == lee.pk

    @pytest.mark.parametrize("status", ["suspended", "retired"])
    def test_a_draft_of_a_client_that_was_stopped_changes_nothing(self, client: Client, kim: User, status: str) -> None:
        tenant = make_tenant()
        draft = drafts.revise(client, kim.pk)
        answers = {"client_name": "B", "publisher": "B", "purpose": "B", "contacts": ["b@example.org"]}
        assert drafts.save_answers(draft, answers | {"tenants": [tenant.slug]}) == ()
        Client.objects.update(status=status)
        assert refusal(lambda: drafts.submit(draft, user=kim.pk, context=new_context())) == "lifecycle.submitted"
        assert Client.objects.get().name != "B"

    def test_two_windows_save_two_steps_and_both_are_kept(self, kim: User) -> None:
        draft = drafts.begin(kim.pk, "patient")
        other = type(draft).objects.get(pk=draft.pk)
        drafts.save_answers(draft, {"client_name": "A"})
        drafts.save_answers(other, {"publisher": "B"})
        draft.refresh_from_db()
        assert (draft.answers["client_name"], draft.answers["publisher"]) == ("A", "B")

    def test_saving_what_was_submitted_meanwhile_says_so(self, kim: User) -> None:
        draft = drafts.begin(kim.pk, "patient")
        type(draft).objects.all().delete()
        assert refusal(lambda: drafts.save_answers(draft, {"client_name": "A"})) == "draft.gone"

    def test_a_right_that_an_operator_gave_need_not_be_given_up(self, kim: User, ec: KeyPair) -> None:
        tenant = make_tenant()
        client = make_client(service(jwks=ec.jwks, scope="system/*.rs __introspect"), owner=kim.pk).client
        draft = drafts.revise(client, kim.pk)
        answers = {"publisher": "B", "purpose": "B", "contacts": ["b@example.org"], "tenants": [tenant.slug]}
        assert drafts.save_answers(draft, answers) == ()
        [finding] = drafts.save_answers(draft, {"scope": "system/*.rs __introspect __launch"})
        assert (finding.rule, finding.seen) == ("draft.scope_right", "__launch")
