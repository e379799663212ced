"""A bounded share of the proof. `make prove` runs it long, prints the counts, and takes the rules away one by one."""

import os
from types import ModuleType

import pytest

from tests.proxy.proof.catalogue import PROPERTIES, lacks
from tests.proxy.proof.running import Tally, prove
from tests.proxy.proof.world import running_world

SHARE = int(os.environ.get("CASES", "60"))  # per property and mode
SEED = int(os.environ.get("SEED", "1"))
PAIRS = [(one, mode) for one in PROPERTIES for mode in one.PROVEN_IN]


@pytest.mark.parametrize(("property_", "mode"), PAIRS, ids=[f"{one.NAME} {mode}" for one, mode in PAIRS])
def test_property(db: None, property_: ModuleType, mode: str) -> None:
    tally = Tally()
    with running_world(SEED) as world:
        if lacking := lacks(property_, world):
            pytest.skip(f"NOT PROVEN, {property_.NAME}: {lacking}")
        prove(property_, world, mode, cases=SHARE, first_seed=SEED, tally=tally)
    assert sum(tally.cases.values()) >= SHARE // 2
