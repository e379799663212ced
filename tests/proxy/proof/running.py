"""Runs a property for a number of cases, repeatably, and counts what happened."""

import contextlib
from collections import Counter
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from hypothesis import HealthCheck, Phase, given, seed, settings

from tests.proxy.proof.world import World

CHUNK = 1_000  # cases per run of hypothesis: what it remembers of earlier ones grows


@dataclass(slots=True)
class Tally:
    """What happened: cases by property, mode and interaction, and answers by property, mode and outcome."""

    cases: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    outcomes: Counter[tuple[str, str, str]] = field(default_factory=Counter)


@dataclass(slots=True)
class Watch:
    """What a property is given beside its case: the world, the mode, and a place to count."""

    world: World
    mode: str
    name: str
    tally: Tally

    def case(self, interaction: str) -> None:
        """Count one case that was really judged."""
        self.tally.cases[self.name, self.mode, interaction] += 1

    def saw(self, outcome: object, times: int = 1) -> None:
        """Count something an answer showed, so that an empty proof is noticed."""
        self.tally.outcomes[self.name, self.mode, str(outcome)] += times


def prove(
    property_: ModuleType, world: World, mode: str, *, cases: int, first_seed: int, tally: Tally, shrink: bool = True
) -> None:
    """Run one property in one mode. Raises AssertionError for the smallest case found, or what the proxy raised."""
    phases = (Phase.generate, Phase.shrink) if shrink else (Phase.generate,)
    watch = Watch(world, mode, property_.NAME, tally)
    for chunk, start in enumerate(range(0, cases, CHUNK)):

        @seed(f"{property_.NAME}/{mode}/{first_seed + chunk}")
        @settings(
            max_examples=min(CHUNK, cases - start), deadline=None, database=None, phases=phases, print_blob=False,
            suppress_health_check=list(HealthCheck), report_multiple_bugs=False,
        )  # fmt: skip
        @given(property_.CASES)
        def run(case: Any) -> None:
            property_.check(watch, case)

        run()


def notices(property_: ModuleType, world: World, mode: str, *, cases: int, first_seed: int) -> int:
    """Return after how many cases a property fails, or 0 when it does not."""
    tally = Tally()
    try:
        with contextlib.redirect_stdout(None):
            prove(property_, world, mode, cases=cases, first_seed=first_seed, tally=tally, shrink=False)
    except Exception:  # Whatever goes wrong with a rule taken away has been noticed.
        return max(sum(tally.cases.values()), 1)
    return 0
