"""The running system of the flow tests."""

from tests.world import _world, make_partner, world

__all__ = ["_world", "make_partner", "world"]
