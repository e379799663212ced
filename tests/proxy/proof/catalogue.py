"""Every property of the proof. A new one is a module with NAME, PROVEN_IN, CASES and check, listed here.

`lacks(world)`, where a module has it, says in one sentence what the proxy cannot do yet; the property is then left out
aloud.
"""

from types import ModuleType

from tests.proxy.proof import (
    canonical,
    faults,
    integrity,
    interference,
    leak,
    monotony,
    planting,
    replay,
    utility,
)
from tests.proxy.proof.world import World

PROPERTIES: tuple[ModuleType, ...] = (
    leak,
    interference,
    integrity,
    utility,
    monotony,
    canonical,
    replay,
    faults,
    planting,
)


def lacks(property_: ModuleType, world: World) -> str:
    """Return why a property cannot be proven of this proxy, or an empty text."""
    return getattr(property_, "lacks", lambda _: "")(world)
