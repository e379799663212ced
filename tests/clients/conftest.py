"""A host of key sets under the control of a test."""

from collections.abc import Iterator

import pytest

from clients import keys
from tests.clients.jwks_host import JwksHost, run_jwks_host


@pytest.fixture
def jwks_host() -> Iterator[JwksHost]:
    with run_jwks_host() as host:
        yield host
    keys._copies.clear()
