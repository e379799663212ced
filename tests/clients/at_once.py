"""Doing several things at the same moment, each on a database connection of its own."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier
from typing import TypeVar

from django.db import connection

T = TypeVar("T")


def at_once(*calls: Callable[[], T]) -> list[T | Exception]:
    """Make all calls at once; return what each returned or raised, in order."""
    barrier = Barrier(len(calls))

    def make(call: Callable[[], T]) -> T | Exception:
        try:
            connection.ensure_connection()
            barrier.wait(10)
            return call()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(make, calls))


def each_at_once(count: int, ask: Callable[[int], None]) -> None:
    """Run `ask` with 0, 1, … at once; what one raises fails the test."""
    for outcome in at_once(*(partial(ask, number) for number in range(count))):
        if isinstance(outcome, Exception):
            raise outcome
