"""`watch_jwks` as an operator leaves it running: on time, stopped by a signal, and back when its database is."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import settings as test_settings
from tests.clients.jwks_host import JwksHost, Page, run_jwks_host
from tests.factories import service
from tests.servers import ROOT, database

SOON = 20.0  # seconds
ALARM = "alarm key-set client=bulk-loader finding=empty"


@dataclass
class Site:
    """A database with one partner in it, whose key set has no key."""

    database_url: str
    environment: dict[str, str]
    host: JwksHost
    folder: Path

    def manage(self, *words: str, text: str = "") -> str:
        done = subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=self.environment,
            input=text,
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )
        return done.stdout

    def ask(self, statement: str) -> list[tuple]:
        with psycopg.connect(self.database_url, autocommit=True) as connection:
            return connection.execute(statement).fetchall()

    def open_findings(self) -> list[str]:
        return [kind for (kind,) in self.ask("SELECT kind FROM clients_keyfinding WHERE resolved_at IS NULL")]

    @contextmanager
    def database_away(self) -> Iterator[None]:
        """Throw everybody out of the database and let nobody in."""
        name = str(conninfo_to_dict(self.database_url)["dbname"])
        with psycopg.connect(make_conninfo(self.database_url, dbname="postgres"), autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                connection.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")


@dataclass
class Watching:
    """A running watch. `output` is what it said so far, `log` what it said on standard error."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def output(self) -> str:
        return self.stdout.read_text()

    @property
    def log(self) -> str:
        return self.stderr.read_text()

    def rounds(self) -> int:
        return self.output.count("key sets")

    def wait_for(self, what: str, happened: object) -> None:
        deadline = time.monotonic() + SOON
        while not happened():  # type: ignore[operator]
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"{what}: {self.output} {self.log}"
            time.sleep(0.05)

    def wait_for_rounds(self, count: int) -> None:
        target = self.rounds() + count
        self.wait_for(f"{count} more rounds", lambda: self.rounds() >= target)


@pytest.fixture(scope="module")
def site(django_db_modify_db_settings: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("watch")
    with database(str(test_settings.DATABASE_URL)) as url, run_jwks_host() as host:
        own = {"SMARTAUTH_MODE": "sandbox", "SMARTAUTH_VAR": str(folder), "DATABASE_URL": url}
        own["DJANGO_SETTINGS_MODULE"] = "smartauth.settings"
        made = Site(url, {**os.environ, **own}, host, folder)
        made.manage("migrate", "--verbosity", "0")
        made.manage("create_client", "-", text=json.dumps(service(jwks_uri=host.url)))
        yield made


@pytest.fixture(autouse=True)
def nothing_found_yet(site: Site) -> None:
    site.host.page = Page({"keys": []}, headers=(("Cache-Control", "no-store"),))
    with psycopg.connect(site.database_url, autocommit=True) as connection:
        connection.execute("TRUNCATE clients_keyfinding, clients_keyset, clients_keywatchround")
    site.host.requests.clear()


@contextmanager
def watching(site: Site, name: str, *options: str) -> Iterator[Watching]:
    stdout, stderr = site.folder / f"{name}.out", site.folder / f"{name}.err"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "manage.py", "watch_jwks", "--pause", "0", *options],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        yield Watching(process, stdout, stderr)
    finally:
        process.kill()
        process.wait()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_goes_round_after_round_until_a_signal(site: Site, number: signal.Signals):
    with watching(site, f"until-{number.name}", "--every", "0.2") as running:
        running.wait_for_rounds(4)
        [(began, ended, key_sets)] = site.ask("SELECT began_at, ended_at, key_sets FROM clients_keywatchround")
        assert began <= ended
        assert key_sets == 1
        stopped = time.monotonic()
        running.process.send_signal(number)
        assert running.process.wait(SOON) == 0
        assert time.monotonic() - stopped < 5
    assert running.output.startswith("1 key sets, 1 fetched, 1 new findings\n1 key sets, 0 fetched, 0 new findings\n")
    assert "Traceback" not in running.log
    assert running.log.count(ALARM) == 1
    assert site.host.visits == 1  # However often it looks: once a minute.


def test_a_signal_ends_the_wait_for_a_round_that_is_far_away(site: Site):
    with watching(site, "far", "--every", "3600") as running:
        running.wait_for_rounds(1)
        running.process.terminate()
        assert running.process.wait(5) == 0


def test_while_the_database_is_away_it_keeps_trying(site: Site):
    with watching(site, "away", "--every", "0.2") as running:
        running.wait_for_rounds(1)
        with site.database_away():
            running.wait_for("two rounds without a database", lambda: running.log.count("no round over") >= 2)
        before = running.rounds()
        running.wait_for_rounds(2)
        assert running.rounds() > before
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
        left.wait_for_rounds(10)
        right.wait_for_rounds(10)
        site.host.publish({"kty": "EC", "kid": "a", "crv": "P-256", "x": "AA", "y": "AA"})
        # A minute passes.
        with psycopg.connect(site.database_url, autocommit=True) as connection:
            connection.execute(
                "UPDATE clients_keyset SET attempted_at = attempted_at - interval '2 minutes', "
                "fetched_at = fetched_at - interval '2 minutes', expires_at = expires_at - interval '2 minutes'"
            )
        left.wait_for("the other finding", lambda: site.open_findings() == ["unfit-key"])
        left.wait_for_rounds(5)
        right.wait_for_rounds(5)
    assert (left.log + right.log).count("alarm ") == 2
    assert site.host.visits == 2
    assert site.ask("SELECT count(*) FROM clients_keyfinding") == [(2,)]
