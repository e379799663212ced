"""The running system of the flow tests, and the clients nobody here wrote."""

from tests.flows.javascript import library, oauth4webapi, openid_client, start_library
from tests.world import _world, make_app, make_partner, make_person, world

__all__ = [
    "_world",
    "library",
    "make_app",
    "make_partner",
    "make_person",
    "oauth4webapi",
    "openid_client",
    "start_library",
    "world",
]
