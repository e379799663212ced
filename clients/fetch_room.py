"""Room for fetches of key sets that people ask for: few at a time and a minute, since a host may take its time.

Who asks chooses what is fetched. One person cannot occupy the threads that everybody else needs.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from smartauth.errors import Refusal, TooManyRequests
from smartauth.rates import Buckets

PER_MINUTE = 10  # fetches of one person
AT_ONCE = 2  # of one person
ALTOGETHER = 4  # in this process
SOON = 5  # seconds; no fetch takes longer


class FetchRoom:
    """Counts the fetches of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._minute = Buckets()
        self._running: dict[int, int] = {}

    @contextmanager
    def hold(self, user: int) -> Iterator[None]:
        """Hold a place for one fetch. Raises TooManyRequests.    user: primary key of who asks."""
        with self._lock:
            if self._running.get(user, 0) >= AT_ONCE or sum(self._running.values()) >= ALTOGETHER:
                raise _too_many("other key sets are being fetched at this moment", SOON)
            wait = self._minute.seconds_to_wait(user, PER_MINUTE, time.monotonic())
            if wait:
                raise _too_many(f"one person may have {PER_MINUTE} key sets fetched a minute", math.ceil(wait))
            self._running[user] = self._running.get(user, 0) + 1
        try:
            yield
        finally:
            with self._lock:
                self._running[user] -= 1
                if not self._running[user]:
                    del self._running[user]


fetch_room = FetchRoom()


def _too_many(reason: str, retry_after: int) -> TooManyRequests:
    refusal = Refusal("rate.key_fetches", reason, fix="Wait as long as Retry-After says.")
    return TooManyRequests(refusal, retry_after=retry_after)
