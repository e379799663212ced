"""T9: whatever is written for ana, in whatever order, nothing that was not hers becomes readable to who wrote it."""

from random import Random
from typing import NamedTuple

from hypothesis import strategies as st

from tests.proxy.oracle import Token
from tests.proxy.proof.editing import Edit, Several, write_of
from tests.proxy.proof.generators import instances, searches
from tests.proxy.proof.judging import Judge, markers_in
from tests.proxy.proof.population import marker
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Request, Shelf
from tests.proxy.proof.writers import numbers, write
from tests.proxy.proof.writing import OWN, Recipe, cook, lacks_writes, recipes

NAME = "T9 planting"
PROVEN_IN = ("faithful",)
lacks = lacks_writes
WRITERS = (
    Token(("patient/*.cruds",), patient="ana", fhir_user="Patient/ana", client="app"),
    Token(("patient/*.cruds",), patient="ana", fhir_user="Patient/ana", client="app"),
    Token(("user/*.cruds",), fhir_user="RelatedPerson/ana-mother", client="app"),
    Token(("patient/*.cud", "patient/Observation.rs", "patient/Binary.rs"), patient="ana", client="app"),
    Token(("system/*.cruds",), client="service", only_patients=frozenset({"ana"})),
)
KINDS = ("Observation", "Binary", "DocumentReference", "Provenance", "Patient", "Encounter", "Condition")


class Case(NamedTuple):
    writer: Token
    writes: list[Edit | Several | Recipe]
    looks: list[Request]


_writes = numbers.flatmap(lambda number: recipes() if number % 4 == 3 else st.just(write(Random(number))))
CASES = st.builds(
    Case,
    st.sampled_from(WRITERS),
    st.lists(_writes, min_size=1, max_size=5),
    st.lists(
        st.one_of(instances(KINDS).map(lambda where: Request("read", f"/{where}")), searches(KINDS)),
        min_size=1, max_size=4,
    ),
)  # fmt: skip


def check(watch: Watch, case: Case) -> None:
    world, before = watch.world, watch.world.shelf
    judge = Judge(case.writer, before)
    world.put(Shelf(before.store.copy(), before.versions, before.state, before.steps), watch.mode)
    try:
        for number, what in enumerate(case.writes):
            request = cook(what, world, number) if isinstance(what, Recipe) else write_of(what, world, number)
            reply = world.ask(case.writer, request)
            watch.saw(f"{request.interaction} {reply.status}")
            require_no_old_secret(judge, markers_in(reply))
        for request in (*case.looks, *at_what_was_planted(case.writes)):
            require_no_old_secret(judge, markers_in(world.ask(case.writer, request)))
    finally:
        world.put(before, watch.mode)
    watch.case("sequence")


def at_what_was_planted(written: list[Edit | Several | Recipe]) -> list[Request]:
    """Return reads of everything the writes pointed at."""
    targets = [
        target
        for what in written
        for target in ([what.planted] if isinstance(what, Recipe) else [one.target for one in edits_of(what)])
        if target and "/" in target and ":" not in target and "?" not in target
    ]
    return [Request("read", f"/{target}") for target in dict.fromkeys(targets)]


def edits_of(what: Edit | Several) -> tuple[Edit, ...]:
    """Return the single writes of a write."""
    return (what,) if isinstance(what, Edit) else what.edits


def require_no_old_secret(judge: Judge, shown: frozenset[str]) -> None:
    """Assert that nothing shows that was outside before the first write."""
    for one in shown:
        assert one >= marker(OWN) or judge.admits(one, "rs"), one
