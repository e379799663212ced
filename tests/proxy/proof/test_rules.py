"""A few rules taken away, in every run: a proof that would hold without them would prove nothing."""

import pytest

from tests.proxy.proof.mutation import row_of
from tests.proxy.proof.rules import QUICK, RULES, Rule
from tests.proxy.proof.world import running_world


@pytest.mark.parametrize("rule", QUICK, ids=lambda rule: rule.name)
def test_a_rule_is_missed_when_it_is_taken_away(db: None, rule: Rule) -> None:
    with running_world(1) as world:
        assert row_of(rule, world, 1, 150).noticed_after > 0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_something_that_exists(rule: Rule) -> None:
    for owner, name, value in rule.patches:
        assert getattr(owner, name) is not value
