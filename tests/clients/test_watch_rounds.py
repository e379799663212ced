"""Rounds of the watch over key sets: on time, side by side, and past what is wrong with one set."""

import logging
import threading
import time
from datetime import datetime, timedelta
from functools import partial

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from clients import key_sets
from clients.key_pairs import KeyPair
from clients.key_watching import Round, watch
from clients.models import Client, KeyFinding, KeySet, KeyWatchRound
from clients.watch_loop import go_on, seconds_to_next
from smartauth import alarms
from tests.clients.at_once import at_once, each_at_once
from tests.clients.jwks_host import JwksHost, Page
from tests.factories import NOW, make_client, service


@pytest.fixture(autouse=True)
def nothing_told_yet() -> None:
    alarms._raised.clear()


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


MOMENTS = [
    # elapsed, every, seconds to the next round
    (0.0, 60, 60.0),
    (1.5, 60, 58.5),
    (59.9, 60, 0.1),
    (60.0, 60, 60.0),  # A round that ends on the dot of the next leaves that one out.
    (60.2, 60, 59.8),
    (185.0, 60, 55.0),
]


@pytest.mark.parametrize(("elapsed", "every", "seconds"), MOMENTS)
def test_the_next_round_is_at_the_next_multiple_of_the_interval(elapsed, every, seconds):
    assert seconds_to_next(elapsed, every) == pytest.approx(seconds)


class Ticking(threading.Event):
    """A stop that is a clock as well: waiting for it takes no time, and is what moves the clock."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def wait(self, timeout: float | None = None) -> bool:
        self.now += timeout or 0
        return self.is_set()


def test_rounds_do_not_drift_and_a_long_one_costs_only_the_moments_it_covers():
    stop, starts = Ticking(), []

    def do_round(_: threading.Event) -> None:
        starts.append(stop.now)
        stop.now += 15 if len(starts) == 2 else 1
        if len(starts) == 5:
            stop.set()

    go_on(do_round, every=10, stop=stop, clock=lambda: stop.now)
    assert starts == [0, 10, 30, 40, 50]


def test_stopping_does_not_wait_for_the_next_round():
    stop, began = threading.Event(), time.monotonic()
    threading.Timer(0.1, stop.set).start()
    go_on(lambda _: None, every=3_600, stop=stop)
    assert time.monotonic() - began < 5


class StoppedInThePause(threading.Event):
    """A stop that comes while the watch waits between two hosts."""

    def wait(self, timeout: float | None = None) -> bool:
        self.set()
        return True


@pytest.mark.django_db
def test_a_round_that_is_stopped_looks_at_no_further_key_set(jwks_host: JwksHost):
    for number in range(3):
        make_client(service(client_id=f"loader-{number}", jwks_uri=f"{jwks_host.url}?{number}"))
    done = watch(lambda: NOW, pause=60, stop=StoppedInThePause())
    assert done.fetched == jwks_host.visits == 2
    assert KeyFinding.objects.count() == 2
    assert not KeyWatchRound.objects.exists()


def test_without_a_database_rounds_fail_and_the_next_one_is_tried(caplog):
    stop, rounds = threading.Event(), []

    def do_round(_: threading.Event) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 3:
            stop.set()
            return
        raise OperationalError("connection to server at 10.1.2.3, user secretary failed")

    go_on(do_round, every=0.01, stop=stop)
    assert len(rounds) == 3
    assert caplog.messages == ["no round over key sets: the database does not answer (OperationalError)"] * 2


def test_a_fault_of_ours_ends_one_round_and_not_the_watch(caplog):
    stop, rounds = threading.Event(), []

    def do_round(_: threading.Event) -> None:
        rounds.append(len(rounds))
        if len(rounds) == 2:
            stop.set()
        raise KeyError("nobody thought of this")

    go_on(do_round, every=0.01, stop=stop)
    assert len(rounds) == 2
    assert caplog.messages == ["no round over key sets"] * 2
    assert all(record.exc_info for record in caplog.records)


@pytest.mark.django_db
def test_one_bad_key_set_does_not_stop_the_others(jwks_host: JwksHost, ec: KeyPair, caplog):
    for number in range(3):
        make_client(service(client_id=f"loader-{number}", jwks_uri=f"{jwks_host.url}?{number}"))
    # No fetch stores such a row. It stands for whatever nobody thought of.
    far = NOW + timedelta(minutes=5)
    KeySet.objects.create(
        jwks_uri=f"{jwks_host.url}?1", document={"keys": [{"kid": 1}, {"kid": "a"}]}, fetched_at=NOW, expires_at=far
    )
    done = watch(lambda: NOW, pause=0)
    assert done == Round(key_sets=3, fetched=2, new_findings=2, failed=1)
    assert set(KeyFinding.objects.values_list("client__client_id", "kind")) == {
        ("loader-0", "empty"),
        ("loader-2", "empty"),
    }
    [told] = [line for line in caplog.messages if "could not be judged" in line]
    assert f"{jwks_host.url}?1" in told


@pytest.mark.django_db
def test_the_last_round_is_kept_for_whoever_asks_whether_the_watch_runs(jwks_host: JwksHost):
    make_client(service(jwks_uri=jwks_host.url))
    watch(lambda: NOW, pause=0)
    watch(lambda: after(400), pause=0)
    [row] = KeyWatchRound.objects.values("began_at", "ended_at", "key_sets", "fetched", "failed", "new_findings")
    assert row == {
        "began_at": after(400),
        "ended_at": after(400),
        "key_sets": 1,
        "fetched": 1,
        "failed": 0,
        "new_findings": 0,
    }


@pytest.mark.django_db
def test_the_watch_remembers_since_when_it_knows_each_key(jwks_host: JwksHost, rsa: KeyPair, ec: KeyPair):
    make_client(service(jwks_uri=jwks_host.url))
    for seconds, keys in ((0, [rsa]), (120, [rsa, ec]), (240, [ec])):
        jwks_host.publish(*(pair.public_jwk for pair in keys), cache_control="max-age=60")
        watch(lambda seconds=seconds: after(seconds), pause=0)
    assert KeySet.objects.get().first_seen == {"ec-1": after(120).isoformat()}


@pytest.mark.parametrize(
    "options", [{"every": 0.0}, {"every": -1.0}, {"every": float("nan")}, {"pause": -1.0}, {"pause": 61.0}]
)
def test_odd_intervals_are_refused_by_name(options):
    with pytest.raises(CommandError, match=r"^--(every|pause) is the seconds"):
        call_command("watch_jwks", **options)


# Two watches at once, each with a connection of its own


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("page", "findings"),
    [
        (Page(status=503, delay=0.1), 1),
        (Page({"keys": []}, delay=0.1), 1),
        (Page({"keys": [{"kty": "EC", "kid": "a", "d": "x"}]}), 1),
    ],
)
def test_two_watches_at_once_fetch_once_and_find_and_tell_once(jwks_host: JwksHost, page: Page, findings, caplog):
    caplog.set_level(logging.ERROR, "smartauth.alarms")
    make_client(service(jwks_uri=jwks_host.url))
    jwks_host.page = page
    for minute in range(3):
        rounds = at_once(*[partial(watch, partial(after, minute * 400), pause=0)] * 2)
        assert sorted(one.fetched for one in rounds if isinstance(one, Round)) == [0, 1]
        alarms._raised.clear()
        assert jwks_host.visits == minute + 1
    watch(lambda: after(2_000), pause=0)
    assert KeyFinding.objects.count() == findings
    assert len([line for line in caplog.messages if line.startswith("alarm ")]) == findings
    key_sets._copies.clear()


@pytest.mark.django_db(transaction=True)
def test_a_watch_says_nothing_of_a_set_another_one_is_just_fetching(jwks_host: JwksHost, ec: KeyPair):
    make_client(service(jwks_uri=jwks_host.url))
    jwks_host.publish(ec.public_jwk)
    jwks_host.page.delay = 1.0
    rounds: dict[int, Round] = {}

    def look(number: int) -> None:
        time.sleep(number * 0.4)  # The second comes while the host still thinks.
        rounds[number] = watch(lambda: NOW, pause=0)

    each_at_once(2, look)
    assert (rounds[0].fetched, rounds[1].fetched) == (1, 0)
    assert not KeyFinding.objects.exists()
    key_sets._copies.clear()


@pytest.mark.django_db(transaction=True)
def test_a_watch_that_ends_late_does_not_resolve_what_another_found_about_a_new_client(jwks_host: JwksHost):
    make_client(service(client_id="old", jwks_uri=f"{jwks_host.url}?old"))
    make_client(service(client_id="new", jwks_uri=f"{jwks_host.url}?new"), status=Client.Status.SUBMITTED)
    jwks_host.page.delay = 1.0

    def look(number: int) -> None:
        if number == 1:
            time.sleep(0.3)
            Client.objects.update(status=Client.Status.APPROVED)
            jwks_host.page = Page({"keys": []})
        watch(lambda: NOW, pause=0)

    each_at_once(2, look)
    assert KeyFinding.objects.filter(client__client_id="new", resolved_at=None).count() == 1
    key_sets._copies.clear()
