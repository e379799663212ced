"""What a request may touch at all, by its form: read from what was sent, whoever sent it.

A conditional write may touch the one resource that its criteria find among what its sender may search, and no other.
"""

import json
from collections import Counter
from typing import NamedTuple
from urllib.parse import parse_qsl

from fhirproxy.r4server.store import Version
from tests.proxy.oracle import PUBLIC, TYPES, Token, allowed, reach
from tests.proxy.proof.world import Reply, Request, World

Changes = dict[str, tuple[Version | None, Version | None]]


class Call(NamedTuple):
    """One write. `id` is empty where the path names none, `seen` where no version was named."""

    method: str
    kind: str
    id: str
    seen: str = ""

    def fits(self, key: str, old: Version | None, new: Version | None) -> bool:
        """Say whether a change is of the kind that this write is for, and from the version it was meant for."""
        kind, _, resource_id = key.partition("/")
        if kind != self.kind or self.id not in ("", resource_id):
            return False
        if self.seen and (old is None or old.etag != self.seen):
            return False
        is_new, is_gone = old is None, new is None or new.resource is None
        match self.method:
            case "POST":
                return is_new and not is_gone and not self.id
            case "PUT" | "PATCH":
                return not is_new and not is_gone
            case "DELETE":
                return is_gone
        return False


class Findings(NamedTuple):
    """What criteria find inside the authority: surely, and at most."""

    least: frozenset[str]
    most: frozenset[str]


def require_aimed(request: Request, changed: Changes) -> None:
    """Assert that nothing changed but what the request names, and no more than it says."""
    calls = calls_of(request)
    for key, (old, new) in changed.items():
        assert any(call.fits(key, old, new) for call in calls), (request.interaction, key, calls)
    made = Counter(key.partition("/")[0] for key, (old, _) in changed.items() if old is None)
    posted = Counter(call.kind for call in calls if call.method == "POST")
    assert made <= posted, (made, posted)
    without_id = sum(not call.id for call in calls)
    assert len(changed) <= without_id + len({call for call in calls if call.id}), (request.interaction, sorted(changed))


def calls_of(request: Request) -> list[Call]:
    """Return the writes that a request consists of."""
    if not request.may_write:
        return []
    if request.path.strip("/"):
        return _calls(request.method, request.path, dict(request.headers).get("If-Match", ""))
    try:
        entries = json.loads(request.body).get("entry", [])
    except (ValueError, AttributeError):
        return []
    asked = [entry.get("request") or {} for entry in entries]
    return [
        call
        for one in asked
        for call in _calls(str(one.get("method")), "/" + str(one.get("url")), str(one.get("ifMatch", "")))
    ]


def _calls(method: str, path: str, seen: str) -> list[Call]:
    if "$" in path or method not in ("POST", "PUT", "PATCH", "DELETE"):
        return []  # An operation, $validate among them, changes nothing.
    kind, _, resource_id = path.partition("?")[0].lstrip("/").partition("/")
    return [Call(method, kind, resource_id, seen)]


def criteria_of(request: Request) -> tuple[str, list[tuple[str, str]]] | None:
    """Return the type and the criteria of a conditional write, or None for everything else."""
    kind, _, query = request.path.lstrip("/").partition("?")
    if not request.may_write or kind not in TYPES:
        return None
    told = dict(request.headers).get("If-None-Exist", "") if request.method == "POST" else query
    return (kind, parse_qsl(told)) if told else None


def find(world: World, token: Token, kind: str, criteria: list[tuple[str, str]], mode: str) -> Findings | None:
    """Return what criteria find for a token, or None when the server does not look for that."""
    state = world.shelf.state
    matches = world.find(kind, criteria) if mode == "faithful" else list(world.shelf.store.all_of(kind))
    if matches is None:
        return None
    most = frozenset(
        one.key for one in matches if one.resource is not None and allowed(token, one.resource, "s", state)
    )
    # What the filters of scopes leave to be found is not certain, nor what a leaky server says.
    if mode != "faithful" or any("?" in scope for scope in token.scopes):
        return Findings(frozenset(), most)
    patients, facts = reach(token, kind, "s", state), TYPES[kind]
    if patients == "everybody" or facts["class"] not in ("compartment", "patient-self"):
        return Findings(most, most)
    start = "" if kind == "Patient" else "Patient/"
    own = world.find(kind, [*criteria, (facts["narrow"], ",".join(f"{start}{one}" for one in sorted(patients)))])
    return Findings(most & {one.key for one in own or []}, most)


def require_resolved(request: Request, found: Findings, reply: Reply, changed: Changes) -> None:
    """Assert that criteria stand for what they find inside, and that nothing else is told by the answer."""
    if reply.status == 412:
        assert len(found.most) > 1, (request, "several", found.most)
    if request.method == "POST":
        if reply.status == 200:
            where = reply.header("Location").removeprefix(f"{PUBLIC}/").partition("/_history")[0]
            assert where in found.most, (request, where)
            assert len(found.least) < 2, (request, "one of several", found.least)
            assert not changed, request
        assert not changed or not found.least, (request, "made although there is one", found.least)
        return
    assert changed.keys() <= found.most, (request, sorted(changed))
    assert not changed or found.least <= changed.keys(), (request, "one of several", found.least)
