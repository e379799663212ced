"""Marks: what one connection changes, another process's caches forget.  On PostgreSQL, with two connections."""

import os
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connection, transaction

from smartauth.marks import MarkedCache, token_mark
from smartauth.marks.models import Mark
from smartauth.marks.poller import MARKS_KEPT_FOR, Poller, poller
from tests.factories import mark

pytestmark = pytest.mark.django_db(transaction=True)
TAG = token_mark("one")


class Loads:
    """A loader that counts."""

    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> int:
        self.count += 1
        return self.count


@pytest.fixture
def cache(monkeypatch: pytest.MonkeyPatch) -> Iterator[MarkedCache[str, int]]:
    monkeypatch.setattr(poller, "is_fresh", lambda: True)
    monkeypatch.setattr(poller, "_since", None)
    poller.poll()
    yield MarkedCache(max_size=3)
    monkeypatch.setattr(poller, "_since", None)


def elsewhere(work: object) -> None:
    """Run something on a connection of its own, to the end."""

    def run() -> None:
        try:
            work()  # type: ignore[operator]
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()


def test_a_value_is_loaded_once_and_forgotten_at_its_mark(cache: MarkedCache[str, int]) -> None:
    load = Loads()
    assert [cache.get("a", load, tags=lambda _: (TAG,)) for _ in range(3)] == [1, 1, 1]
    elsewhere(lambda: mark(TAG))
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 2


def test_other_values_stay(cache: MarkedCache[str, int]) -> None:
    load = Loads()
    cache.get("a", load, tags=lambda _: (TAG,))
    elsewhere(lambda: mark(token_mark("another")))
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 1


def test_a_mark_counts_from_its_commit_however_long_the_writer_takes(cache: MarkedCache[str, int]) -> None:
    load, written, may_commit = Loads(), threading.Event(), threading.Event()

    def slow_writer() -> None:
        try:
            with transaction.atomic():
                mark(TAG)
                written.set()
                may_commit.wait(10)
        finally:
            connection.close()

    writer = threading.Thread(target=slow_writer)
    writer.start()
    written.wait(10)
    # Later writers commit first and are seen; an id-ordered reader would now have passed the slow one.
    elsewhere(lambda: mark(token_mark("later")))
    poller.poll()
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 1
    may_commit.set()
    writer.join()
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 2


def test_a_mark_read_while_a_value_loads_keeps_it_out(cache: MarkedCache[str, int]) -> None:
    load = Loads()

    def load_while_it_changes() -> int:
        elsewhere(lambda: mark(TAG))
        poller.poll()
        return load()

    cache.get("a", load_while_it_changes, tags=lambda _: (TAG,))
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 2


def test_a_rolled_back_change_leaves_no_mark(cache: MarkedCache[str, int]) -> None:
    load = Loads()
    cache.get("a", load, tags=lambda _: (TAG,))
    with transaction.atomic():
        mark(TAG)
        transaction.set_rollback(True)
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 1


def test_a_value_dies_at_its_own_end(cache: MarkedCache[str, int]) -> None:
    load, past = Loads(), datetime.now(UTC) - timedelta(seconds=1)
    for expected in (1, 2):
        assert cache.get("a", load, tags=lambda _: (TAG,), expires_at=lambda _: past) == expected


def test_the_least_recently_used_value_leaves_first(cache: MarkedCache[str, int]) -> None:
    load = Loads()
    for key in ("a", "b", "c", "a", "d"):
        cache.get(key, load, tags=lambda _: (TAG,))
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 1
    assert cache.get("b", load, tags=lambda _: (TAG,)) == 5


def test_a_value_that_ended_unused_makes_room(cache: MarkedCache[str, int]) -> None:
    load, soon = Loads(), datetime.now(UTC) + timedelta(seconds=0.05)
    cache.get("a", load, tags=lambda _: (TAG,), expires_at=lambda _: soon)
    time.sleep(0.06)
    cache.get("b", load, tags=lambda _: (TAG,))
    assert list(cache._entries) == ["b"]


def test_what_a_failed_load_raises_is_not_remembered(cache: MarkedCache[str, int]) -> None:
    def fail() -> int:
        raise LookupError

    with pytest.raises(LookupError):
        cache.get("a", fail, tags=lambda _: (TAG,))
    assert cache.get("a", Loads(), tags=lambda _: (TAG,)) == 1


def test_nothing_is_believed_two_seconds_after_the_last_look(monkeypatch: pytest.MonkeyPatch) -> None:
    own = Poller()
    own.serve()
    monkeypatch.setattr(own, "_process", os.getpid())
    assert not own.is_fresh()
    own.poll()
    assert own.is_fresh()
    now = time.monotonic
    monkeypatch.setattr("smartauth.marks.poller.time.monotonic", lambda: now() + 2.1)
    assert not own.is_fresh()


def test_a_process_that_does_not_serve_remembers_nothing() -> None:
    load, fresh = Loads(), MarkedCache[str, int](max_size=3)
    assert not Poller().is_fresh()
    assert [fresh.get("a", load, tags=lambda _: (TAG,)) for _ in range(2)] == [1, 2]


def test_a_worker_that_missed_deleted_marks_forgets_everything(
    cache: MarkedCache[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    load = Loads()
    cache.get("a", load, tags=lambda _: (TAG,))
    elsewhere(lambda: mark(TAG))
    elsewhere(lambda: Mark.objects.all().delete())
    now = time.time
    monkeypatch.setattr("smartauth.marks.poller.time.time", lambda: now() + MARKS_KEPT_FOR)
    poller.poll()
    assert cache.get("a", load, tags=lambda _: (TAG,)) == 2
