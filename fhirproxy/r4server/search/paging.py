"""Pages of one search result: a snapshot on this side, an opaque token in the `next` link."""

import threading
import uuid
from collections import OrderedDict
from dataclasses import dataclass

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.search.query import SearchQuery
from fhirproxy.r4server.store import Version

KEPT_SNAPSHOTS = 512

TOKEN_PARAMETER = "_getpages"
OFFSET_PARAMETER = "_getpagesoffset"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All matches of a search at the time it was made, in order."""

    token: str
    query: SearchQuery
    matches: tuple[Version, ...]
    is_history: bool = False

    def page(self, offset: int) -> tuple[Version, ...]:
        """Return the matches of the page that starts at `offset`."""
        return self.matches[offset : offset + self.query.page_size]


class Snapshots:
    """The most recently used snapshots; older ones are forgotten, and their links answer 410."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: OrderedDict[str, Snapshot] = OrderedDict()

    def keep(self, query: SearchQuery, matches: tuple[Version, ...], *, is_history: bool = False) -> Snapshot:
        """Remember a result under a new random token."""
        snapshot = Snapshot(str(uuid.uuid4()), query, matches, is_history)
        with self._lock:
            self._kept[snapshot.token] = snapshot
            if len(self._kept) > KEPT_SNAPSHOTS:
                self._kept.popitem(last=False)
        return snapshot

    def get(self, token: str) -> Snapshot:
        """Return a snapshot. Raises FhirError 410 when it is not, or no longer, known."""
        with self._lock:
            snapshot = self._kept.get(token)
            if snapshot is None:
                raise FhirError(410, "expired", "this page is no longer available; repeat the search")
            self._kept.move_to_end(token)
            return snapshot
