"""Good token requests with something wrong: none may pass, and every good one must, however odd it looks."""

import re
from typing import NamedTuple

import pytest
from django.test import Client as Browser
from hypothesis import strategies as st

from tests.fuzz.exploring import explore, taken_back
from tests.fuzz.good import GOOD, Cast
from tests.fuzz.mistakes import FATAL, HARMLESS
from tests.fuzz.sending import gives_something, require_an_answer, send

TOKENS = re.compile(rb'"(?:access_token|refresh_token|id_token)"')


class Case(NamedTuple):
    """`wrong`: names of mistakes, one at most for each part. `odd`: what must not matter."""

    kind: str
    wrong: tuple[str, ...]
    odd: tuple[str, ...]


ODDITIES = {one.name: one for one in HARMLESS}
MISTAKES = {one.name: one for one in FATAL}
odd = st.lists(st.sampled_from(sorted(ODDITIES)), max_size=3, unique=True).map(tuple)
wrong = st.lists(
    st.sampled_from(FATAL), min_size=1, max_size=3, unique_by=lambda one: one.part
).map(lambda found: tuple(one.name for one in found))  # fmt: skip


def test_no_two_mistakes_share_a_name() -> None:
    assert len(MISTAKES) == len(FATAL)
    assert len(ODDITIES) == len(HARMLESS)


@pytest.mark.parametrize("kind", GOOD)
def test_each_mistake_alone_is_refused_wherever_it_applies(cast: Cast, kind: str) -> None:
    passed = [mistake.name for mistake in FATAL if not _is_refused(cast, Case(kind, (mistake.name,), ()))]
    assert passed == []


def _is_refused(cast: Cast, case: Case) -> bool:
    with taken_back():
        try:
            require_refused(cast, case)
        except AssertionError:
            return False
        return True


def test_every_mistake_applies_somewhere(cast: Cast) -> None:
    good = [make(cast) for make in GOOD.values()]
    assert [one.name for one in FATAL if not any(one.change(cast, sent) for sent in good)] == []


def test_requests_with_mistakes_give_nothing(cast: Cast) -> None:
    def check_wrong(case: Case) -> None:
        require_refused(cast, case)

    explore(st.builds(Case, st.sampled_from(sorted(GOOD)), wrong, odd), check_wrong, part=0.1)


def test_good_requests_pass_however_odd_they_look(cast: Cast) -> None:
    def check_odd(case: Case) -> None:
        sent = GOOD[case.kind](cast)
        for name in case.odd:
            sent = ODDITIES[name].change(cast, sent) or sent
        answer = send(Browser(), sent)
        require_an_answer(sent, answer)
        assert answer.status_code == 200, (case, answer.content)
        assert gives_something(answer)

    explore(st.builds(Case, st.sampled_from(sorted(GOOD)), st.just(()), odd), check_odd, part=0.05)


def require_refused(cast: Cast, case: Case) -> None:
    """Send a good request with these mistakes; nothing may come of it."""
    sent = GOOD[case.kind](cast)
    applied = 0
    for name in (*case.odd, *case.wrong):
        changed = (ODDITIES | MISTAKES)[name].change(cast, sent)
        applied += changed is not None and name in MISTAKES
        sent = changed or sent
    if not applied:
        return
    answer = send(Browser(), sent)
    require_an_answer(sent, answer)
    assert 400 <= answer.status_code < 500, (case, answer.status_code)
    assert not TOKENS.search(answer.content), case
