"""Runs a property for a number of generated cases, repeatably."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from django.db import transaction
from hypothesis import HealthCheck, given, seed, settings
from hypothesis.strategies import SearchStrategy

Case = TypeVar("Case")
# How many cases all properties get together, and where chance begins.
CASES = int(os.environ.get("CASES", "900"))
SEED = int(os.environ.get("SEED", "1"))
CHUNK = 1_000  # what hypothesis remembers of earlier cases grows


@contextmanager
def taken_back() -> Iterator[None]:
    """Take back what a case wrote. What insists on having no transaction around it overlooks this one, as a test's."""
    around = transaction.atomic()
    around._from_testcase = True  # type: ignore[attr-defined]
    with around:
        yield
        transaction.set_rollback(True)


def explore(strategy: SearchStrategy[Case], check: Callable[[Case], None], *, part: float) -> None:
    """Check `part` of all cases, each in a transaction that is taken back. Raises for the smallest case that fails."""
    cases = max(int(CASES * part), 1)
    for chunk, start in enumerate(range(0, cases, CHUNK)):

        @seed(f"{check.__qualname__}/{SEED + chunk}")
        @settings(
            max_examples=min(CHUNK, cases - start), deadline=None, database=None, print_blob=False,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
        )  # fmt: skip
        @given(strategy)
        def run(case: Case) -> None:
            with taken_back():
                check(case)

        run()
