"""Which filter of a scope lets through no more than which other.  FHIR R4 search, "token"."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fhirproxy.policy.constraints import is_supported, matches
from smartauth.policy.granting import narrow_for_refresh, parse_registered, within
from smartauth.policy.scope_filters import Filter, implies, simplest
from smartauth.policy.scopes import parse_resource_scope
from tests.policy.proxy.building import bases

LAB, VITALS = "http://l|laboratory", "http://l|vital-signs"

IMPLIED = [
    # type, parameter, narrow, wide, does the one imply the other, does the other imply the one
    ("Observation", "category", LAB, LAB, True, True),
    ("Observation", "category", LAB, "laboratory", True, False),
    ("Observation", "category", "|laboratory", "laboratory", True, False),
    ("Observation", "category", LAB, "|laboratory", False, False),
    ("Observation", "category", LAB, "http://l|", True, False),
    ("Observation", "category", LAB, "http://m|", False, False),
    ("Observation", "category", "http://l|", "laboratory", False, False),
    ("Observation", "category", LAB, "LABORATORY", False, False),
    ("Observation", "category", LAB, f"{VITALS},{LAB}", True, False),
    ("Observation", "category", f"{LAB},{VITALS}", f"{VITALS},{LAB}", True, True),
    ("Observation", "category", f"{LAB},{VITALS}", "http://l|", True, False),
    ("Observation", "category", f"{LAB},{VITALS}", "laboratory", False, False),
    ("Observation", "category", LAB, "laboratory,", False, False),
    ("Observation", "category", LAB, "|", False, False),
    ("Observation", "category", "a|b|c", "b|c", False, False),
    ("Observation", "category", "http://l|a\\,b", "a\\,b", False, False),
    ("Observation", "category", LAB, "", False, False),
    ("Observation", "subject", "Patient/ana", "Patient/ana,Patient/ben", False, False),
    ("Observation", "date", "2020", "2020,2021", False, False),
    ("*", "_tag", "http://t|a", "a", True, False),
    ("*", "category", LAB, "laboratory", False, False),
]


@pytest.mark.requirement("SCOPE-17")
@pytest.mark.parametrize(("kind", "name", "narrow", "wide", "forth", "back"), IMPLIED)
def test_tokens_compare_as_fhir_has_them(kind: str, name: str, narrow: str, wide: str, forth: bool, back: bool) -> None:
    assert implies(kind, (name, narrow), (name, wide)) is forth
    assert implies(kind, (name, wide), (name, narrow)) is back
    assert not implies(kind, (name, narrow), ("code", wide))


GRANTED = [
    # the most there is, asked for, what both permit
    ("category=laboratory", f"category={LAB}", f"category={LAB}"),
    (f"category={LAB}", "category=laboratory", f"category={LAB}"),
    ("category=http://l|", f"category={LAB}", f"category={LAB}"),
    (f"category={LAB}", f"category={VITALS}", f"category={LAB}&category={VITALS}"),
    ("category=laboratory", f"category={LAB}&code=1", f"category={LAB}&code=1"),
    ("category=laboratory&code=1", f"category={LAB}", f"category={LAB}&code=1"),
]


@pytest.mark.requirement("SCOPE-07", "SCOPE-17", "SCOPE-25")
@pytest.mark.parametrize(("most", "asked", "both"), GRANTED)
def test_what_is_asked_and_what_may_be_had_meet_in_the_shortest_form(most: str, asked: str, both: str) -> None:
    limit = parse_registered(f"patient/Observation.rs?{most}")
    found = within(parse_registered(f"patient/Observation.rs?{asked}"), limit)
    assert [str(one) for one in found] == [f"patient/Observation.rs?{both}"]


@pytest.mark.requirement("SCOPE-20")
def test_a_refresh_may_ask_for_one_code_of_what_was_granted() -> None:
    granted = parse_registered("patient/Observation.rs?category=laboratory")
    asked = f"patient/Observation.r?category={LAB}"
    assert [str(one) for one in narrow_for_refresh(asked, granted)] == [asked]


SYSTEMS, CODES = st.sampled_from(["", "s", "t"]), st.sampled_from(["a", "b"])
TOKENS = st.one_of(CODES, st.builds("{}|{}".format, SYSTEMS, CODES), st.sampled_from(["s|", "t|"]))
VALUES = st.lists(TOKENS, min_size=1, max_size=3).map(",".join)
CODINGS = st.lists(st.tuples(SYSTEMS, CODES), max_size=3)


def observation(codings: list[tuple[str, str]]) -> dict[str, Any]:
    found = [{"code": code} | ({"system": system} if system else {}) for system, code in codings]
    return {"resourceType": "Observation", "id": "o", "category": [{"coding": found}]}


@pytest.mark.requirement("SCOPE-17")
@given(VALUES, VALUES, CODINGS)
def test_what_is_implied_is_never_missed_by_what_judges_resources(
    narrow: str, wide: str, codings: list[tuple[str, str]]
) -> None:
    filters = (("category", narrow),), (("category", wide),)
    assert all(is_supported("Observation", one, bases()) for one in filters)
    if implies("Observation", *(one[0] for one in filters)) and matches(observation(codings), filters[0], bases()):
        assert matches(observation(codings), filters[1], bases())


@given(st.lists(VALUES, max_size=4), CODINGS)
def test_the_simplest_form_lets_through_the_same(values: list[str], codings: list[tuple[str, str]]) -> None:
    filters: tuple[Filter, ...] = tuple(("category", value) for value in values)
    short = simplest("Observation", filters)
    assert set(short) <= set(filters)
    assert simplest("Observation", reversed(filters)) == short == simplest("Observation", short)
    assert matches(observation(codings), filters, bases()) == matches(observation(codings), short, bases())


@given(VALUES, VALUES)
def test_an_intersection_is_the_same_from_both_sides_and_within_each(one: str, other: str) -> None:
    first, second = (parse_resource_scope(f"patient/Observation.rs?category={value}") for value in (one, other))
    both = first.intersect(second)
    assert both is not None
    assert both == second.intersect(first)
    assert first.covers(both)
    assert second.covers(both)
