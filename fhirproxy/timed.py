"""A small cache whose values end by the clock, for what is read upstream with our own credentials.

A lost value is read again; no value ever means "no restriction".
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")


class TimedCache(Generic[K, V]):
    """Values by key, each until its moment. Bounded; least recently used values leave first."""

    def __init__(self, *, max_size: int) -> None:
        self._max_size = max_size
        self._lock = threading.Lock()
        self._entries: OrderedDict[K, tuple[float, V]] = OrderedDict()

    def get(self, key: K, load: Callable[[], tuple[V, float]]) -> V:
        """Return the value for `key`; `load` gives it and the seconds it may be kept. What it raises passes through."""
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None and entry[0] > time.monotonic():
                self._entries.move_to_end(key)
                return entry[1]
        value, seconds = load()
        self.put(key, value, seconds)
        return value

    def find(self, key: K) -> V | None:
        """Return what is kept for `key`, or None. Nothing is loaded."""
        with self._lock:
            entry = self._entries.get(key)
            return entry[1] if entry is not None and entry[0] > time.monotonic() else None

    def put(self, key: K, value: V, seconds: float) -> None:
        """Keep `value` for so many seconds; none at all for nought."""
        with self._lock:
            self._entries[key] = (time.monotonic() + seconds, value)
            self._entries.move_to_end(key)
            while len(self._entries) > self._max_size:
                self._entries.popitem(last=False)

    def clear(self) -> None:
        """Drop everything."""
        with self._lock:
            self._entries.clear()
