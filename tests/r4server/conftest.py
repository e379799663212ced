"""Two real processes for the whole session: one with the sandbox population, one whose store tests fill."""

from collections.abc import Iterator

import pytest

from fhirproxy.r4server.process import Running, running
from tests.r4server.caller import Caller


@pytest.fixture(scope="session")
def sandbox_server() -> Iterator[Running]:
    with running(population="sandbox") as server:
        yield server


@pytest.fixture(scope="session")
def scratch_server() -> Iterator[Running]:
    with running(population="empty") as server:
        yield server


@pytest.fixture
def sandbox(sandbox_server: Running) -> Iterator[Caller]:
    """A caller of the sandbox population; tests leave its resources as they are."""
    with Caller(sandbox_server) as caller:
        yield caller
        caller.send("PUT", "/_mode", {"mode": "faithful"})
        caller.send("PUT", "/_fault", {"kind": "none"})


@pytest.fixture
def scratch(scratch_server: Running) -> Iterator[Caller]:
    """A caller of a server whose store is empty at the start of each test."""
    with Caller(scratch_server) as caller:
        caller.send("DELETE", "/_store")
        yield caller
