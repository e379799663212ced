"""How often somebody may ask, counted in this process."""

import threading
from collections import OrderedDict

SOURCES = 10_000


class Rates:
    """A token bucket for each source: a minute's worth at once, refilled evenly. Bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[tuple[str, ...], tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, source: tuple[str, ...], per_minute: int, now: float) -> float:
        """Take one request of `source`. Returns 0, or how long it is until there is room for it."""
        with self._lock:
            left, when = self._buckets.pop(source, (float(per_minute), now))
            left = min(float(per_minute), left + (now - when) * per_minute / 60)
            is_admitted = left >= 1
            self._buckets[source] = (left - 1 if is_admitted else left, now)
            while len(self._buckets) > SOURCES:
                self._buckets.popitem(last=False)
            return 0.0 if is_admitted else (1 - left) * 60 / per_minute
