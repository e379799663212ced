"""The mutation check: each rule of the policy taken away by itself must be noticed by some property.

A rule that nobody misses has no test. How rules are taken away is in `rules.py`.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from unittest.mock import patch

from tests.proxy.proof.catalogue import PROPERTIES, lacks
from tests.proxy.proof.rule import Rule
from tests.proxy.proof.rules import RULES
from tests.proxy.proof.running import notices
from tests.proxy.proof.world import World, running_world

BOUND = 400  # cases of one property in one mode; of those less likely to notice an eighth


@dataclass(frozen=True, slots=True)
class Row:
    """What became of one rule. `noticed_after` 0: nobody noticed."""

    rule: Rule
    noticed_by: str
    noticed_after: int
    seconds: float

    def __str__(self) -> str:
        by = f"{self.noticed_by} after {self.noticed_after}" if self.noticed_after else "NOT NOTICED  0"
        return f"  {self.rule.section:5} {self.rule.name:58} {by:44} {self.seconds:6.1f} s"


def table(first_seed: int, rules: tuple[Rule, ...] = RULES, bound: int = BOUND) -> Iterator[Row]:
    """Give the row of each rule, in a world of its own."""
    for rule in rules:
        with running_world(first_seed) as world:
            yield row_of(rule, world, first_seed, bound)


def row_of(rule: Rule, world: World, first_seed: int, bound: int) -> Row:
    """Take one rule away and ask the properties, the likeliest first."""
    began = time.monotonic()
    with taken_away(rule):
        for property_, mode in _in_order(rule.suspects):
            if lacks(property_, world):
                continue
            is_suspect = f"{property_.NAME[:2]} {mode}".startswith(rule.suspects)
            cases = bound if is_suspect else bound // 8
            after = notices(property_, world, mode, cases=cases, first_seed=first_seed)
            if after:
                return Row(rule, f"{property_.NAME} {mode}", after, time.monotonic() - began)
    return Row(rule, "", 0, time.monotonic() - began)


def taken_away(rule: Rule) -> ExitStack:
    """Return a context in which the rule does not hold."""
    stack = ExitStack()
    for owner, name, value in rule.patches:
        stack.enter_context(patch.object(owner, name, value))
    return stack


@cache
def _in_order(suspects: tuple[str, ...]) -> tuple[tuple[ModuleType, str], ...]:
    pairs = [(one, mode) for one in PROPERTIES for mode in one.PROVEN_IN]
    first = [pair for name in suspects for pair in pairs if f"{pair[0].NAME[:2]} {pair[1]}".startswith(name)]
    return (*first, *(pair for pair in pairs if pair not in first))
