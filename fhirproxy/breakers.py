"""A circuit breaker for each upstream: a server that is down is left alone, and requests are answered at once.

Closed: requests go through. Open after ten failures within thirty seconds. Half-open fifteen seconds later: one request
goes through, and how it fares decides for all.
"""

import threading
from collections import OrderedDict, deque

FAILURES = 10
WITHIN = 30.0  # seconds
REST = 15.0  # seconds
UPSTREAMS = 1_000


class Breaker:
    """The state of one upstream in this process. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._failures: deque[float] = deque(maxlen=FAILURES)
        self._rests_until: float | None = None

    def seconds_to_wait(self, now: float) -> float:
        """Return 0 when a request may go through now, else how long it is until one may."""
        with self._lock:
            if self._rests_until is None:
                return 0.0
            if now < self._rests_until:
                return self._rests_until - now
            # This request is the trial. If nothing is ever heard of it, there will be another.
            self._rests_until = now + REST
            return 0.0

    def succeeded(self) -> None:
        """Note that the upstream answered: a trial closes the breaker."""
        with self._lock:
            if self._rests_until is not None:
                self._rests_until = None
                self._failures.clear()

    def failed(self, now: float) -> bool:
        """Note that the upstream did not answer. Returns True when that opened the breaker."""
        with self._lock:
            self._failures.append(now)
            is_open = self._rests_until is not None
            if is_open or (len(self._failures) == FAILURES and now - self._failures[0] <= WITHIN):
                self._rests_until = now + REST
                return not is_open
            return False


_lock = threading.Lock()
_breakers: OrderedDict[str, Breaker] = OrderedDict()


def breaker_of(base_url: str) -> Breaker:
    """Return the breaker of an upstream."""
    with _lock:
        breaker = _breakers.setdefault(base_url, Breaker())
        _breakers.move_to_end(base_url)
        while len(_breakers) > UPSTREAMS:
            _breakers.popitem(last=False)
        return breaker


def forget() -> None:
    """Close every breaker."""
    with _lock:
        _breakers.clear()
