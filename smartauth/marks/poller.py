"""The thread that reads new marks and tells the caches of this process."""

import contextlib
import logging
import os
import threading
import time
import weakref
from collections import deque
from typing import Protocol

from django.db import Error, connection

INTERVAL = 0.3  # seconds between two looks
TRUSTED_FOR = 2.0  # seconds after a successful look during which caches may answer
MARKS_KEPT_FOR = 3_600.0  # seconds after which a mark may be deleted
REMEMBERED_FOR = 60.0  # seconds for which seen marks are kept, for loads that began before they were seen


class Cache(Protocol):
    """What is told of marks."""

    def forget(self, tags: frozenset[str]) -> None:
        """Drop what depends on one of `tags`."""

    def clear(self) -> None:
        """Drop everything."""


# The condition keeps every transaction that could have been running at the last look: see Mark.
NEW_MARKS = """
    SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint, m.id, m.tag
      FROM (SELECT 1) AS always
      LEFT JOIN marks_mark m ON m.transaction_id >= %s
"""


class Poller:
    """Reads marks for one process. Starts at first use and again in a forked child."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: weakref.WeakSet[Cache] = weakref.WeakSet()
        self._serving = False
        self._process: int | None = None
        self._fresh_until = 0.0
        self._last_look = 0.0  # of time.time
        self._since: int | None = None  # every transaction before this one was over at the last look
        self._seen: deque[tuple[float, int, str]] = deque()  # (when read, mark id, tag)
        self._seen_ids: set[int] = set()

    def listen(self, cache: Cache) -> None:
        """Tell `cache` of every new mark from now on."""
        self._listeners.add(cache)

    def serve(self) -> None:
        """Poll from now on. Only servers do: a command is over before a cache could help it."""
        self._serving = True

    def is_fresh(self) -> bool:
        """Return True while what caches hold may be believed; starts the thread in a process that has none."""
        if not self._serving:
            return False
        if self._process != os.getpid():
            self._start()
        return time.monotonic() < self._fresh_until

    def age(self) -> float | None:
        """Return how many seconds ago the marks were read well, None before the first time."""
        if self._fresh_until == 0.0:
            return None
        return max(0.0, time.monotonic() - (self._fresh_until - TRUSTED_FOR))

    def seen_since(self, moment: float) -> frozenset[str]:
        """Return the tags of marks read at or after `moment` (of time.monotonic)."""
        with self._lock:
            return frozenset(tag for when, _, tag in self._seen if when >= moment)

    def poll(self) -> None:
        """Look once: read what is new, empty the caches, and only then call them fresh again."""
        started, clock = time.monotonic(), time.time()
        if clock - self._last_look > MARKS_KEPT_FOR / 2:
            # Marks may have been deleted unread. By the clock on the wall: the other one stops while a machine sleeps.
            self._since = None
            for cache in list(self._listeners):
                cache.clear()
        with connection.cursor() as cursor:
            if self._since is None:
                cursor.execute("SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint")
                rows = [(*cursor.fetchone(), None, None)]
            else:
                cursor.execute(NEW_MARKS, [self._since])
                rows = cursor.fetchall()
        new = [(mark_id, tag) for _, mark_id, tag in rows if mark_id is not None and mark_id not in self._seen_ids]
        with self._lock:
            tags = frozenset(tag for _, tag in new)
            now = time.monotonic()
            self._seen.extend((now, mark_id, tag) for mark_id, tag in new)
            self._seen_ids.update(mark_id for mark_id, _ in new)
            self._forget_old(now)
            self._since = rows[0][0]
        if tags:
            for cache in list(self._listeners):
                cache.forget(tags)
        self._last_look = clock
        self._fresh_until = started + TRUSTED_FOR

    def _forget_old(self, now: float) -> None:
        while self._seen and self._seen[0][0] < now - REMEMBERED_FOR:
            self._seen_ids.discard(self._seen.popleft()[1])

    def _start(self) -> None:
        with self._lock:
            if self._process == os.getpid():
                return
            self._process = os.getpid()
            self._fresh_until = 0.0
            self._since = None
        threading.Thread(target=self._run, name="marks", daemon=True).start()

    def _run(self) -> None:
        while True:
            try:
                self.poll()
            except Error as error:
                # Caches stop answering by themselves two seconds after the last good look; requests then find out.
                logging.getLogger(__name__).warning("marks cannot be read: %s", type(error).__name__)
                with contextlib.suppress(Error):
                    connection.close()
            time.sleep(INTERVAL)


poller = Poller()
