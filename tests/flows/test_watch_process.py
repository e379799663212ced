"""`watch_jwks` as an operator leaves it running: on time, stopped by a signal, and back when its database is."""

import signal
from contextlib import AbstractContextManager

import psycopg
import pytest

from tests.clients.jwks_host import Page
from tests.flows.site import SOON, Site, Started, site, started

__all__ = ["site"]

ALARM = "alarm key-set client=bulk-loader finding=empty"


@pytest.fixture(autouse=True)
def nothing_found_yet(site: Site) -> None:
    site.host.page = Page({"keys": []}, headers=(("Cache-Control", "no-store"),))
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE clients_keyfinding, clients_keyset, clients_keywatchround")
    site.host.requests.clear()


def watching(site: Site, name: str, *options: str) -> AbstractContextManager[Started]:
    return started(site, name, "watch_jwks", "--pause", "0", *options)


def rounds(running: Started) -> int:
    return running.output.count("key sets")


def wait_for_rounds(running: Started, count: int) -> None:
    target = rounds(running) + count
    running.wait_for(f"{count} more rounds", lambda: rounds(running) >= target)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_round_after_round_until_a_signal(site: Site, number: signal.Signals):
    with watching(site, f"until-{number.name}", "--every", "0.2") as running:
        wait_for_rounds(running, 4)
        [(began, ended, key_sets)] = site.ask("SELECT began_at, ended_at, key_sets FROM clients_keywatchround")
        assert began <= ended
        assert key_sets == 1
        running.process.send_signal(number)
        assert running.process.wait(SOON) == 0
    assert running.output.startswith("1 key sets, 1 fetched, 1 new findings\n1 key sets, 0 fetched, 0 new findings\n")
    assert "Traceback" not in running.log
    assert running.log.count(ALARM) == 1
    assert site.host.visits == 1  # However often it looks: once a minute.


def test_a_signal_ends_the_wait_for_a_round_that_is_far_away(site: Site):
    with watching(site, "far", "--every", "3600") as running:
        wait_for_rounds(running, 1)
        running.process.terminate()
        assert running.process.wait(SOON) == 0


def test_while_the_database_is_away_it_keeps_trying(site: Site):
    with watching(site, "away", "--every", "0.2") as running:
        wait_for_rounds(running, 1)
        with site.database_away():
            running.wait_for("two rounds without a database", lambda: running.log.count("no round over") >= 2)
        before = rounds(running)
        wait_for_rounds(running, 2)
        assert rounds(running) > before
        running.process.terminate()
        assert running.process.wait(SOON) == 0
    assert "Traceback" not in running.log
    assert site.open_findings() == ["empty"]
    assert running.log.count(ALARM) == 1


def test_once_without_a_database_fails_with_one_sentence(site: Site):
    with site.database_away(), watching(site, "once", "--once") as running:
        assert running.process.wait(SOON) == 1
    assert running.log.splitlines()[-1].startswith("CommandError: No round: the database does not answer")
    assert "Traceback" not in running.log


def test_two_watches_beside_each_other_are_as_good_as_one(site: Site):
    with (
        watching(site, "left", "--every", "0.1") as left,
        watching(site, "right", "--every", "0.1") as right,
    ):
        wait_for_rounds(left, 10)
        wait_for_rounds(right, 10)
        site.host.publish({"kty": "EC", "kid": "a", "crv": "P-256", "x": "AA", "y": "AA"})
        # A minute passes.
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE clients_keyset SET attempted_at = attempted_at - interval '2 minutes', "
                "fetched_at = fetched_at - interval '2 minutes', expires_at = expires_at - interval '2 minutes'"
            )
        left.wait_for("the other finding", lambda: site.open_findings() == ["unfit-key"])
        wait_for_rounds(left, 5)
        wait_for_rounds(right, 5)
    assert (left.log + right.log).count("alarm ") == 2
    assert site.host.visits == 2
    assert site.ask("SELECT count(*) FROM clients_keyfinding") == [(2,)]
