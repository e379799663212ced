"""T7: a page cursor works for whom it was given to, for a while; for others nothing is even asked upstream."""

from dataclasses import replace
from typing import NamedTuple
from unittest.mock import patch

from hypothesis import strategies as st

from fhirproxy import cursors
from tests.proxy.oracle import Token
from tests.proxy.proof.judging import Judge, require_no_leak
from tests.proxy.proof.running import Watch
from tests.proxy.proof.world import Request

NAME = "T7 replay"
PROVEN_IN = ("faithful", "leaky")
ANA = Token(("patient/*.rs",), patient="ana", client="app")
HOLDERS = (
    ANA,
    Token(("patient/Observation.rs", "patient/Patient.r"), patient="ana", client="app"),
    Token(
        ("patient/Observation.rs?category=laboratory", "patient/Observation.rs?category=vital-signs"),
        patient="ana",
        client="app",
    ),
    Token(("user/*.rs",), fhir_user="Practitioner/practitioner", client="app"),
    Token(("system/*.rs",), client="service"),
    Token(("system/*.rs",), client="service", only_patients=frozenset({"ana"})),
)
OTHERS = (
    *HOLDERS,
    replace(ANA, client="cardio-lite"),
    replace(ANA, client="cardio-lite"),
    Token(("patient/*.rs",), patient="ben", client="app"),
    Token(("patient/*.rs",), patient="cho", client="app"),
    Token(("patient/Condition.rs",), patient="ana", client="app"),
    Token(("patient/*.r",), patient="ana", client="app"),
    Token(("user/*.rs",), fhir_user="Patient/ben", client="app"),
    Token(("system/*.rs",), client="service", only_groups=frozenset({"everyone"})),
)
SPOILT = ("", *("other",) * 5, "change", "cut", "double", "add", "expired", "tenant", "parameter")


class Case(NamedTuple):
    holder: Token
    other: Token
    kind: str
    count: int
    spoilt: str
    at: int


CASES = st.builds(
    Case, st.sampled_from(HOLDERS), st.sampled_from(OTHERS),
    st.sampled_from(("Observation", "Observation", "Condition", "Task")),
    st.integers(1, 4), st.sampled_from(SPOILT), st.integers(0, 400),
)  # fmt: skip


def check(watch: Watch, case: Case) -> None:
    world = watch.world
    world.put(world.shelf, watch.mode)
    lifetime = -cursors.LIFETIME if case.spoilt == "expired" else cursors.LIFETIME
    with patch.object(cursors, "LIFETIME", lifetime):
        first = world.ask(case.holder, Request("search", f"/{case.kind}?_count={case.count}"))
    path = first.next_path()
    if path is None:
        watch.case("no next page")
        return
    user = case.other if case.spoilt == "other" else case.holder
    world.server.control.received.clear()
    reply = world.ask(
        user, Request("page", _spoil(path, case)), tenant="other" if case.spoilt == "tenant" else "sandbox"
    )
    require_no_leak(Judge(user, world.shelf), reply, world)
    if case.spoilt == "" or (case.spoilt == "other" and _is_same_holder(case.holder, user)):
        # Fewer scopes are looked at again: the cursor goes on, within what is left, or the letter is missing.
        assert reply.status in ((200,) if user == case.holder else (200, 403)), (case, reply.status)
    else:
        assert reply.status in (400, 401, 403, 404), (case, reply.status)
        assert [one["target"] for one in world.received() if "Group/" not in one["target"]] == [], case
    watch.saw(f"{case.spoilt or 'good'} {reply.status}")
    watch.case(case.spoilt or "good")


def _is_same_holder(one: Token, other: Token) -> bool:
    """Same client, same user, same patients: what a cursor is bound to, scopes aside."""
    bare = [replace(token, scopes=(token.scopes[0].partition("/")[0],)) for token in (one, other)]
    return bare[0] == bare[1]


def _spoil(path: str, case: Case) -> str:
    head, _, cursor = path.partition("c=")
    where = case.at % len(cursor)
    match case.spoilt:
        case "change":
            swapped = "A" if cursor[where] != "A" else "B"
            return f"{head}c={cursor[:where]}{swapped}{cursor[where + 1 :]}"
        case "cut":
            return f"{head}c={cursor[: max(where, 1)]}"
        case "double":
            return f"{head}c={cursor}{cursor}"
        case "add":
            return f"{path}A"
        case "parameter":
            return f"{path}&_count=500"
    return path
