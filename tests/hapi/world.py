"""The proof's population in HAPI FHIR, and the proof's world around it.

What is stored is taken from HAPI's own answers, since it rewrites and refuses some of what it is given.
"""

import contextlib
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar
from urllib.parse import urlencode

import requests

from fhirproxy.r4server.control import Control
from fhirproxy.r4server.encoding import decode, encode
from fhirproxy.r4server.interactions import FhirService
from fhirproxy.r4server.store import Store, Version
from tests.proxy.oracle import PUBLIC, State
from tests.proxy.proof.population import Resource, Step, marker, populate
from tests.proxy.proof.world import MARKER, Shelf, World, binary_rule, fresh, register

BLANK = 500_000  # markers of the resources without content begin here
TIMEOUT = 60  # seconds
PAGE = "200"  # the most HAPI is asked for at once
# HAPI keeps the tags of earlier versions unless told otherwise, and the markers are tags.
REPLACING = {"Content-Type": "application/fhir+json", "X-Meta-Snapshot-Mode": "TAG, PROFILE, SECURITY_LABEL"}


class Mirror(Store):
    """Versions exactly as another server holds them."""

    def keep(self, resource: Resource) -> Version:
        """Add the next version of a resource, as it is. Raises AssertionError when its number is not the next."""
        made = self.put(resource)
        assert str(made.number) == resource["meta"]["versionId"], made.key
        exact = replace(made, resource=resource, raw=encode(resource), extracted={})
        with self._lock:
            self._histories[made.resource_type][made.id][-1] = exact
            self._current[made.resource_type][made.id] = exact
        return exact


@dataclass(slots=True)
class Standing:
    """What a world steers of a server, for one that cannot be steered."""

    service: FhirService
    control: Control


@dataclass(slots=True)
class HapiWorld(World):
    """A world whose server is HAPI: only what it holds is known, and that it answers in any order."""

    http: requests.Session = field(default_factory=requests.Session)
    refused: Counter[str] = field(default_factory=Counter)
    keeps_order: ClassVar[bool] = False

    def load(self, steps: list[Step]) -> None:
        """Let everything happen in HAPI, and learn from it what is stored."""
        store, versions, skipped = Mirror(), {}, set()
        for step in [*_blanks(steps), *steps]:
            kind, resource_id = step.resource["resourceType"], step.resource["id"]
            key = f"{kind}/{resource_id}"
            if key in skipped:
                continue
            if step.is_deletion:
                self._send("DELETE", key).raise_for_status()
                store.delete(kind, resource_id, if_match=None, now=store.find_current(key).updated_at)  # type: ignore[union-attr]
                continue
            answer = self._put(step.resource)
            if not answer.ok:
                self.refused[kind] += 1
                if store.find_current(key) is None:
                    skipped.add(key)
                continue
            kept = store.keep(decode(self._send("GET", key).content))
            versions[step.resource["meta"]["tag"][0]["code"]] = kept
        current = {version.key: version.resource for version in store.everything() if version.resource is not None}
        self.shelf = Shelf(store, versions, State(current, (PUBLIC, self.upstream), self.binary), steps)

    def _put(self, resource: Resource) -> requests.Response:
        """Store a resource, without its status when the type has no such status."""
        key = f"{resource['resourceType']}/{resource['id']}"
        answer = self._send("PUT", key, json.dumps(resource))
        if answer.status_code == 400 and "status" in resource:
            answer = self._send("PUT", key, json.dumps({**resource, "status": None}))
        return answer

    def find(self, kind: str, filters: list[tuple[str, str]]) -> list[Version] | None:
        return self._search(kind, filters, "match")

    def bring(self, kind: str, matches: list[Version], include: tuple[str, str]) -> list[Version] | None:
        if not matches:
            return []
        chosen = ("_id", ",".join(one.id for one in matches))
        return self._search(kind, [chosen, include], "include")

    def _search(self, kind: str, pairs: list[tuple[str, str]], mode: str) -> list[Version] | None:
        body = urlencode([*pairs, ("_count", PAGE)])
        answer = self.http.post(
            f"{self.upstream}/{kind}/_search", body, timeout=TIMEOUT,
            headers={"Content-Type": "application/x-www-form-urlencoded", "Prefer": "handling=strict"},
        )  # fmt: skip
        if answer.status_code == 400:
            return None
        found: dict[str, Version] = {}
        while True:
            answer.raise_for_status()
            tree = answer.json()
            for entry in tree.get("entry", []):
                if entry["search"]["mode"] == mode:
                    number = _marker(entry["resource"])
                    found[number] = self.shelf.version_of(number)
            following = [link["url"] for link in tree["link"] if link["relation"] == "next"]
            if not following:
                return list(found.values())
            answer = self.http.get(following[0], timeout=TIMEOUT)

    def _send(self, method: str, key: str, body: str = "") -> requests.Response:
        headers = REPLACING if body else {"Accept": "application/fhir+json"}
        return self.http.request(method, f"{self.upstream}/{key}", data=body.encode(), headers=headers, timeout=TIMEOUT)


def _blanks(steps: list[Step]) -> Iterator[Step]:
    """Give each resource once without content: HAPI finds no reference to what came after it was stored."""
    keys = dict.fromkeys((step.resource["resourceType"], step.resource["id"]) for step in steps)
    for number, (kind, resource_id) in enumerate(keys):
        meta = {"tag": [{"system": "urn:marker", "code": marker(BLANK + number)}]}
        needed = {"type": "document"} if kind == "Bundle" else {}
        yield Step({"resourceType": kind, "id": resource_id, "meta": meta} | needed)


def _marker(resource: dict[str, Any]) -> str:
    return f"mRk{MARKER.findall(json.dumps(resource['meta']))[0]}Z"


@contextlib.contextmanager
def hapi_world(base_url: str, seed: int) -> Iterator[HapiWorld]:
    """Fill the server at `base_url` and put it behind the proxy. It is filled once, and only read by the proof."""
    with fresh():
        register(base_url, "")
        service = FhirService(base_url, Store())
        server: Any = Standing(service, Control(service))
        world = HapiWorld(server, Shelf(Store(), {}, State(), []), binary_rule())
        world.load(list(populate(seed, upstream=base_url)))
        world.put(world.shelf, "faithful")
        yield world
