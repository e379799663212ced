"""A situation about something that is not there would decide nothing."""

import pytest

from tests.proxy.proof.population import populate
from tests.proxy.proof.situations import SITUATIONS, Situation

STORED = frozenset(
    f"{step.resource['resourceType']}/{step.resource['id']}" for step in populate(1, upstream="http://127.0.0.1:9/r4")
)


@pytest.mark.parametrize("situation", SITUATIONS, ids=lambda one: one.about)
def test_what_a_situation_reads_is_stored(situation: Situation) -> None:
    asked = {request.path[1:] for request in situation.requests if request.interaction == "read"}
    assert asked <= STORED
