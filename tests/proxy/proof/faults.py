"""T8: each way of lying by itself: nothing foreign leaves, nobody is led away, and the answer is still an answer."""

from typing import NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from fhirproxy import upstream
from fhirproxy.r4server.distortions import DISTORTIONS
from tests.proxy.oracle import Token
from tests.proxy.proof.generators import app_tokens, kinds_of, reads, searches, service_tokens
from tests.proxy.proof.judging import Judge, require_no_leak
from tests.proxy.proof.running import Watch
from tests.proxy.proof.situations import mostly_situated
from tests.proxy.proof.trap import trap
from tests.proxy.proof.world import Request

NAME = "T8 faults"
PROVEN_IN = ("hostile",)
LIMIT = 1024 * 1024  # bytes; the limit itself is tested at its real size elsewhere
TOO_MUCH = frozenset({"huge", "elsewhere"})  # what no reader may take for an answer
BELIEVED = ("duplicate-names", "mixed-up", "another-resource")  # what a careless reader would take
STATUSES = frozenset({200, 304, 400, 403, 404, 410, 502, 503, 504})


class Case(NamedTuple):
    token: Token
    request: Request
    distortion: str
    seed: int


AT_RANDOM = st.one_of(app_tokens(), service_tokens()).flatmap(
    lambda token: st.tuples(st.just(token), st.one_of(searches(kinds_of(token)), reads(kinds_of(token))))
)
CASES = st.builds(
    lambda pair, distortion, seed: Case(*pair, distortion, seed),
    mostly_situated(AT_RANDOM),
    st.sampled_from((*sorted(DISTORTIONS), *BELIEVED * 4)),
    st.integers(0, 10_000),
)


def check(watch: Watch, case: Case) -> None:
    world, listener = watch.world, trap()
    world.put(world.shelf, "hostile", case.seed, (case.distortion,), listener.url)
    judge = Judge(case.token, world.shelf)
    with patch.object(upstream, "LARGEST_ANSWER", LIMIT):
        for reply in world.pages(case.token, case.request, 2):
            assert reply.status in STATUSES, (case, reply.status)
            require_no_leak(judge, reply, world)
            if case.distortion in TOO_MUCH and reply.status == 200 and world.received():
                # Provenance hangs on its targets: one that cannot be read is one that is not there.
                assert case.request.path.startswith("/Provenance"), case
                assert not reply.tree.get("entry"), case
            watch.saw(f"{case.distortion} {reply.status}")
    assert listener.visits == 0, case
    watch.case(case.distortion)
