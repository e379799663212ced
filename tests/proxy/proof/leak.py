"""T1: whatever is asked, with whatever token, of whatever server: nothing outside the authority shows."""

from typing import NamedTuple

from hypothesis import strategies as st

from tests.proxy.oracle import Token
from tests.proxy.proof.generators import asked
from tests.proxy.proof.judging import Judge, require_no_leak
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import MODES, Request

NAME = "T1 leak"
PROVEN_IN = MODES
PAGES = 3


class Case(NamedTuple):
    token: Token
    request: Request
    seed: int


CASES = st.builds(lambda pair, seed: Case(*pair, seed), asked, st.integers(0, 10_000))


def check(watch: Watch, case: Case) -> None:
    world = watch.world
    world.put(world.shelf, watch.mode, case.seed)
    judge = Judge(case.token, world.shelf)
    for reply in world.pages(case.token, case.request, PAGES):
        shown = require_no_leak(judge, reply, world)
        watch.saw(reply.status)
        watch.saw("resources", len(shown))
    watch.case(case.request.interaction)
