"""Doing the same in several threads, each with a database connection of its own."""

import threading
from collections.abc import Callable

from django.db import connection


def at_once(count: int, ask: Callable[[int], None]) -> None:
    """Run `ask` with 0, 1, … in threads of their own; what one raises fails the test as an unhandled exception."""
    barrier = threading.Barrier(count)

    def run(number: int) -> None:
        barrier.wait()
        try:
            ask(number)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
