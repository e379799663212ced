"""Deciding about what waits: on which grounds, with fewer scopes, and never about something nobody has seen."""

from collections.abc import Iterable
from typing import Any

import pytest

from clients import reviews
from clients.acting import NotPossible, operator, owner
from clients.changes import request_change
from clients.key_pairs import KeyPair
from clients.lifecycle import take_step
from clients.models import Activation, ChangeRequest, Client, ClientEvent, Review
from clients.registration import describe_metadata, register_client
from clients.reviews import Outcome, Verdict
from clients.risk_hints import Neighbours, hints_of
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.people.models import User
from tests.conftest import Configure
from tests.factories import make_client, make_tenant, phone_app, service, web_app

pytestmark = pytest.mark.django_db

SCOPES = "launch/patient patient/Observation.rs patient/Condition.rs"


@pytest.fixture
def kim() -> User:
    return User.objects.create_user("kim", password="not used here")


@pytest.fixture
def officer() -> User:
    return User.objects.create_user("officer", password="not used here")


@pytest.fixture
def waiting(kim: User, configure: Configure) -> Client:
    configure(mode="production")
    metadata = phone_app(client_name="Chart", scope=SCOPES, purpose="Shows growth.")
    return register_client(metadata, operator=False, approved=False, owner=kim.pk).client


def decide(client: Client, outcome: Outcome, officer: User, seen: str = "", **said: Any) -> Review:
    matter = reviews.find_matter(client)
    assert matter is not None
    ticked = {"keep": matter.scopes, "checked": frozenset(matter.checks), **said}
    verdict = Verdict(outcome, **ticked)
    return reviews.decide(
        client.client_id,
        verdict,
        seen=seen or matter.version,
        by=operator(officer.pk),
        context=new_context(),
        hints=("name.lookalike",),
    )


def events(client: Client) -> list[tuple[str, str]]:
    return list(ClientEvent.objects.filter(client=client).order_by("pk").values_list("act", "reason"))


def test_what_was_checked_and_hinted_at_is_kept_with_the_decision(waiting: Client, officer: User) -> None:
    review = decide(waiting, Outcome.APPROVED, officer)
    waiting.refresh_from_db()
    assert (waiting.status, review.user, review.hints) == ("approved", officer, ["name.lookalike"])
    assert review.checked == ["hosts", "publisher", "purpose", "scopes"]
    record = AuditRecord.objects.get(rule="client.approved")
    assert (record.user_id, record.client_id) == (officer.pk, waiting.client_id)


def test_fewer_scopes_are_given_and_the_owner_reads_which_are_not(waiting: Client, officer: User) -> None:
    kept = ("launch/patient", "patient/Observation.rs")
    review = decide(waiting, Outcome.NARROWED, officer, keep=kept, reason="Conditions are not needed for growth.")
    waiting.refresh_from_db()
    assert (waiting.status, waiting.scope) == ("approved", " ".join(kept))
    assert review.left_out == ["patient/Condition.rs"]
    told = "Conditions are not needed for growth. Not given: patient/Condition.rs."
    assert events(waiting)[-1] == ("approved", told)


def test_it_is_active_where_the_registrar_says_in_the_same_step(waiting: Client, officer: User) -> None:
    make_tenant()
    decide(waiting, Outcome.APPROVED, officer, activate={"sandbox": "patient/Observation.rs"})
    assert list(Activation.objects.values_list("is_active", "allowed_scope")) == [(True, "patient/Observation.rs")]


def test_what_cannot_be_activated_is_not_approved_either(waiting: Client, officer: User) -> None:
    make_tenant()
    for activate in ({"nowhere": ""}, {"sandbox": "patient/Nothing.rs"}):
        with pytest.raises(NotPossible):
            decide(waiting, Outcome.APPROVED, officer, activate=activate)
    waiting.refresh_from_db()
    assert (waiting.status, Review.objects.count(), AuditRecord.objects.count()) == ("submitted", 0, 0)


@pytest.mark.parametrize(
    ("outcome", "said", "rule"),
    [
        (Outcome.DECLINED, {}, "review.reason"),
        (Outcome.RETURNED, {"reason": "  "}, "review.reason"),
        (Outcome.APPROVED, {"checked": frozenset()}, "review.note"),
        (Outcome.APPROVED, {"keep": ("launch/patient",)}, "review.keep"),
        (Outcome.NARROWED, {}, "review.keep"),
        (Outcome.NARROWED, {"keep": ()}, "review.keep"),
        (Outcome.DECLINED, {"reason": "No.", "activate": {"sandbox": ""}}, "review.activate"),
        (Outcome.APPROVED, {"seen": "client 2020"}, "review.changed"),
    ],
)
def test_an_incomplete_verdict_decides_nothing(
    waiting: Client, officer: User, outcome: Outcome, said: dict[str, Any], rule: str
) -> None:
    with pytest.raises(NotPossible) as refused:
        decide(waiting, outcome, officer, **said)
    assert refused.value.refusal.rule == rule
    waiting.refresh_from_db()
    assert (waiting.status, Review.objects.count()) == ("submitted", 0)


def test_what_is_not_ticked_takes_a_note_that_the_owner_does_not_read(waiting: Client, officer: User) -> None:
    decide(waiting, Outcome.APPROVED, officer, checked=frozenset({"scopes"}), note="We know them.")
    assert Review.objects.get().note == "We know them."
    assert "We know them." not in str(events(waiting))


@pytest.mark.parametrize(("outcome", "status"), [(Outcome.RETURNED, "draft"), (Outcome.DECLINED, "declined")])
def test_it_goes_back_or_is_declined_with_a_reason(
    waiting: Client, officer: User, outcome: Outcome, status: str
) -> None:
    decide(waiting, outcome, officer, reason="Who are you?")
    waiting.refresh_from_db()
    assert (waiting.status, events(waiting)[-1]) == (status, (str(outcome), "Who are you?"))


def test_the_second_of_two_officers_decides_nothing_and_reads_who_was_first(
    waiting: Client, officer: User, kim: User
) -> None:
    matter = reviews.find_matter(waiting)
    assert matter is not None
    decide(waiting, Outcome.APPROVED, officer)
    late = Verdict(Outcome.APPROVED, keep=matter.scopes, checked=frozenset(matter.checks))
    with pytest.raises(NotPossible, match="waits no more") as refused:
        reviews.decide(waiting.client_id, late, seen=matter.version, by=operator(kim.pk), context=new_context())
    assert refused.value.refusal.seen == "officer: approved"
    assert Review.objects.count() == 1


def test_what_was_declined_is_approved_after_all_and_not_declined_again(waiting: Client, officer: User) -> None:
    matter = reviews.find_matter(waiting)
    assert matter is not None
    decide(waiting, Outcome.DECLINED, officer, reason="No.")
    declined = Client.objects.get(pk=waiting.pk)
    with pytest.raises(NotPossible, match="changed since you looked"):
        decide(declined, Outcome.APPROVED, officer, seen=matter.version)
    for outcome in (Outcome.DECLINED, Outcome.RETURNED):
        with pytest.raises(NotPossible, match="declined already"):
            decide(declined, outcome, officer, reason="No.")
    decide(declined, Outcome.APPROVED, officer, reason="They called.")
    declined.refresh_from_db()
    assert (declined.status, events(declined)[-1]) == ("approved", ("approved", "They called."))


class TestChanges:
    """Of a client that was approved already."""

    def ask(self, kim: User, client: Client, **changes: Any) -> ChangeRequest:
        metadata = {**describe_metadata(client), **changes}
        _, change, _ = request_change(client.client_id, metadata, by=owner(kim.pk), context=new_context())
        assert change is not None
        return change

    @pytest.fixture
    def approved(self, waiting: Client, officer: User) -> Client:
        decide(waiting, Outcome.APPROVED, officer)
        return Client.objects.get(pk=waiting.pk)

    def test_a_change_is_approved_with_fewer_scopes(self, approved: Client, kim: User, officer: User) -> None:
        self.ask(kim, approved, scope=f"{SCOPES} patient/Patient.rs patient/Device.rs")
        review = decide(approved, Outcome.NARROWED, officer, keep=(*SCOPES.split(), "patient/Patient.rs"))
        approved.refresh_from_db()
        assert approved.scope == f"{SCOPES} patient/Patient.rs"
        assert (review.change, review.left_out) == (ChangeRequest.objects.get(), ["patient/Device.rs"])

    def test_a_change_is_declined_and_the_client_goes_on(self, approved: Client, kim: User, officer: User) -> None:
        self.ask(kim, approved, client_name="Bank")
        with pytest.raises(NotPossible, match="not sent back"):
            decide(approved, Outcome.RETURNED, officer, reason="No.")
        decide(approved, Outcome.DECLINED, officer, reason="You are no bank.")
        approved.refresh_from_db()
        assert (approved.status, approved.name) == ("approved", "Chart")
        assert events(approved)[-1] == ("change_declined", "You are no bank.")

    def test_a_change_that_was_replaced_is_not_decided_unseen(self, approved: Client, kim: User, officer: User) -> None:
        first = self.ask(kim, approved, client_name="Bank")
        self.ask(kim, approved, client_name="Mint")
        with pytest.raises(NotPossible, match="changed since you looked"):
            decide(approved, Outcome.APPROVED, officer, seen=f"change {first.pk}")
        approved.refresh_from_db()
        assert approved.name == "Chart"

    def test_of_a_retired_client_nothing_waits(self, approved: Client, kim: User) -> None:
        self.ask(kim, approved, client_name="Bank")
        retired = take_step(approved.client_id, "retired", by=owner(kim.pk), context=new_context())
        assert reviews.find_matter(retired) is None


def rules(client: Client, findings: Iterable[Any] = ()) -> set[str]:
    return {one.rule for one in hints_of(client, describe_metadata(client), Neighbours.load(), findings)}


SITE = {"client_uri": "https://www.example.org/", "policy_uri": "https://example.org/privacy"}


class TestHints:
    """What to look at twice."""

    @pytest.mark.parametrize(
        ("members", "rule"),
        [
            ({"scope": "patient/*.rs"}, "scope.wide"),
            ({"scope": "patient/Observation.c"}, "scope.writes"),
            ({"scope": "patient/Observation.write"}, "scope.writes"),
            ({"scope": "launch/patient offline_access"}, "scope.offline"),
            ({"scope": "__introspect"}, "scope.right"),
            ({"client_uri": ""}, "host.no_website"),
            ({"client_uri": "https://other.example.com/"}, "host.elsewhere"),
            ({"redirect_uris": ["https://example.org.evil.test/cb"]}, "host.elsewhere"),
            ({"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "native"}, "host.plain_http"),
            ({"policy_uri": ""}, "policy.none"),
            ({"token_endpoint_auth_method": "client_secret_basic"}, "proof.secret"),
            ({"token_endpoint_auth_method": "none"}, "proof.none"),
            ({"client_name": "Gr\u043ewth"}, "name.lookalike"),
        ],
    )
    def test_each_says_what_it_is_about_and_a_plain_client_has_none(
        self, ec: KeyPair, members: dict[str, Any], rule: str
    ) -> None:
        plain = {
            "scope": "launch/patient patient/Observation.rs",
            "token_endpoint_auth_method": "private_key_jwt",
            "jwks_uri": "https://keys.example.org/jwks.json",
            **SITE,
        }
        assert rules(make_client(web_app(**plain)).client) == set()
        assert rule in rules(make_client(web_app(**{**plain, **members, "client_id": "second"})).client)

    def test_a_service_reads_without_anybody_and_keys_by_hand_are_told(self, ec: KeyPair) -> None:
        assert rules(make_client(service(jwks=ec.jwks, **SITE)).client) == {"scope.system", "scope.wide", "keys.inline"}

    def test_a_redirect_host_of_somebody_else_is_told_and_one_of_the_same_owner_is_not(
        self, kim: User, officer: User
    ) -> None:
        first = make_client(web_app(**SITE), owner=kim.pk).client
        own = make_client(web_app(client_id="own", **SITE), owner=kim.pk).client
        assert "host.shared" not in rules(own)
        other = make_client(web_app(client_id="other", **SITE), owner=officer.pk).client
        assert "host.shared" in rules(other)
        assert "host.shared" in rules(first)

    def test_names_that_look_alike_are_told_whoever_owns_them(self) -> None:
        make_client(web_app(client_name="Growth Chart", **SITE))
        twin = make_client(web_app(client_id="twin", client_name="Gr0wth Chart", **SITE)).client
        assert "name.lookalike" in rules(twin)
