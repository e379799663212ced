"""The resources, in memory, every version of them. Thread-safe; knows nothing of HTTP and nothing of search."""

import re
import threading
import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from fhirproxy.r4server.encoding import JsonObject, encode
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import resource_types

# FHIR R4 datatypes.html#id.
LOGICAL_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


@dataclass(frozen=True, slots=True, eq=False)
class Version:
    """One version of one resource. A deleted resource ends in a version without `resource`."""

    resource_type: str
    id: str
    number: int  # meta.versionId, counted from 1
    updated_at: datetime
    resource: JsonObject | None  # never changed once stored
    raw: bytes  # the resource as it leaves
    # What search read out of this version, by parameter: versions never change, so this is never stale.
    extracted: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """Return the relative reference, e.g. ``Patient/ana``."""
        return f"{self.resource_type}/{self.id}"

    @property
    def etag(self) -> str:
        """Return the weak entity tag of this version.  Source: FHIR R4 http.html#versions."""
        return f'W/"{self.number}"'


class Store:
    """All resources by type and id. Reads return versions; writes make new ones."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._histories: dict[str, dict[str, list[Version]]] = {}
        self._current: dict[str, dict[str, Version]] = {}

    def find(self, resource_type: str, resource_id: str) -> Version | None:
        """Return the current version, a deletion included, or None when there never was one."""
        with self._lock:
            history = self._histories.get(resource_type, {}).get(resource_id)
            return history[-1] if history else None

    def find_version(self, resource_type: str, resource_id: str, number: int) -> Version | None:
        """Return one version, past or current, or None."""
        with self._lock:
            history = self._histories.get(resource_type, {}).get(resource_id, [])
            return history[number - 1] if 1 <= number <= len(history) else None

    def find_current(self, key: str) -> Version | None:
        """Return the live resource a relative reference such as ``Patient/ana`` names, or None."""
        resource_type, _, resource_id = key.partition("/")
        with self._lock:
            return self._current.get(resource_type, {}).get(resource_id)

    def all_of(self, resource_type: str) -> tuple[Version, ...]:
        """Return the live resources of a type in the order they were first stored."""
        with self._lock:
            return tuple(self._current.get(resource_type, {}).values())

    def versions(self, resource_type: str | None, resource_id: str | None) -> list[Version]:
        """Return every version, deletions included, of a resource, of a type or of everything, in no useful order."""
        with self._lock:
            return [
                version
                for kind, histories in self._histories.items()
                for one, history in histories.items()
                for version in history
                if resource_type in (None, kind) and resource_id in (None, one)
            ]

    def everything(self) -> tuple[Version, ...]:
        """Return the live resources of all types."""
        with self._lock:
            return tuple(version for versions in self._current.values() for version in versions.values())

    def copy(self) -> "Store":
        """Return a store with the same past; versions are shared, since they never change."""
        twin = Store()
        with self._lock:
            for resource_type, histories in self._histories.items():
                twin._histories[resource_type] = {key: list(history) for key, history in histories.items()}
            for resource_type, current in self._current.items():
                twin._current[resource_type] = dict(current)
        return twin

    def forget(self, resource_type: str, resource_id: str) -> None:
        """Make it as if a resource had never been."""
        with self._lock:
            self._histories.get(resource_type, {}).pop(resource_id, None)
            self._current.get(resource_type, {}).pop(resource_id, None)

    def put(self, resource: Mapping[str, Any], *, if_match: str | None = None, now: datetime | None = None) -> Version:
        """Store a resource under its own type and id as the next version.

        if_match: an entity tag that the current version must have.  now: the new meta.lastUpdated; None keeps the
        one the resource brings, which is how a population gets its past.
        Raises FhirError 400 for an unusable type or id, 412 when `if_match` does not hold.
        """
        resource_type, resource_id = identity_of(resource)
        with self._lock:
            self._require_match(resource_type, resource_id, if_match)
            history = self._histories.setdefault(resource_type, {}).setdefault(resource_id, [])
            brought = dict(resource.get("meta") or {})
            at = now or _parse_instant(brought.get("lastUpdated")) or datetime.now(UTC)
            meta = {"versionId": str(len(history) + 1), "lastUpdated": format_instant(at)}
            meta |= {name: value for name, value in brought.items() if name not in meta}
            stored = {"resourceType": resource_type, "id": resource_id, "meta": meta}
            stored |= {name: value for name, value in resource.items() if name not in stored}
            version = Version(resource_type, resource_id, len(history) + 1, at, stored, encode(stored))
            history.append(version)
            self._current.setdefault(resource_type, {})[resource_id] = version
            return version

    def create(self, resource: Mapping[str, Any], *, now: datetime) -> Version:
        """Store a resource under an id of our choosing; one it brings is ignored (FHIR R4 http.html#create)."""
        return self.put({**resource, "id": str(uuid.uuid4())}, now=now)

    def delete(self, resource_type: str, resource_id: str, *, if_match: str | None, now: datetime) -> Version | None:
        """Mark a resource deleted; None when there is nothing to delete. Raises FhirError 412 like `put`."""
        with self._lock:
            self._require_match(resource_type, resource_id, if_match)
            live = self._current.get(resource_type, {}).pop(resource_id, None)
            if live is None:
                return None
            deletion = Version(resource_type, resource_id, live.number + 1, now, None, b"")
            self._histories[resource_type][resource_id].append(deletion)
            return deletion

    @contextmanager
    def atomically(self) -> Iterator[None]:
        """Let several writes happen together or, when one raises, not at all; nobody reads in between."""
        with self._lock:
            histories = {kind: {key: [*all_] for key, all_ in of.items()} for kind, of in self._histories.items()}
            current = {kind: dict(of) for kind, of in self._current.items()}
            try:
                yield
            except BaseException:
                self._histories, self._current = histories, current
                raise

    def load(self, resources: Iterable[Mapping[str, Any]]) -> int:
        """Put each resource, keeping the lastUpdated it brings; return how many there were."""
        count = 0
        for count, resource in enumerate(resources, start=1):  # noqa: B007  the last count is the answer
            self.put(resource)
        return count

    def clear(self) -> None:
        """Forget everything, versions included."""
        with self._lock:
            self._histories.clear()
            self._current.clear()

    def _require_match(self, resource_type: str, resource_id: str, if_match: str | None) -> None:
        if if_match is None:
            return
        live = self._current.get(resource_type, {}).get(resource_id)
        seen = live.etag if live else "none"
        if live is None or if_match.strip().removeprefix("W/") != live.etag.removeprefix("W/"):
            raise FhirError(412, "conflict", f"If-Match does not name the current version, which is {seen}")


def identity_of(resource: Mapping[str, Any]) -> tuple[str, str]:
    """Return (type, id) of a resource. Raises FhirError 400 when either is missing or malformed."""
    resource_type, resource_id = resource.get("resourceType"), resource.get("id")
    if not isinstance(resource_type, str) or resource_type not in resource_types():
        raise FhirError(400, "invalid", "resourceType is missing or not a type of FHIR R4")
    if not isinstance(resource_id, str) or not LOGICAL_ID.fullmatch(resource_id):
        raise FhirError(400, "invalid", "id is missing or not a FHIR id")
    if not isinstance(resource.get("meta") or {}, Mapping):
        raise FhirError(400, "structure", "meta is not an object")
    return resource_type, resource_id


def format_instant(at: datetime) -> str:
    """Return a FHIR instant in UTC with milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _parse_instant(text: object) -> datetime | None:
    if not isinstance(text, str):
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
