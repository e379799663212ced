"""Starts the real server, with one or several worker processes, for tests that need real HTTP."""

import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from smartauth.serving import APPLICATION, command_line
from tests import migrated

ROOT = Path(__file__).resolve().parent.parent
READY_WITHIN = 120.0  # seconds; on a quiet machine it is five
ENDS_WITHIN = 60.0  # seconds; more than any server here gives its workers


@dataclass(frozen=True, slots=True)
class Server:
    """A server that answers. `environment` is what a command needs to talk about the same server."""

    base_url: str
    environment: Mapping[str, str]
    log: Path
    pid: int = 0

    def command(self, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a management command beside the server."""
        return subprocess.run(
            [sys.executable, "manage.py", *words],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def free_port() -> int:
    """Return a loopback port nobody uses at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """Make a database without rows in the cluster behind `server_url` and drop it afterwards; gives its URL.

    It has its tables already where they were made once for all, and is empty elsewhere.
    """
    parts = conninfo_to_dict(server_url)
    name = f"live_{secrets.token_hex(4)}"
    maintenance = make_conninfo(server_url, dbname="postgres")
    with psycopg.connect(maintenance, autocommit=True) as connection:
        template = f"TEMPLATE {migrated.name()}" if migrated.exists(server_url) else ""
        connection.execute(f"CREATE DATABASE {name} {template}")
    try:
        credentials = ":".join(filter(None, (str(parts.get("user") or ""), str(parts.get("password") or ""))))
        host = str(parts.get("host") or "")
        address = f"?host={host}" if host.startswith("/") else ""
        network = "" if address else f"{host}:{parts.get('port') or 5432}"
        yield f"postgresql://{credentials}@{network}/{name}{address}"
    finally:
        with psycopg.connect(maintenance, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def running_server(
    *,
    database_url: str,
    var: Path,
    workers: int = 1,
    environment: Mapping[str, str] | None = None,
    port: int = 0,
    application: str = APPLICATION,
    ends_within: int = 5,
) -> Iterator[Server]:
    """Start the server on a loopback port, a free one unless told, and stop it afterwards.

    A database without tables is migrated first.    ends_within: seconds that workers have when it stops.
    """
    port = port or free_port()
    var.mkdir(parents=True, exist_ok=True)
    own = {
        "DJANGO_SETTINGS_MODULE": "smartauth.settings",
        "SMARTAUTH_MODE": "sandbox",
        "SMARTAUTH_VAR": str(var),
        "DATABASE_URL": database_url,
        "PORT": str(port),
        **(environment or {}),
    }
    server = Server(f"http://127.0.0.1:{port}", own, var / "server.log")
    if not migrated.exists(database_url):
        made = server.command("migrate", "--verbosity", "0")
        assert made.returncode == 0, made.stderr
    words = command_line(
        host="127.0.0.1", port=port, workers=workers, threads=8, ends_within=ends_within, application=application
    )
    with started(words, {**os.environ, **own}, server.log) as process:
        _wait_until_ready(server, process)
        yield replace(server, pid=process.pid)


@contextmanager
def started(words: Sequence[str], environment: Mapping[str, str], log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends, with what it says in `log`. It must then end by itself."""
    with log.open("wb") as out:
        process = subprocess.Popen(
            words, cwd=ROOT, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise


def _wait_until_ready(server: Server, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with urllib.request.urlopen(f"{server.base_url}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"the server did not become ready: {server.log.read_text()[-2000:]}")
