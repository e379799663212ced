"""Room for fetches that somebody at a page asks for: their target is chosen by whoever asks, and may hang.

Each person may have few at a time and few a minute, and all together leave threads for everybody else.
"""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from smartauth.errors import Refusal, TooManyRequests
from smartauth.rates import Buckets

PER_MINUTE = 10  # fetches of one person
AT_ONCE = 2  # of one person
ALTOGETHER = 4  # in this process
_buckets = Buckets()
_lock = threading.Lock()
_running: dict[int, int] = {}


@contextmanager
def room(user: int) -> Iterator[None]:
    """Hold a place for one fetch of `user`, a primary key. Raises TooManyRequests when none is free."""
    with _lock:
        if _running.get(user, 0) >= AT_ONCE or sum(_running.values()) >= ALTOGETHER:
            raise _too_many("other key sets are being fetched at this moment; try again in a few seconds", 5)
        wait = _buckets.seconds_to_wait(user, PER_MINUTE, time.monotonic())
        if wait:
            raise _too_many(f"one person may fetch {PER_MINUTE} key sets a minute", round(wait) + 1)
        _running[user] = _running.get(user, 0) + 1
    try:
        yield
    finally:
        with _lock:
            _running[user] -= 1
            if not _running[user]:
                del _running[user]


def forget() -> None:
    """Begin to count anew."""
    global _buckets
    _buckets = Buckets()


def _too_many(reason: str, retry_after: int) -> TooManyRequests:
    refusal = Refusal("portal.key_fetches", reason, fix=f"Wait {retry_after} s.")
    return TooManyRequests(refusal, retry_after=retry_after)
