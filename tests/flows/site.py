"""A database with one partner in it, and commands that an operator leaves running beside it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests import settings as test_settings
from tests.clients.jwks_host import JwksHost, run_jwks_host
from tests.factories import service
from tests.servers import ROOT, database

SOON = 60.0  # seconds; a command starts in two, on a machine that does much else in twenty


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
class Started:
    """A running command. `output` is what it said so far, `log` what it said on standard error."""

    process: subprocess.Popen[bytes]
    stdout: Path
    stderr: Path

    @property
    def output(self) -> str:
        return self.stdout.read_text()

    @property
    def log(self) -> str:
        return self.stderr.read_text()

    def wait_for(self, what: str, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + SOON
        while not happened():
            assert self.process.poll() is None, self.log
            assert time.monotonic() < deadline, f"{what}: {self.output} {self.log}"
            time.sleep(0.05)


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


@contextmanager
def started(site: Site, name: str, *words: str) -> Iterator[Started]:
    """Run a command until the block ends. name: of the files it writes to."""
    stdout, stderr = site.folder / f"{name}.out", site.folder / f"{name}.err"
    with stdout.open("wb") as out, stderr.open("wb") as err:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env=site.environment,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
        )
    try:
        yield Started(process, stdout, stderr)
    finally:
        process.kill()
        process.wait()
