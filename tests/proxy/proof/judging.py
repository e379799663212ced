"""What an answer must not hold: judged by the oracle on what is stored, by marker, wherever in the answer it occurs."""

import base64
import binascii
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from tests.proxy.oracle import PUBLIC, TYPES, Token, allowed
from tests.proxy.proof.world import MARKER, Reply, Shelf, World

# Long enough to hold a marker, in either alphabet.
ENCODED = re.compile(rb"[A-Za-z0-9+/_-]{16,}")
PAGED = ("searchset", "history")
OURS = frozenset({"Bundle", "OperationOutcome", "CapabilityStatement", "Parameters"})


class Judge:
    """Says what one token may see of one stored state, and remembers."""

    def __init__(self, token: Token, shelf: Shelf) -> None:
        self.token, self.shelf = token, shelf
        self._known: dict[tuple[str, str], bool] = {}

    def admits(self, marker: str, letters: str) -> bool:
        """Say whether the version with a marker may be seen: it, and the resource as it is now."""
        known = self._known.get((marker, letters))
        if known is None:
            version = self.shelf.version_of(marker)
            now = self.shelf.state.resources.get(version.key)
            both = [version.resource] if now is None else [version.resource, now]
            known = all(allowed(self.token, one, letters, self.shelf.state) for one in both if one is not None)
            self._known[marker, letters] = known
        return known

    def inside(self) -> frozenset[str]:
        """Return the keys of the current resources the token may see by any letter."""
        resources = self.shelf.state.resources
        return frozenset(key for key, one in resources.items() if allowed(self.token, one, "rs", self.shelf.state))


def require_no_leak(judge: Judge, reply: Reply, world: World) -> list[str]:
    """Assert that an answer holds nothing outside the authority; return the markers of the resources it holds."""
    shown = []
    if reply.body and reply.status < 300:
        for resource, letters in resources_in(reply.tree):
            # The patient of $everything is read; what comes with them is found.
            is_read = reply.asked.interaction == "everything" and resource["resourceType"] == "Patient"
            shown.append(_judge_resource(judge, resource, "rs" if is_read else letters))
        _require_own_names(judge, reply.tree)
    if reply.asked.interaction == "read" and reply.status == 200 and reply.body:
        key = reply.asked.path[1:].partition("?")[0]
        assert f"{reply.tree['resourceType']}/{reply.tree['id']}" == key, (judge.token, key)
    for marker in markers_in(reply):
        assert judge.admits(marker, "rs"), (judge.token, marker, judge.shelf.version_of(marker).key)
    for place in (reply.body.decode(), *(value for _, value in reply.headers)):
        # A stored reference may hold the upstream's base with dot segments behind it; that one stays as it was stored.
        for private in (world.upstream + "/", world.upstream + '"', "SmallR4", "_getpages"):
            assert private not in place.replace(f"{world.upstream}/..", ""), private
    return shown


def _judge_resource(judge: Judge, resource: dict[str, Any], letters: str) -> str:
    found = MARKER.findall(json.dumps(resource.get("meta", {})))
    assert found, f"a resource nobody stored: {resource['resourceType']}/{resource.get('id')}"
    marker = f"mRk{found[0]}Z"
    assert judge.admits(marker, letters), (judge.token, letters, marker, judge.shelf.version_of(marker).key)
    return marker


def _require_own_names(judge: Judge, tree: Any) -> None:
    """Assert that each entry of a result stands under the name its resource is stored under."""
    is_result = tree.get("resourceType") == "Bundle" and tree.get("type") in PAGED and "meta" not in tree
    for entry in tree.get("entry", []) if is_result else ():
        if "resource" not in entry:  # A deletion that a history tells of.
            continue
        resource = entry["resource"]
        found = MARKER.findall(json.dumps(resource.get("meta", {})))
        if not found and resource["resourceType"] in OURS:  # Wrapped by a server that lies: what is in it is judged.
            continue
        number = found[0]
        key = judge.shelf.version_of(f"mRk{number}Z").key
        assert key == f"{resource['resourceType']}/{resource['id']}", (judge.token, key, resource["id"])
        assert entry["fullUrl"] == f"{PUBLIC}/{key}", (judge.token, key, entry["fullUrl"])


def resources_in(tree: Any) -> Iterator[tuple[dict[str, Any], str]]:
    """Give each resource that came out of the store, with the letters of which one must show it."""
    if not isinstance(tree, dict) or tree.get("resourceType") not in TYPES:
        return
    is_ours = tree["resourceType"] in OURS and "meta" not in tree
    if not is_ours:
        yield tree, "rs" if tree["resourceType"] == "Bundle" else "r"
    elif tree["resourceType"] == "Bundle":
        is_search = tree.get("type") == "searchset"
        for entry in tree.get("entry", []):
            mode = entry.get("search", {}).get("mode") if isinstance(entry, dict) else None
            for resource, letters in resources_in(entry.get("resource")):
                yield resource, ("s" if mode == "match" else "rs") if is_search else max(letters, "rs", key=len)
    elif tree["resourceType"] == "Parameters":
        for part in _parts_of(tree.get("parameter", [])):
            yield from resources_in(part.get("resource"))


def _parts_of(parts: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Give the parts of Parameters, and those within them."""
    for part in parts:
        yield part
        yield from _parts_of(part.get("part", []))


def markers_in(reply: Reply) -> frozenset[str]:
    """Return the marker of every version that shows in an answer: plain, escaped, percent-encoded or base64."""
    places = [reply.body, *(f"{name}: {value}".encode() for name, value in reply.headers)]
    found: set[str] = set()
    for place in places:
        text = place.decode(errors="replace")
        found.update(MARKER.findall(text))
        if "%" in text:
            found.update(MARKER.findall(unquote(unquote(text))))
        if "\\u" in text:
            found.update(MARKER.findall(re.sub(r"\\u00([0-9a-f]{2})", lambda one: chr(int(one[1], 16)), text)))
        for run in ENCODED.findall(place):
            found.update(_markers_in_base64(run))
    return frozenset(f"mRk{number}Z" for number in found)


def _markers_in_base64(run: bytes) -> set[str]:
    found: set[str] = set()
    plain = run.translate(bytes.maketrans(b"-_", b"+/"))
    for offset in range(4):
        part = plain[offset:]
        try:
            decoded = base64.b64decode(part[: len(part) // 4 * 4])
        except binascii.Error:
            continue
        if b"mRk" in decoded:
            found.update(MARKER.findall(decoded.decode(errors="replace")))
    return found
