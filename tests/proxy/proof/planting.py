"""T9: whatever ana's app writes, in whatever order, nothing that was not hers becomes readable to her by it."""

from typing import NamedTuple

from hypothesis import strategies as st

from tests.proxy.oracle import Token
from tests.proxy.proof.generators import instances, searches
from tests.proxy.proof.judging import Judge, markers_in
from tests.proxy.proof.population import marker
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Request, Shelf
from tests.proxy.proof.writing import OWN, Recipe, cook, lacks_writes, recipes

NAME = "T9 planting"
PROVEN_IN = ("faithful",)
lacks = lacks_writes
ANA = Token(("patient/*.cruds",), patient="ana", fhir_user="Patient/ana", client="app")
KINDS = ("Observation", "Binary", "DocumentReference", "Provenance", "Patient", "Encounter", "Condition")


class Case(NamedTuple):
    writes: list[Recipe]
    looks: list[Request]


CASES = st.builds(
    Case,
    st.lists(recipes(), min_size=1, max_size=5),
    st.lists(
        st.one_of(instances(KINDS).map(lambda where: Request("read", f"/{where}")), searches(KINDS)),
        min_size=2, max_size=6,
    ),
)  # fmt: skip


def check(watch: Watch, case: Case) -> None:
    world, before = watch.world, watch.world.shelf
    judge = Judge(ANA, before)
    world.put(Shelf(before.store.copy(), before.versions, before.state, before.steps), watch.mode)
    try:
        for number, recipe in enumerate(case.writes):
            reply = world.ask(ANA, cook(recipe, world, number))
            watch.saw(f"{recipe.verb} {reply.status}")
            require_no_old_secret(judge, markers_in(reply))
        for request in case.looks:
            require_no_old_secret(judge, markers_in(world.ask(ANA, request)))
    finally:
        world.put(before, watch.mode)
    watch.case("sequence")


def require_no_old_secret(judge: Judge, shown: frozenset[str]) -> None:
    """Assert that nothing shows that was outside before the first write."""
    for one in shown:
        assert one >= marker(OWN) or judge.admits(one, "rs"), one
