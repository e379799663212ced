"""T3: what a request changes was inside the authority before and is inside it after; everything else is untouched."""

from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from fhirproxy.r4server.store import Store, Version
from tests.proxy.oracle import State, Token
from tests.proxy.proof.aims import criteria_of, find, require_aimed, require_resolved
from tests.proxy.proof.editing import Edit, Several, write_of
from tests.proxy.proof.generators import requests_for
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Request, Shelf
from tests.proxy.proof.writers import numbers, write_with_token
from tests.proxy.proof.writing import Recipe, cook, lacks_writes, recipes, writers
from tests.proxy.write_oracle import Change, objection

NAME = "T3 integrity"
PROVEN_IN = ("faithful", "leaky")
lacks = lacks_writes


class Case(NamedTuple):
    token: Token
    what: Edit | Several | Recipe | Request


_blind = st.builds(Case, writers(), st.one_of(recipes(), recipes(), requests_for(("Observation", "Patient"))))
CASES = numbers.flatmap(
    lambda number: _blind if number % 16 == 15 else st.just(Case(*write_with_token(Random(number))))
)


def check(watch: Watch, case: Case) -> None:
    world, before = watch.world, watch.world.shelf
    store = before.store.copy()
    world.put(Shelf(store, before.versions, before.state, before.steps), watch.mode)
    match case.what:
        case Recipe():
            request = cook(case.what, world)
        case Edit() | Several():
            request = write_of(case.what, world)
        case _:
            request = case.what
    conditions = criteria_of(request)
    found = find(world, case.token, *conditions, watch.mode) if conditions else None
    try:
        reply = world.ask(case.token, request)
    finally:
        world.put(before, watch.mode)
    changed = changes(before.store, store)
    # A server that answers a write with something else has written all the same, and that is told as its failure.
    is_told = reply.status < 400 or (watch.mode == "leaky" and reply.status >= 500)
    assert not changed or is_told, (case, reply.status, sorted(changed))
    require_aimed(request, changed)
    if found is not None:
        require_resolved(request, found, reply, changed)
    after = state_of(store, before.state)
    for key, (old, new) in changed.items():
        change = Change(key, old.resource if old else None, new.resource if new else None)
        reason = objection(case.token, change, before.state, after)
        assert not reason, (case.token, request.interaction, key, reason)
        watch.saw(f"{change.letter} of {change.kind}")
    watch.case(request.interaction)
    watch.saw(f"{request.interaction} {reply.status}")


def changes(one: Store, other: Store) -> dict[str, tuple[Version | None, Version | None]]:
    """Return what differs in two stores: the versions before and after, by key."""
    stores = [{version.key: version for version in store.everything()} for store in (one, other)]
    keys = stores[0].keys() | stores[1].keys()
    return {
        key: (stores[0].get(key), stores[1].get(key)) for key in keys if stores[0].get(key) is not stores[1].get(key)
    }


def state_of(store: Store, like: State) -> State:
    """Return the current state of a store, for the oracle."""
    current = {version.key: version.resource for version in store.everything() if version.resource is not None}
    return State(current, like.bases, like.binary)
