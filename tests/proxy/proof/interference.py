"""T2: two states that agree inside the authority give the same answer and the same words to the partner.

Outside, resources were changed, deleted, added and renamed. Masked: trace ids and page cursors, which are random.
"""

import copy
import re
from datetime import UTC, datetime
from random import Random
from typing import Any, NamedTuple
from uuid import uuid5

from hypothesis import strategies as st

from tests.proxy.oracle import State, Token, allowed
from tests.proxy.proof.generators import asked
from tests.proxy.proof.judging import Judge
from tests.proxy.proof.population import CATEGORIES, CODES, LOINC, coded
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Reply, Request, Shelf

NAME = "T2 non-interference"
PROVEN_IN = ("faithful",)
PAGES = 2
MOST_ENTRIES = 8  # of a batch that is drawn; each has a trace id that follows from the whole's
CURSOR = re.compile(rb"_page\?c=[A-Za-z0-9\-_=.~%]+")
LATER = datetime(2024, 7, 1, tzinfo=UTC)
# Who may do what hangs on these; they are part of the policy, not of what it protects.
AUTHORITY = frozenset({"Group", "RelatedPerson"})


class Case(NamedTuple):
    token: Token
    request: Request
    seed: int


CASES = st.builds(lambda pair, seed: Case(*pair, seed), asked, st.integers(0, 10_000))


def check(watch: Watch, case: Case) -> None:
    world, one = watch.world, watch.world.shelf
    rng = Random(case.seed)
    other = vary(one, case.token, rng)
    probe = Request("read", f"/{_changed_key(one, other, rng)}")
    seen = []
    for shelf in (one, other):
        world.put(shelf, watch.mode, case.seed)
        replies = [*world.pages(case.token, case.request, PAGES), world.ask(case.token, probe)]
        seen.append([_visible(reply) for reply in replies])
    world.put(one, watch.mode)
    assert seen[0] == seen[1], (case.token, case.request, probe)
    watch.case(case.request.interaction)
    for answer in seen[0]:
        watch.saw(answer[0])


def _changed_key(one: Shelf, other: Shelf, rng: Random) -> str:
    """Return something outside that is there in one of the states only, or is not the same."""
    kinds = ("Observation", "Condition", "Encounter", "Task", "Patient", "Device", "Group")
    keys = sorted(
        key
        for key in one.state.resources.keys() | other.state.resources.keys()
        if key.partition("/")[0] in kinds and one.state.resources.get(key) is not other.state.resources.get(key)
    )
    return rng.choice(keys) if keys else "Observation/absent"


def _visible(reply: Reply) -> tuple[Any, ...]:
    """Return all that anybody but the operator sees of an answer."""
    body = CURSOR.sub(b"_page?c=CURSOR", reply.body)
    trace_id = reply.context.trace_id
    for one in (trace_id, *(uuid5(trace_id, str(index)) for index in range(MOST_ENTRIES))):
        body = body.replace(str(one).encode(), b"TRACE")
    return reply.status, reply.headers, body, reply.partner_view()


def vary(shelf: Shelf, token: Token, rng: Random) -> Shelf:
    """Return a state that agrees with `shelf` inside the authority of `token`, and hardly anywhere else."""
    inside = Judge(token, shelf).inside()
    kept = inside | _hung_upon(shelf.state, inside)
    store, versions = shelf.store.copy(), dict(shelf.versions)
    for key, resource in shelf.state.resources.items():
        kind, _, resource_id = key.partition("/")
        if key in kept or kind in AUTHORITY or (chance := rng.random()) > 0.8:
            continue
        if chance < 0.3:
            store.forget(kind, resource_id)
        elif chance < 0.4:
            store.delete(kind, resource_id, if_match=None, now=LATER)
        else:
            changed = _changed(resource, rng)
            if chance > 0.7:
                changed["id"] = f"{resource_id[:50]}-{rng.randint(0, 99)}"
            is_taken = changed["id"] != resource_id and f"{kind}/{changed['id']}" in shelf.state.resources
            if not is_taken and not allowed(token, changed, "rs", shelf.state):
                store.put(changed)
    current = {version.key: version.resource for version in store.everything() if version.resource is not None}
    state = State(current, shelf.state.bases, shelf.state.binary)
    other = Shelf(store, versions, state, [])
    for key, resource in list(current.items()):
        # What hung on something that was changed may have come inside by it.
        is_derived = resource["resourceType"] in ("Provenance", "Binary") and key not in inside
        if is_derived and allowed(token, resource, "rs", state):
            store.forget(*key.split("/"))
            del current[key]
    return other


def _hung_upon(state: State, inside: frozenset[str]) -> frozenset[str]:
    """Return what decides whether something inside is inside."""
    found: set[str] = set()
    for key in inside:
        resource = state.resources[key]
        if resource["resourceType"] == "Provenance":
            found |= {one.get("reference", "") for one in resource.get("target", [])}
        elif resource["resourceType"] == "Binary":
            found.add(resource.get("securityContext", {}).get("reference", ""))
            found |= {other for other in state.resources if other.partition("/")[0] in ("DocumentReference", "Media")}
    return frozenset(found)


def _changed(resource: dict[str, Any], rng: Random) -> dict[str, Any]:
    changed = copy.deepcopy(resource)
    changed["meta"].pop("versionId", None)
    changed["meta"]["lastUpdated"] = f"2024-0{rng.randint(1, 9)}-11T10:{rng.randint(10, 59)}:00Z"
    if "code" in changed:
        changed["code"] = coded(LOINC, rng.choice(CODES))
    if "category" in changed and changed["resourceType"] == "Observation":
        changed["category"] = [coded("urn:other", rng.choice(CATEGORIES))]
    if "valueQuantity" in changed:
        changed["valueQuantity"] = {"value": rng.randint(1, 500), "unit": "kg"}
    if "status" in changed:
        changed["status"] = rng.choice(("final", "active", "entered-in-error"))
    return changed
