"""Transactions: all entries of a Bundle or none, references between them resolved.

Permissive on purpose: whatever stands in `fullUrl` is taken for the name of the entry, and every reference that says so
is rewritten, as servers do.  Source: FHIR R4 http.html#transaction.
"""

import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from fhirproxy.r4server.encoding import JsonObject, decode, encode
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.messages import Response
from fhirproxy.r4server.modes import Mode
from fhirproxy.r4server.store import Store, Version

_ORDER = ("DELETE", "POST", "PUT", "GET")


def transact(document: object, store: Store, mode: Mode, *, base_url: str) -> Response:
    """Carry out a transaction Bundle. Raises FhirError, and then nothing has happened."""
    if not isinstance(document, Mapping) or document.get("resourceType") != "Bundle":
        raise FhirError(400, "invalid", "the body is not a Bundle")
    if document.get("type") != "transaction":
        raise FhirError(400, "not-supported", "only transactions are supported")
    entries = [_Entry(entry) for entry in document.get("entry") or []]
    names = {entry.full_url: entry.key for entry in entries if entry.full_url and entry.method in ("POST", "PUT")}
    answers: dict[int, JsonObject] = {}
    with store.atomically():
        for index in sorted(range(len(entries)), key=lambda index: _ORDER.index(entries[index].method)):
            answers[index] = entries[index].carry_out(store, mode, names, base_url=base_url)
    bundle = {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [answers[index] for index in range(len(entries))],
    }
    return Response(200, encode(bundle))


class _Entry:
    def __init__(self, entry: object) -> None:
        request = entry.get("request") if isinstance(entry, Mapping) else None
        if not isinstance(entry, Mapping) or not isinstance(request, Mapping):
            raise FhirError(400, "invalid", "an entry has no request")
        self.method = str(request.get("method"))
        self.resource_type, _, self.id = str(request.get("url")).partition("/")
        if self.method not in _ORDER or bool(self.id) is (self.method == "POST"):
            raise FhirError(400, "not-supported", "an entry asks for something that transactions cannot do here")
        self.id = self.id or str(uuid.uuid4())
        self.if_match: str | None = request.get("ifMatch")
        self.full_url = str(entry.get("fullUrl") or "")
        self.resource: Any = entry.get("resource")

    @property
    def key(self) -> str:
        return f"{self.resource_type}/{self.id}"

    def carry_out(self, store: Store, mode: Mode, names: Mapping[str, str], *, base_url: str) -> JsonObject:
        now = datetime.now(UTC)
        if self.method == "DELETE":
            store.delete(self.resource_type, self.id, if_match=self.if_match, now=now)
            return {"response": {"status": "204"}}
        if self.method == "GET":
            found = store.find_current(self.key)
            if found is None:
                raise FhirError(404, "not-found", "there is no such resource")
            return {"resource": decode(found.raw), "response": {"status": "200"}}
        if not isinstance(self.resource, Mapping) or self.resource.get("resourceType") != self.resource_type:
            raise FhirError(400, "invalid", "an entry holds no resource of the type in its url")
        resource: Any = _renamed({**self.resource, "id": self.id}, names)
        version = store.put(resource, if_match=self.if_match, now=now)
        return _told(mode.written(version, store), version.number == 1, base_url)


def _told(version: Version, is_new: bool, base_url: str) -> JsonObject:
    return {
        "fullUrl": f"{base_url}/{version.key}",
        "resource": decode(version.raw),
        "response": {
            "status": "201" if is_new else "200",
            "location": f"{base_url}/{version.key}/_history/{version.number}",
            "etag": version.etag,
        },
    }


def _renamed_at(name: str, value: Any, names: Mapping[str, str]) -> Any:
    if name in ("reference", "url") and isinstance(value, str):
        return names.get(value, value)
    return _renamed(value, names)


def _renamed(tree: Any, names: Mapping[str, str]) -> Any:
    if isinstance(tree, Mapping):
        return {name: _renamed_at(name, value, names) for name, value in tree.items()}
    return [_renamed(value, names) for value in tree] if isinstance(tree, list) else tree
