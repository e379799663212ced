"""A bounded cache of what the database said, emptied by marks."""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Generic, TypeVar

from smartauth.marks.poller import poller

K = TypeVar("K")
V = TypeVar("V")


class MarkedCache(Generic[K, V]):
    """Values by key, each with the tags that end it. Least recently used values leave first."""

    def __init__(self, *, max_size: int) -> None:
        self._max_size = max_size
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[V, frozenset[str], datetime | None]] = OrderedDict()
        poller.listen(self)

    def get(
        self,
        key: K,
        load: Callable[[], V],
        *,
        tags: Callable[[V], tuple[str, ...]],
        expires_at: Callable[[V], datetime | None] = lambda _: None,
    ) -> V:
        """Return the value for `key`, from memory while marks are fresh, else by `load`.

        What `load` raises passes through and nothing is remembered. `tags` names what the value depends on; a value
        without tags is not remembered. A mark that arrives while `load` runs keeps its result out of the cache.
        """
        fresh = poller.is_fresh()
        if fresh:
            with self._lock:
                entry = self._entries.get(key)
                if entry is not None and (entry[2] is None or entry[2] > datetime.now(UTC)):
                    self._entries.move_to_end(key)
                    return entry[0]
        began = time.monotonic()
        value = load()
        names = frozenset(tags(value))
        if fresh and names:
            with self._lock:
                # Marks read while we were loading may be about the state before or after ours: do not guess.
                if not names & poller.seen_since(began):
                    self._entries[key] = (value, names, expires_at(value))
                    self._entries.move_to_end(key)
                self._make_room()
        return value

    def forget(self, tags: frozenset[str]) -> None:
        """Drop every value that depends on one of `tags`."""
        with self._lock:
            for key in [key for key, (_, names, _) in self._entries.items() if names & tags]:
                del self._entries[key]

    def _make_room(self) -> None:
        """Let go of what has ended unused, and of the least recently used beyond the limit."""
        now = datetime.now(UTC)
        while self._entries:
            _, _, end = next(iter(self._entries.values()))
            if len(self._entries) <= self._max_size and (end is None or end > now):
                return
            self._entries.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
