"""A few rules taken away, in every run: a proof that would hold without them would prove nothing."""

import inspect
from types import ModuleType
from unittest.mock import patch

import pytest

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.messages import Request as Direct
from smartauth.context import new_context
from tests.proxy.oracle import Token
from tests.proxy.proof import integrity, planting
from tests.proxy.proof.mutation import row_of
from tests.proxy.proof.rule import Rule
from tests.proxy.proof.rules import QUICK, RULES
from tests.proxy.proof.running import notices
from tests.proxy.proof.world import Reply, Request, World, running_world


@pytest.mark.parametrize("rule", QUICK, ids=lambda rule: rule.name)
def test_a_rule_is_missed_when_it_is_taken_away(db: None, rule: Rule) -> None:
    with running_world(1) as world:
        assert row_of(rule, world, 1, 150).noticed_after > 0


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_rule_names_something_that_exists(rule: Rule) -> None:
    for owner, name, value in rule.patches:
        assert getattr(owner, name) is not value


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_what_takes_the_place_of_a_rule_can_be_called_like_it(rule: Rule) -> None:
    """Otherwise the proxy fails without having been asked anything, and that looks as if a rule were missed."""
    for owner, name, value in rule.patches:
        replaced = getattr(owner, name)
        if not (inspect.isfunction(replaced) and inspect.isfunction(value)):
            continue
        taken = inspect.signature(replaced).parameters.values()
        named = {one.name: one for one in taken if one.kind is one.KEYWORD_ONLY}
        inspect.signature(value).bind(*(one for one in taken if one.kind is one.POSITIONAL_OR_KEYWORD), **named)


def unprotected(world: World, token: Token | None, request: Request, **_: object) -> Reply:
    """Answer as the server behind would, without a proxy in front."""
    path, _, query = request.path.partition("?")
    direct = Direct(request.method, path, query, request.headers, request.body)
    try:
        answer = world.server.service.handle(direct, path)
    except FhirError as error:
        return Reply(error.status, (), b"", new_context(), request)
    return Reply(answer.status, tuple(answer.headers), answer.body, new_context(), request)


@pytest.mark.parametrize("property_", [integrity, planting], ids=lambda one: one.NAME)
def test_writes_without_a_proxy_in_front_are_noticed(db: None, property_: ModuleType) -> None:
    """The properties of writes are ready before the writes are: they must not hold for a server that takes anything."""
    with running_world(1) as world, patch.object(World, "ask", unprotected):
        assert notices(property_, world, "faithful", cases=100, first_seed=1) > 0
