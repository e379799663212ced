"""Secrets of clients: made, replaced, withdrawn, and ending of themselves.

RFC 6749 §2.3.1 and §10.10; RFC 7591 §3.2.1; SMART 2.2 client-confidential-symmetric.
"""

import base64
import re
from datetime import UTC, datetime, timedelta

import pytest
from django.test import Client as Browser

from clients.acting import BY_PROTOCOL, Actor, NotPossible, operator, owner
from clients.authentication import authenticate_client
from clients.client_secrets import LONGEST_OVERLAP, OWNERS_LIFETIME, IssuedSecret, issue_secret, withdraw_previous
from clients.guesses import AT_ONCE
from clients.lifecycle import take_step
from clients.models import Client, ClientEvent
from clients.registration import describe_client
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.digests import digest
from smartauth.errors import InvalidClient
from smartauth.people.models import User
from smartauth.receipts.models import Receipt
from tests.clients.at_once import at_once
from tests.factories import AUDIENCES, NOW, make_client, make_tenant, phone_app, web_app

pytestmark = pytest.mark.django_db

DAY, SECOND = timedelta(days=1), timedelta(seconds=1)
OPERATOR = operator(None)


@pytest.fixture
def first() -> str:
    """The secret of cardio, from its registration."""
    secret = make_client(web_app()).secret
    assert secret
    return secret


def issue(by: Actor = OPERATOR, *, now: datetime = NOW, **options: timedelta | None) -> IssuedSecret:
    return issue_secret("cardio", by=by, context=new_context(), now=now, **options)  # type: ignore[arg-type]


def attempt(secret: str, *, now: datetime = NOW) -> str:
    """Show a secret; return "in" or the rule of the refusal."""
    header = {"Authorization": "Basic " + base64.b64encode(f"cardio:{secret}".encode()).decode()}
    context = new_context(remote_address="192.0.2.7")
    try:
        authenticate_client(header, {}, audiences=lambda _: AUDIENCES, context=context, now=now)
    except InvalidClient as refused:
        return refused.refusal.rule
    return "in"


def refusal_of(secret: str, now: datetime) -> InvalidClient:
    header = {"Authorization": "Basic " + base64.b64encode(f"cardio:{secret}".encode()).decode()}
    with pytest.raises(InvalidClient) as error:
        authenticate_client(header, {}, audiences=lambda _: AUDIENCES, context=new_context(), now=now)
    return error.value


@pytest.mark.requirement("REG-10")
def test_a_secret_is_made_by_us_and_only_its_digest_is_kept(first: str) -> None:
    new = issue()
    assert re.fullmatch(r"[A-Za-z0-9_-]{43}", new.secret)
    assert new.secret not in repr(new)
    row = Client.objects.values().get()
    assert (row["client_secret"], row["previous_client_secret"]) == (digest(new.secret), digest(first))
    everything = str([row, *AuditRecord.objects.values(), *ClientEvent.objects.values()])
    assert new.secret not in everything


@pytest.mark.requirement("REG-10")
def test_two_are_good_at_a_time_and_a_third_ends_the_first(first: str) -> None:
    second = issue()
    assert (attempt(first), attempt(second.secret)) == ("in", "in")
    third = issue()
    assert [attempt(one) for one in (first, second.secret, third.secret)] == ["client.secret", "in", "in"]


def test_the_former_ends_a_month_after_at_the_second(first: str) -> None:
    new = issue()
    end = NOW + LONGEST_OVERLAP
    assert (new.expires_at, new.previous_expires_at) == (None, end)
    assert attempt(first, now=end - SECOND) == "in"
    assert attempt(first, now=end) == "client.secret_expired"
    assert attempt(new.secret, now=end + 1_000 * DAY) == "in"


def test_the_former_ends_no_later_than_it_would_have(first: str) -> None:
    short = issue(lifetime=10 * DAY)
    new = issue(now=NOW + DAY)
    assert new.previous_expires_at == short.expires_at == NOW + 10 * DAY
    assert attempt(short.secret, now=NOW + 10 * DAY) == "client.secret_expired"


def test_one_that_had_expired_gets_no_second_life(first: str) -> None:
    short = issue(lifetime=DAY)
    new = issue(now=NOW + 2 * DAY)
    assert new.previous_expires_at is None
    assert attempt(short.secret, now=NOW + 2 * DAY) == "client.secret_expired"


def test_the_former_can_end_at_once(first: str) -> None:
    new = issue(overlap=timedelta(0))
    assert (new.previous_expires_at, attempt(first), attempt(new.secret)) == (None, "client.secret", "in")


def test_the_former_is_withdrawn_once(first: str) -> None:
    new = issue()
    withdraw_previous("cardio", by=OPERATOR, context=new_context())
    assert (attempt(first), attempt(new.secret)) == ("client.secret", "in")
    with pytest.raises(NotPossible) as refused:
        withdraw_previous("cardio", by=OPERATOR, context=new_context())
    assert refused.value.refusal.rule == "secret.no_previous"
    assert attempt("") == "client.secret_empty"


@pytest.mark.parametrize(
    ("by", "lifetime", "good_for"),
    [
        (OPERATOR, None, None),
        (OPERATOR, 3_650 * DAY, 3_650 * DAY),
        (OPERATOR, 3_651 * DAY, "secret.lifetime"),
        (owner(1), None, OWNERS_LIFETIME),
        (owner(1), DAY, DAY),
        (owner(1), 365 * DAY, 365 * DAY),
        (owner(1), 366 * DAY, "secret.lifetime"),
        (owner(1), DAY - SECOND, "secret.lifetime"),
        (OPERATOR, timedelta(0), "secret.lifetime"),
        (BY_PROTOCOL, None, None),
    ],
)
def test_how_long_a_secret_is_good(first: str, by: Actor, lifetime: timedelta | None, good_for: object) -> None:
    if by.user is not None:
        by = owner(User.objects.create_user("kim", password="not used here").pk)
    if isinstance(good_for, str):
        with pytest.raises(NotPossible) as refused:
            issue(by, lifetime=lifetime)
        assert refused.value.refusal.rule == good_for
        assert "365" in refused.value.refusal.fix or "3650" in refused.value.refusal.fix
        assert Client.objects.get().client_secret == digest(first)
        return
    new = issue(by, lifetime=lifetime)
    assert new.expires_at == (None if good_for is None else NOW + good_for)  # type: ignore[operator]


@pytest.mark.parametrize("overlap", [-SECOND, LONGEST_OVERLAP + SECOND])
def test_two_are_not_good_together_for_longer(first: str, overlap: timedelta) -> None:
    with pytest.raises(NotPossible, match="limited time") as refused:
        issue(overlap=overlap)
    assert refused.value.refusal.rule == "secret.overlap"


def test_who_has_no_secret_is_given_none() -> None:
    make_client(phone_app(client_id="cardio"))
    with pytest.raises(NotPossible) as refused:
        issue()
    assert (refused.value.refusal.rule, refused.value.refusal.seen) == ("secret.method", "none")


def test_a_retired_client_is_given_none(first: str) -> None:
    take_step("cardio", "retired", by=OPERATOR, context=new_context())
    with pytest.raises(NotPossible) as refused:
        issue()
    assert refused.value.refusal.rule == "secret.retired"


def test_its_owner_and_the_audit_trail_know_who_made_one(first: str) -> None:
    kim = User.objects.create_user("kim", password="not used here")
    issue(owner(kim.pk))
    withdraw_previous("cardio", by=OPERATOR, context=new_context())
    acts = ClientEvent.objects.order_by("pk").values_list("act", "actor", "user_id")
    assert list(acts) == [("secret_issued", "owner", kim.pk), ("secret_withdrawn", "operator", None)]
    recorded = AuditRecord.objects.order_by("pk").values_list("action", "rule", "user_id")
    assert list(recorded) == [
        ("register", "client.secret_issued", kim.pk),
        ("administer", "client.secret_withdrawn", None),
    ]


class TestExpired:
    """A secret that was right once."""

    END = NOW + DAY

    @pytest.fixture
    def expired(self, first: str) -> str:
        return issue(lifetime=DAY).secret

    def test_its_receipt_says_which_when_and_what_to_do(self, expired: str) -> None:
        told = refusal_of(expired, self.END).refusal
        assert (told.rule, told.seen) == (
            "client.secret_expired",
            "the current secret, expired at 2026-03-02T12:00:00+00:00",
        )
        assert "Make a new secret" in told.fix
        issue(now=self.END)
        told = refusal_of(expired, self.END).refusal
        assert told.seen.startswith("the previous secret, expired at 2026-03-02T12:00:00")
        assert told.fix == "Use the secret that took its place."
        assert expired not in str(told)

    def test_the_public_answer_is_that_of_a_wrong_one(self, expired: str) -> None:
        once_right, wrong = refusal_of(expired, self.END), refusal_of("wrong", self.END)
        facts = [(one.code, one.status, one.description, one.basic) for one in (once_right, wrong)]
        assert facts[0] == facts[1]

    def test_it_does_not_count_as_a_guess(self, expired: str) -> None:
        # A machine that still has the old secret must not lock out those beside it that have the new one.
        answers = {attempt(expired, now=self.END) for _ in range(2 * AT_ONCE)}
        assert answers == {"client.secret_expired"}
        assert attempt(issue(now=self.END).secret, now=self.END) == "in"

    def test_what_else_is_wrong_is_told_first(self, expired: str) -> None:
        take_step("cardio", "suspended", by=OPERATOR, context=new_context(), reason="Leaked.")
        assert attempt(expired, now=self.END) == "client.suspended"


def test_the_metadata_tell_when_the_secret_ends(first: str) -> None:
    assert describe_client(Client.objects.get())["client_secret_expires_at"] == 0
    new = issue(lifetime=DAY)
    seconds = int((NOW + DAY).timestamp())
    assert describe_client(Client.objects.get())["client_secret_expires_at"] == seconds
    assert new.client_secret_expires_at == seconds
    make_client(phone_app())
    assert "client_secret_expires_at" not in describe_client(Client.objects.get(client_id="growth-chart"))


def test_over_http_an_expired_secret_and_a_wrong_one_get_the_same_answer(first: str) -> None:
    make_tenant()
    Client.objects.update(client_secret_expires_at=datetime.now(UTC))
    answers = []
    for secret in (first, "wrong"):
        header = "Basic " + base64.b64encode(f"cardio:{secret}".encode()).decode()
        answer = Browser(HTTP_HOST="127.0.0.1:8000").post(
            "/auth/sandbox/token",
            "grant_type=authorization_code&code=x",
            content_type="application/x-www-form-urlencoded",
            headers={"Authorization": header},
        )
        trace = answer["X-Trace-Id"]
        del answer["X-Trace-Id"]
        headers = sorted(answer.items())
        answers.append((answer.status_code, answer.content.replace(trace.encode(), b""), headers))
    assert answers[0] == answers[1]
    assert list(Receipt.objects.order_by("at").values_list("rule", flat=True)) == [
        "client.secret_expired",
        "client.secret",
    ]


@pytest.mark.django_db(transaction=True)
def test_two_made_at_once_are_both_good_and_the_first_is_not(first: str) -> None:
    found = at_once(*[lambda: issue()] * 2)
    secrets = [one.secret for one in found if isinstance(one, IssuedSecret)]
    assert len(secrets) == 2
    assert [attempt(one) for one in (first, *secrets)] == ["client.secret", "in", "in"]
