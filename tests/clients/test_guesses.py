"""Guessing at secrets: a burst of wrong ones, then a pause, for one client from one network.

RFC 6749 §2.3.1 and §10.10; RFC 6585 §4.
"""

import base64
import logging
from datetime import timedelta

import pytest

from clients import guesses
from clients.authentication import authenticate_client
from clients.guesses import AT_ONCE, EVERY, Guesses
from smartauth import alarms
from smartauth.audit.models import AuditRecord
from smartauth.context import new_context
from smartauth.errors import InvalidClient, TooManyRequests
from tests.factories import AUDIENCES, NOW, make_client, web_app

HERE, ELSEWHERE = "192.0.2.7", "198.51.100.7"

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quiet() -> None:
    alarms._raised.clear()


@pytest.fixture
def secret() -> str:
    registered = make_client(web_app())
    assert registered.secret
    return registered.secret


def attempt(
    secret: str, *, client_id: str = "cardio", address: str = HERE, seconds: float = 0, post: bool = False
) -> str:
    """Authenticate and return what came of it: "in", the rule of the refusal, or how long to wait."""
    header = {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}
    params = {"client_id": client_id, "client_secret": secret} if post else {}
    context = new_context(remote_address=address)
    now = NOW + timedelta(seconds=seconds)
    try:
        authenticate_client({} if post else header, params, audiences=lambda _: AUDIENCES, context=context, now=now)
    except InvalidClient as refused:
        return refused.refusal.rule
    except TooManyRequests as refused:
        return f"wait {refused.retry_after}"
    return "in"


@pytest.mark.requirement("SYM-07")
@pytest.mark.parametrize("post", [False, True])
def test_after_a_burst_of_wrong_secrets_none_is_looked_at_for_a_while(secret: str, post: bool) -> None:
    rule = "client.auth_method" if post else "client.secret"  # In the body it is wrong for this client in any case.
    assert [attempt("wrong", post=post) for _ in range(AT_ONCE)] == [rule] * AT_ONCE
    assert attempt("wrong", post=post) == "wait 30"
    assert attempt(secret) == "wait 30"
    assert attempt(secret, seconds=EVERY - 1) == "wait 1"
    assert attempt("wrong", seconds=EVERY) == "client.secret"
    assert attempt(secret, seconds=EVERY) == "wait 30"
    assert attempt(secret, seconds=2 * EVERY) == "in"


@pytest.mark.requirement("SYM-07")
def test_the_client_itself_comes_from_elsewhere_and_is_let_in(secret: str) -> None:
    for _ in range(AT_ONCE):
        attempt("wrong")
    assert attempt(secret) == "wait 30"
    assert attempt(secret, address=ELSEWHERE) == "in"
    assert attempt("wrong", client_id="nobody") == "client.unknown"


def test_good_secrets_do_not_count(secret: str) -> None:
    assert [attempt(secret) for _ in range(3 * AT_ONCE)] == ["in"] * 3 * AT_ONCE


@pytest.mark.requirement("SYM-05")
def test_who_does_not_exist_is_slowed_down_the_same_way(secret: str) -> None:
    for client_id in ("cardio", "nobody"):
        answers = [attempt("wrong", client_id=client_id) for _ in range(AT_ONCE + 2)]
        assert answers[AT_ONCE:] == ["wait 30", "wait 30"]


NETWORKS = [
    # address                another                  the same network
    ("192.0.2.7",            "192.0.2.8",             False),
    ("2001:db8:0:1::1",      "2001:db8:0:1:ffff::9",  True),
    ("2001:db8:0:1::1",      "2001:db8:0:2::1",       False),
    ("::ffff:192.0.2.7",     "::ffff:192.0.2.8",      False),
    ("::ffff:192.0.2.7",     "192.0.2.7",             True),
    ("fe80::1%eth0",         "fe80::2%eth0",          True),
]  # fmt: skip


@pytest.mark.parametrize(("address", "another", "same"), NETWORKS)
def test_who_has_an_ipv6_address_has_its_neighbours(secret: str, address: str, another: str, same: bool) -> None:
    for _ in range(AT_ONCE):
        attempt("wrong", address=address)
    assert attempt(secret, address=another) == ("wait 30" if same else "in")


def test_where_the_address_is_not_known_nobody_is_locked_out(secret: str) -> None:
    assert {attempt("wrong", address="") for _ in range(3 * AT_ONCE)} == {"client.secret"}
    assert attempt(secret, address="") == "in"


@pytest.mark.requirement("SYM-07")
def test_a_burst_raises_an_alarm_and_leaves_an_audit_record(secret: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    for _ in range(AT_ONCE - 1):
        attempt("wrong")
    assert (caplog.messages, AuditRecord.objects.count()) == ([], 0)
    for _ in range(5):
        attempt("wrong")
    assert caplog.messages == ["alarm client-secret-guessing client_id=cardio network=192.0.2.7/32"]
    record = AuditRecord.objects.get()
    assert (record.action, record.rule, record.client_id) == ("alarm", "client.guessing", "cardio")
    assert record.details == {"network": "192.0.2.7/32"}


def test_a_text_that_is_no_client_id_adds_nothing_to_the_alarm(caplog: pytest.LogCaptureFixture) -> None:
    for _ in range(AT_ONCE):
        attempt("wrong", client_id="cardio network=198.51.100.1/32\nalarm upstream-down")
    assert caplog.messages == ["alarm client-secret-guessing client_id=(no client_id) network=192.0.2.7/32"]


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(guesses, "SOURCES", 2)
    counted = Guesses()
    for name in ("first", "second", "third"):
        for _ in range(AT_ONCE):
            counted.add((name, HERE), 0.0)
    assert [counted.seconds_to_wait((name, HERE), 0.0) for name in ("first", "second", "third")] == [0, EVERY, EVERY]


def test_a_clock_that_is_set_back_lengthens_no_pause() -> None:
    counted = Guesses()
    for _ in range(AT_ONCE):
        counted.add(("cardio", HERE), 1_000.0)
    assert counted.seconds_to_wait(("cardio", HERE), 0.0) == EVERY
