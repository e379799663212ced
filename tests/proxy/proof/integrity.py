"""T3: what a request changes was inside the authority before and is inside it after; everything else is untouched."""

from typing import NamedTuple

from hypothesis import strategies as st

from fhirproxy.r4server.store import Store, Version
from tests.proxy.oracle import TYPES, State, Token, allowed, reach
from tests.proxy.proof.generators import requests_for
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Request, Shelf
from tests.proxy.proof.writing import Recipe, cook, lacks_writes, recipes, writers

NAME = "T3 integrity"
PROVEN_IN = ("faithful",)
lacks = lacks_writes


class Case(NamedTuple):
    token: Token
    what: Recipe | Request


CASES = st.builds(Case, writers(), st.one_of(recipes(), recipes(), recipes(), requests_for(("Observation", "Patient"))))


def check(watch: Watch, case: Case) -> None:
    world, before = watch.world, watch.world.shelf
    store = before.store.copy()
    world.put(Shelf(store, before.versions, before.state, before.steps), watch.mode)
    request = cook(case.what, world) if isinstance(case.what, Recipe) else case.what
    try:
        reply = world.ask(case.token, request)
    finally:
        world.put(before, watch.mode)
    changed = changes(before.store, store)
    assert not changed or reply.status < 400, (case, reply.status, sorted(changed))
    for key, (old, new) in changed.items():
        require_allowed(case.token, key, old, new, before.state, state_of(store, before.state))
    watch.case(request.interaction)
    watch.saw(f"{request.interaction} {reply.status}")


def changes(one: Store, other: Store) -> dict[str, tuple[Version | None, Version | None]]:
    """Return what differs in two stores: the versions before and after, by key."""
    stores = [{version.key: version for version in store.everything()} for store in (one, other)]
    keys = stores[0].keys() | stores[1].keys()
    return {
        key: (stores[0].get(key), stores[1].get(key)) for key in keys if stores[0].get(key) is not stores[1].get(key)
    }


def require_allowed(
    token: Token, key: str, old: Version | None, new: Version | None, before: State, after: State
) -> None:
    """Assert that one change was within the authority."""
    letter = "c" if old is None else "d" if new is None or new.resource is None else "u"
    kind = key.partition("/")[0]
    is_nobodys = TYPES[kind]["class"] in ("shared", "operator") or (kind == "Patient" and letter in "cd")
    if is_nobodys:  # What everybody reads, and who there is at all, changes for those who reach everybody.
        assert reach(token, kind, letter, before) == "everybody", (token, letter, key)
    if old is not None and old.resource is not None:
        assert allowed(token, old.resource, letter, before), (token, letter, key, "before")
    if new is not None and new.resource is not None:
        assert allowed(token, new.resource, letter, after), (token, letter, key, "after")


def state_of(store: Store, like: State) -> State:
    """Return the current state of a store, for the oracle."""
    current = {version.key: version.resource for version in store.everything() if version.resource is not None}
    return State(current, like.bases, like.binary)
