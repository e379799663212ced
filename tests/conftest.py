"""What every test shares: the database cluster, and what a process that serves requests believes."""

import fcntl
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import IO, Any

import pytest
from django.db import connections
from hypothesis import HealthCheck
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker, Settings

from clients.guesses import guesses
from clients.key_pairs import KeyPair, generate_key_pair
from fhirproxy.r4server import process as r4server
from smartauth import rates
from smartauth.conf import Config
from smartauth.marks.poller import poller
from smartauth.sandbox import postgres
from tests import migrated
from tests import settings as test_settings

# That a machine is busy is no finding.
hypothesis_settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
hypothesis_settings.load_profile("any machine")

Configure = Callable[..., Config]
# Few tests that take long: in a run by several processes none of them is left to one while the others have ended.
LONG = ("tests/fuzz/", "tests/proxy/proof/", "tests/proxy/test_no_leak.py", "tests/proxy/test_bulk_no_leak.py")
LONG += ("tests/api/test_schema.py", "tests/sign_in/", "tests/clients/test_watch_rounds.py")
LONG += ("tests/browser/test_every_page.py",)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long; the rest keeps its order."""
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))


def pytest_collection_finish() -> None:
    """Spare the garbage collector what stays: looking through thousands of tests over and over takes its time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


@pytest.fixture(scope="session")
def django_db_modify_db_settings(
    django_db_modify_db_settings_parallel_suffix: None, django_db_blocker: DjangoDbBlocker
) -> Iterator[None]:
    """Start the embedded cluster before pytest-django makes its database in it; the last run to end stops it."""
    cluster = test_settings.CLUSTER
    if cluster is None:
        yield
        return
    with (test_settings.VAR / "cluster.users").open("w") as users:
        with _alone(), django_db_blocker.unblock():
            fcntl.flock(users, fcntl.LOCK_SH)
            postgres.start(cluster, durable=False)
            migrated.make(cluster.url())
        connections["default"].settings_dict["TEST"]["TEMPLATE"] = migrated.name()
        yield
        with _alone():
            if _is_last(users) and postgres.is_idle(cluster):
                postgres.stop(cluster)


def _is_last(users: IO[str]) -> bool:
    """Return True when no other process has a share in the cluster, whether or not it is connected at the moment."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other processes of this run, and other runs in this checkout, from starting or stopping the cluster."""
    with (test_settings.VAR / "cluster.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@pytest.fixture(autouse=True)
def nobody_guessed() -> None:
    """Forget what other tests sent: they all come from the same address."""
    guesses.clear()
    rates.forget()


@pytest.fixture(scope="session")
def rsa() -> KeyPair:
    return generate_key_pair("RS384", kid="rsa-1")


@pytest.fixture(scope="session")
def ec() -> KeyPair:
    return generate_key_pair("ES384", kid="ec-1")


@pytest.fixture(scope="session")
def ec256() -> KeyPair:
    return generate_key_pair("ES256", kid="ec-2")


@pytest.fixture(scope="session")
def _small() -> Iterator[r4server.Running]:
    """Have one small FHIR server for the whole run: `small` puts it behind a tenant, as it was at first."""
    with r4server.running(population="small") as running:
        yield running


@pytest.fixture(scope="session")
def _sandbox() -> Iterator[r4server.Running]:
    with r4server.running(population="sandbox") as running:
        yield running


@pytest.fixture
def configure(settings: Settings) -> Configure:
    """Change our settings for one test: `configure(mode="production")`."""

    def change(**changes: Any) -> Config:
        settings.SMARTAUTH = replace(settings.SMARTAUTH, **changes)
        return settings.SMARTAUTH

    return change


@pytest.fixture
def serving(db: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Let caches answer as in a server process. The test itself looks at the marks, with `poller.poll()`."""
    monkeypatch.setattr(poller, "is_fresh", lambda: poller._since is not None)
    monkeypatch.setattr(poller, "_since", None)
    for cache in list(poller._listeners):
        cache.clear()
    poller.poll()
    yield
    for cache in list(poller._listeners):
        cache.clear()
