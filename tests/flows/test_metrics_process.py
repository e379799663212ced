"""`serve_metrics` as an operator starts it: a port of its own, true numbers, an answer when the database is away."""

import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass

import psycopg
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.clients.jwks_host import Page
from tests.flows.site import SOON, Site, Started, site, started
from tests.servers import ROOT, free_port

__all__ = ["site"]


@dataclass
class Serving:
    """A running `serve_metrics`."""

    port: int
    running: Started

    def ask(self, method: str, path: str) -> tuple[int, str, http.client.HTTPMessage]:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=SOON)) as connection:
            connection.request(method, path)
            answer = connection.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def scrape(self) -> dict[str, float]:
        status, body, _ = self.ask("GET", "/metrics")
        assert status == 200
        return {
            " ".join((sample.name, *sample.labels.values())): sample.value
            for family in text_string_to_metric_families(body)
            for sample in family.samples
        }

    def details(self) -> dict:
        return json.loads(self.ask("GET", "/details")[1])


@pytest.fixture(scope="module")
def serving(site: Site) -> Iterator[Serving]:
    port = free_port()
    with started(site, "metrics", "serve_metrics", "--port", str(port)) as running:
        running.wait_for("the port", lambda: f"http://127.0.0.1:{port}/metrics" in running.output)
        yield Serving(port, running)


def test_a_round_of_the_watch_shows_in_the_next_scrape(site: Site, serving: Serving):
    assert "smartauth_key_watch_age_seconds" not in serving.scrape()
    site.host.page = Page({"keys": []})
    site.manage("watch_jwks", "--once")
    time.sleep(1.1)  # Scrapes within a second are told the same.
    scraped = serving.scrape()
    assert scraped["smartauth_database_up"] == 1
    assert scraped["smartauth_key_findings empty"] == 1
    assert 0 < scraped["smartauth_key_finding_age_seconds bulk-loader empty"] < 60
    assert 0 < scraped["smartauth_key_watch_age_seconds"] < 60
    assert scraped["smartauth_clients approved"] == 1
    assert scraped["smartauth_marks_read_age_seconds"] < 10
    told = serving.details()
    assert told["database"]["up"] is True
    assert [one["kind"] for one in told["key_watch"]["open_findings"]] == ["empty"]


def test_nothing_else_is_served_and_nothing_keeps_the_answers(serving: Serving):
    for path, status in (("/", 404), ("/metrics/", 404), ("/admin/", 404), ("/metrics?x=1", 200), ("/details", 200)):
        answer, _, headers = serving.ask("GET", path)
        assert answer == status
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")
        assert headers["Server"].split() == ["smartauth"]
    assert serving.ask("POST", "/metrics")[0] == 501


def test_it_listens_on_loopback_only(serving: Serving):
    own = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in own:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, serving.port)) != 0 or address.startswith("127.")


def test_many_scrapes_at_once_and_one_that_says_nothing_do_no_harm(site: Site, serving: Serving):
    with socket.create_connection(("127.0.0.1", serving.port)):  # A scraper that hangs.
        answers: list[float] = []

        def ask() -> None:
            answers.append(serving.scrape()["smartauth_database_up"])

        threads = [threading.Thread(target=ask) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(SOON)
    assert answers == [1.0] * 20
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        counted = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
        ).fetchone()
    assert counted is not None
    assert counted[0] < 8  # That of the marks, and those that are just being closed.


def test_without_a_database_a_scrape_says_so_and_recovers(site: Site, serving: Serving):
    with site.database_away():
        time.sleep(1.1)
        assert serving.scrape()["smartauth_database_up"] == 0
        status, body, _ = serving.ask("GET", "/details")
        assert (status, json.loads(body)["database"]) == (503, {"up": False})
    time.sleep(1.1)
    assert serving.scrape()["smartauth_database_up"] == 1
    assert serving.running.process.poll() is None
    assert "Traceback" not in serving.running.log


def test_a_port_that_is_taken_is_one_sentence(site: Site, serving: Serving):
    done = subprocess.run(
        [sys.executable, "manage.py", "serve_metrics", "--port", str(serving.port)],
        cwd=ROOT,
        env=site.environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f"CommandError: Nothing can listen on 127.0.0.1 port {serving.port}")
    assert "Traceback" not in done.stderr


def test_a_signal_ends_it_at_once(site: Site):
    with started(site, "ended", "serve_metrics", "--port", str(free_port())) as running:
        running.wait_for("the port", lambda: "/metrics" in running.output)
        running.process.terminate()
        assert running.process.wait(SOON) == 0
    assert "Traceback" not in running.log
