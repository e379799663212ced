"""Room for fetches of key sets that people ask for: few at a time, since a host may take its time.

Who asks chooses what is fetched. One person cannot occupy the threads that everybody else needs.
"""

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from smartauth import rates
from smartauth.context import RequestContext
from smartauth.errors import Refusal, TooManyRequests

AT_ONCE = 2  # of one person
ALTOGETHER = 4  # in this process
SOON = 5  # seconds; no fetch takes longer


class FetchRoom:
    """Counts the fetches of this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: Counter[int] = Counter()

    @contextmanager
    def hold(self, user: int, context: RequestContext) -> Iterator[None]:
        """Hold a place for one fetch that a person asks for. Raises TooManyRequests.    user: primary key."""
        with self._lock:
            if self._running[user] >= AT_ONCE or self._running.total() >= ALTOGETHER:
                reason, fix = "other key sets are being fetched at this moment", "Wait as long as Retry-After says."
                raise TooManyRequests(Refusal("rate.key_fetches", reason, fix=fix), retry_after=SOON)
            rates.admit_trial(context, f"user {user}")
            self._running[user] += 1
        try:
            yield
        finally:
            with self._lock:
                self._running[user] -= 1
                if not self._running[user]:
                    del self._running[user]


fetch_room = FetchRoom()
