"""A database that every migration went over once: the others of a run, and of later runs, begin as copies of it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import psycopg
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from psycopg.conninfo import make_conninfo

PREFIX = "migrated_"


@cache
def name() -> str:
    """Return the name of the database for the migrations as they are now: a changed one makes another database."""
    found = hashlib.sha256()
    for app in apps.get_app_configs():
        for file in sorted(Path(app.path, "migrations").glob("*.py")):
            found.update(f"{app.label}/{file.name}\n".encode() + file.read_bytes())
    return PREFIX + found.hexdigest()[:12]


def exists(server_url: str) -> bool:
    """Return True when the cluster behind `server_url` has the database."""
    with psycopg.connect(make_conninfo(server_url, dbname="postgres")) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name()])
        return found.fetchone() is not None


def make(server_url: str) -> None:
    """Make the database where it is missing, in place of those of other migrations."""
    if exists(server_url):
        return
    unfinished = f"{name()}_unfinished"
    with psycopg.connect(make_conninfo(server_url, dbname="postgres"), autocommit=True) as connection:
        old = connection.execute("SELECT datname FROM pg_database WHERE starts_with(datname, %s)", [PREFIX]).fetchall()
        for (found,) in old:
            connection.execute(f"DROP DATABASE {found} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {unfinished}")
        with _connected_to(unfinished):
            call_command("migrate", verbosity=0, interactive=False)
        connection.execute(f"ALTER DATABASE {unfinished} RENAME TO {name()}")


@contextmanager
def _connected_to(database: str) -> Iterator[None]:
    connection = connections["default"]
    usual = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = database
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = usual
