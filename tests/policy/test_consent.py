"""What a person can choose, and what their ticks grant.  CONSENT-01 to -04, -07, -08; SCOPE-05, -06, -07, -18.

SMART 2.2 scopes-and-launch-context; US Core SMART scopes.
"""

from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartauth.policy.advertising import CATEGORIES, US_CORE_TYPES
from smartauth.policy.consent import choose, declined, is_sensitive, parts, permissions
from smartauth.policy.granting import parse_registered
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope, parse_scope

OBSERVATION, CONDITION = CATEGORIES["Observation"], CATEGORIES["Condition"]
LAB = f"category={OBSERVATION[0]}"
VITALS = f"category={OBSERVATION[4]}"
PROBLEMS = f"category={CONDITION[1]}"
ALL_OBSERVATIONS = [f"patient/Observation.rs?category={one}" for one in OBSERVATION]
ALL_TYPES = " ".join(f"patient/{kind}.rs" for kind in US_CORE_TYPES)


def offered(asked: str) -> list[str]:
    """Return the values of the ticks on the page, in order."""
    return [one.value for one in permissions(parse_registered(asked))]


def granted(asked: str, *ticked: str) -> list[str]:
    """Return what is granted when these values were ticked."""
    return [str(scope) for scope in choose(parse_registered(asked), frozenset(ticked))]


OFFERED = [
    # asked                                            ticks
    ("patient/Patient.rs",                             ["patient/Patient.rs"]),
    ("patient/Patient.read",                           ["patient/Patient.read"]),
    ("patient/Patient.rs patient/Patient.rs",          ["patient/Patient.rs"]),
    ("patient/Patient.rs patient/Patient.read",        ["patient/Patient.rs"]),
    ("openid fhirUser launch/patient offline_access",  []),
    ("patient/Observation.rs",                         ALL_OBSERVATIONS),
    ("patient/Observation.read",                       ALL_OBSERVATIONS),
    ("user/Condition.cud",                             [f"user/Condition.cud?category={one}" for one in CONDITION]),
    (f"patient/Observation.rs?{LAB}",                  [f"patient/Observation.rs?{LAB}"]),
    ("patient/Observation.rs?code=718-7",              ["patient/Observation.rs?code=718-7"]),
    ("patient/DocumentReference.rs",                   ["patient/DocumentReference.rs"]),
    ("patient/Binary.rs",                              ["patient/Binary.rs"]),
    # Of two ticks of which one is part of the other, the wider is shown.
    ("patient/Patient.r patient/Patient.rs",           ["patient/Patient.rs"]),
    ("patient/Goal.cruds patient/Goal.r",              ["patient/Goal.cruds"]),
    (f"patient/Observation.rs?{LAB} patient/Observation.rs", ALL_OBSERVATIONS),
    (f"patient/Observation.r?{LAB}&code=718-7 patient/Observation.rs?{LAB}", [f"patient/Observation.rs?{LAB}"]),
    ("patient/*.rs?_tag=a patient/Goal.rs?_tag=a",     ["patient/*.rs?_tag=a"]),
    ("patient/Goal.rs?_tag=a patient/*.rs?_tag=a",     ["patient/*.rs?_tag=a"]),
    # Neither is part of the other.
    ("patient/Goal.cr patient/Goal.rs",                ["patient/Goal.cr", "patient/Goal.rs"]),
    ("patient/Goal.rs user/Goal.rs",                   ["patient/Goal.rs", "user/Goal.rs"]),
    ("patient/Goal.rs patient/Patient.rs",             ["patient/Goal.rs", "patient/Patient.rs"]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "ticks"), OFFERED)
def test_the_page_offers_each_thing_that_can_be_refused_alone_once(asked: str, ticks: list[str]) -> None:
    assert offered(asked) == ticks


@pytest.mark.requirement("CONSENT-01", "CONSENT-03")
@pytest.mark.parametrize("wildcard", ["patient/*.rs", "patient/*.read", "user/*.cruds"])
def test_a_wildcard_is_offered_type_by_type(wildcard: str) -> None:
    scopes = [one.scope for one in permissions(parse_registered(wildcard))]
    assert tuple(dict.fromkeys(scope.resource for scope in scopes)) == US_CORE_TYPES
    divided = {"Observation", "Condition"}
    assert {scope.resource for scope in scopes if scope.filters} == divided
    assert len(scopes) == len(US_CORE_TYPES) - len(divided) + len(OBSERVATION) + len(CONDITION)


# As certification lists them, so that none gets lost in ours.
CERTIFIED = (
    "AllergyIntolerance CarePlan CareTeam Condition Coverage Device DiagnosticReport DocumentReference Encounter Goal"
    " Immunization Location Medication MedicationDispense MedicationRequest Observation Organization Patient"
    " Practitioner PractitionerRole Procedure Provenance QuestionnaireResponse RelatedPerson ServiceRequest Specimen"
)
DIVIDED = {
    "Condition": {"encounter-diagnosis", "problem-list-item", "health-concern"},
    "Observation": {"procedure", "laboratory", "social-history", "sdoh", "survey", "vital-signs"},
}


@pytest.mark.requirement("CONSENT-01", "CONSENT-02")
def test_every_type_of_us_core_and_every_category_that_certification_names_is_offered() -> None:
    scopes = [one.scope for one in permissions(parse_registered("patient/*.rs"))]
    assert {scope.resource for scope in scopes} >= set(CERTIFIED.split())
    for kind, codes in DIVIDED.items():
        values = [value for scope in scopes if scope.resource == kind for _, value in scope.filters]
        assert {value.rpartition("|")[2] for value in values} == codes


WILDCARDS = [
    # asked                               some tick stands for a wildcard, which reaches types added later
    ("patient/*.rs",                      True),
    ("patient/*.rs patient/Patient.rs",   True),
    ("patient/Patient.rs patient/*.rs",   True),
    (f"patient/*.rs {ALL_TYPES}",         True),
    (f"{ALL_TYPES} patient/*.rs",         True),
    (f"patient/*.r {ALL_TYPES}",          True),
    (f"{ALL_TYPES} patient/*.s",          True),
    (ALL_TYPES,                           False),
    ("patient/Observation.rs",            False),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "is_told"), WILDCARDS)
def test_a_wildcard_is_told_whatever_else_is_asked(asked: str, is_told: bool) -> None:
    assert any(one.is_all_types for one in permissions(parse_registered(asked))) is is_told


ASKED = [
    "patient/Patient.rs",
    "patient/*.rs",
    "patient/*.read",
    "user/*.*",
    "patient/Observation.rs",
    "patient/Observation.read patient/Condition.read",
    f"patient/Observation.rs?{LAB} patient/Observation.rs?{VITALS}",
    f"patient/Observation.rs patient/Observation.r?{LAB} patient/*.s",
    "openid fhirUser launch/patient offline_access patient/*.rs patient/Goal.write __special",
    "patient/Goal.cr patient/Goal.rs patient/Goal.r",
    "offline_access openid",
    "patient/*.rs?_tag=a patient/Goal.rs?_tag=a",
]


@pytest.mark.parametrize("asked", ASKED)
def test_with_everything_ticked_the_scopes_come_back_exactly_as_asked(asked: str) -> None:
    assert " ".join(granted(asked, *offered(asked), "offline_access")) == asked


CHOSEN = [
    # asked                          ticked                                 granted
    ("patient/*.rs",                 ["patient/Patient.rs", f"patient/Observation.rs?{LAB}"],
     f"patient/Observation.rs?{LAB} patient/Patient.rs"),
    ("patient/*.rs",                 ALL_OBSERVATIONS,                      " ".join(ALL_OBSERVATIONS)),
    ("patient/*.read",               ["patient/Patient.read"],              "patient/Patient.read"),
    ("patient/*.read",               [f"patient/Condition.rs?{PROBLEMS}"],  f"patient/Condition.rs?{PROBLEMS}"),
    ("patient/Observation.rs",       [f"patient/Observation.rs?{VITALS}"],  f"patient/Observation.rs?{VITALS}"),
    ("patient/Observation.read",     [f"patient/Observation.rs?{VITALS}"],  f"patient/Observation.rs?{VITALS}"),
    ("patient/Goal.rs user/Goal.rs", ["user/Goal.rs"],                      "user/Goal.rs"),
    ("openid patient/Patient.rs",    [],                                    "openid"),
    ("patient/*.rs",                 [],                                    ""),
    ("patient/Observation.rs user/*.*", [],                                 ""),
    # One tick of two scopes that overlap.
    ("patient/Goal.r patient/Goal.rs", ["patient/Goal.rs"],                 "patient/Goal.r patient/Goal.rs"),
    (f"patient/Observation.rs patient/Observation.r?{LAB}", [f"patient/Observation.rs?{LAB}"],
     f"patient/Observation.rs?{LAB} patient/Observation.r?{LAB}"),
    (f"patient/Observation.rs patient/Observation.r?{LAB}", [f"patient/Observation.rs?{VITALS}"],
     f"patient/Observation.rs?{VITALS}"),
    ("patient/*.rs patient/Observation.rs", ALL_OBSERVATIONS,
     " ".join([*ALL_OBSERVATIONS, "patient/Observation.rs"])),
    # What was declined by name does not come back inside a wider scope that was ticked in full.
    ("patient/*.rs patient/Binary.rs", offered("patient/*.rs"),             " ".join(offered("patient/*.rs"))),
    ("patient/*.rs patient/Binary.cruds", offered("patient/*.rs"),          " ".join(offered("patient/*.rs"))),
    ("patient/Observation.rs?code=718-7 patient/Observation.rs", ALL_OBSERVATIONS, " ".join(ALL_OBSERVATIONS)),
    # A tick is what is granted, not a smaller copy beside it.
    ("patient/Goal.cruds patient/*.r", ["patient/Goal.cruds"],              "patient/Goal.cruds"),
    ("patient/*.r patient/Goal.cruds", ["patient/Goal.cruds"],              "patient/Goal.cruds"),
    ("patient/*.read patient/Observation.*", [f"patient/Observation.cruds?{LAB}"], f"patient/Observation.cruds?{LAB}"),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-02", "T-56")
@pytest.mark.parametrize(("asked", "ticked", "expected"), CHOSEN)
def test_some_ticks_grant_those_parts_and_never_the_whole(asked: str, ticked: list[str], expected: str) -> None:
    assert set(ticked) <= set(offered(asked))
    assert " ".join(granted(asked, *ticked)) == expected


@pytest.mark.parametrize("asked", ["patient/Observation.rs", "patient/*.rs", "patient/*.read", "user/Condition.cruds"])
def test_a_single_tick_left_out_takes_the_whole_away(asked: str) -> None:
    ticks = offered(asked)
    for left_out in ticks:
        assert granted(asked, *(one for one in ticks if one != left_out)) == [one for one in ticks if one != left_out]


FORGED = [
    # asked                          values no page offered
    ("patient/Patient.rs",           ["patient/Goal.rs", "patient/*.rs", "user/Patient.rs", "patient/Patient.cruds"]),
    ("patient/Patient.rs",           ["patient/Patient.read", "patient/Patient.r", " patient/Patient.rs", "rs", ""]),
    ("patient/Patient.read",         ["patient/Patient.rs"]),
    ("patient/*.rs",                 ["patient/*.rs", "patient/*.read", "patient/*.cruds", "*"]),
    ("patient/*.rs",                 ["patient/Observation.rs", "patient/Binary.rs", "patient/Condition.rs"]),
    ("patient/Observation.rs",       ["patient/Observation.rs", "patient/Observation.rs?category=laboratory"]),
    ("patient/Observation.rs",       [f"patient/Observation.r?{LAB}", f"patient/Observation.cruds?{LAB}"]),
    ("patient/Patient.rs",           ["openid", "offline_access", "launch/patient", "__special", "system/*.cruds"]),
    ("patient/Goal.r patient/Goal.rs", ["patient/Goal.r"]),
]  # fmt: skip


@pytest.mark.parametrize(("asked", "forged"), FORGED)
def test_a_forged_value_grants_nothing(asked: str, forged: list[str]) -> None:
    assert granted(asked, *forged) == []


def test_a_forged_value_beside_a_real_one_adds_nothing() -> None:
    asked = "openid patient/*.rs"
    assert granted(asked, "patient/Patient.rs", "patient/*.rs", "user/*.rs", "offline_access") == [
        "openid",
        "patient/Patient.rs",
    ]


CONNECTED = [
    # asked                                   ticked                granted
    ("offline_access patient/Goal.rs",        ["offline_access"],   ["offline_access"]),
    ("offline_access patient/Goal.rs",        ["patient/Goal.rs"],  ["patient/Goal.rs"]),
    ("offline_access openid",                 [],                   ["openid"]),
    ("online_access openid launch/patient",   [],                   ["online_access", "openid", "launch/patient"]),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-04")
@pytest.mark.parametrize(("asked", "ticked", "expected"), CONNECTED)
def test_staying_connected_has_a_tick_of_its_own(asked: str, ticked: list[str], expected: list[str]) -> None:
    assert granted(asked, *ticked) == expected


@pytest.mark.requirement("CONSENT-01")
@pytest.mark.parametrize("kind", US_CORE_TYPES)
def test_each_type_can_be_declined_alone(kind: str) -> None:
    kept = [one for one in offered("patient/*.rs") if not one.startswith(f"patient/{kind}.")]
    scopes = choose(parse_registered("patient/*.rs"), frozenset(kept))
    assert kind not in {scope.resource for scope in scopes if isinstance(scope, ResourceScope)}
    assert [str(scope) for scope in scopes] == kept


@pytest.mark.parametrize("text", [*ASKED, *(asked for asked, _ in OFFERED)])
def test_the_parts_of_a_scope_permit_no_more_than_it_does(text: str) -> None:
    for scope in parse_registered(text):
        if isinstance(scope, ResourceScope):
            assert parts(scope)
            assert all(scope.covers(part) for part in parts(scope))


RESOURCE = st.sampled_from(
    [
        *("patient/*.rs", "patient/*.read", "patient/*.r", "patient/*.cruds", "user/*.rs", "patient/*.rs?_tag=a"),
        *("patient/Observation.rs", "patient/Observation.read", "patient/Observation.cr", "patient/Observation.*"),
        *(f"patient/Observation.r?{LAB}", f"patient/Observation.rs?{LAB}&code=718-7", "patient/Observation.rs?_tag=a"),
        *("patient/Condition.s", "user/Condition.rs", f"patient/Condition.rs?{PROBLEMS}"),
        *("patient/Goal.r", "patient/Goal.rs", "patient/Goal.cr", "patient/Goal.write", "patient/Binary.rs"),
    ]
)
NAMED = st.sampled_from(["openid", "fhirUser", "launch/patient", "offline_access", "__special"])
FORGERIES = st.sampled_from(["patient/*.rs", "patient/Goal.cruds", "patient/Observation.rs", "user/*.cruds", "", "rs"])


def resource_scopes(scopes: Iterable[Scope]) -> list[ResourceScope]:
    return [scope for scope in scopes if isinstance(scope, ResourceScope)]


@st.composite
def answers(draw: st.DrawFn) -> tuple[tuple[Scope, ...], frozenset[str]]:
    """Return what was asked and what a form brought: some ticks, all but some, or some and all of one scope's."""
    asked = parse_registered(" ".join(draw(st.lists(RESOURCE | NAMED, min_size=1, max_size=4))))
    values = [one.value for one in permissions(asked)]
    some = draw(st.sets(st.sampled_from(values), max_size=4)) if values else set()
    whole = draw(st.sampled_from(resource_scopes(asked))) if values else None
    of_whole = {one.value for one in permissions(asked) if whole and any(map(one.scope.covers, parts(whole)))}
    ticked = draw(st.sampled_from([some, set(values) - some, of_whole | some]))
    return asked, frozenset(ticked | draw(st.sets(FORGERIES | NAMED, max_size=2)))


@settings(deadline=None, max_examples=300)
@given(answers())
@pytest.mark.requirement("CONSENT-08")
def test_whatever_is_ticked_nothing_is_granted_that_was_not_asked_and_allowed(
    answer: tuple[tuple[Scope, ...], frozenset[str]],
) -> None:
    asked, form = answer
    wanted = resource_scopes(asked)
    ticked = [one.scope for one in permissions(asked) if one.value in form]
    for scope in resource_scopes(choose(asked, form)):
        assert any(one.covers(scope) for one in wanted)
        is_whole = scope in wanted and all(any(one.covers(part) for one in ticked) for part in parts(scope))
        assert is_whole or scope in ticked


@settings(deadline=None, max_examples=300)
@given(answers())
def test_what_was_declined_is_not_granted_unless_something_ticked_includes_it(
    answer: tuple[tuple[Scope, ...], frozenset[str]],
) -> None:
    asked, form = answer
    ticks = [one.scope for one in permissions(asked)]
    ticked = [one for one in ticks if str(one) in form]
    for scope in resource_scopes(choose(asked, form)):
        for refused in set(ticks) - set(ticked):
            shared = scope.intersect(refused)
            assert shared is None or any(one.covers(shared) for one in ticked)


@settings(deadline=None)
@given(answers())
def test_whatever_is_ticked_is_granted(answer: tuple[tuple[Scope, ...], frozenset[str]]) -> None:
    asked, form = answer
    scopes = resource_scopes(choose(asked, form))
    assert all(any(scope.covers(one.scope) for scope in scopes) for one in permissions(asked) if one.value in form)


@settings(deadline=None)
@given(answers())
def test_what_is_not_about_records_needs_no_tick_but_for_staying_connected(
    answer: tuple[tuple[Scope, ...], frozenset[str]],
) -> None:
    asked, form = answer
    chosen = choose(asked, form)
    left_out = set() if "offline_access" in form else {"offline_access"}
    if "offline_access" in {str(scope) for scope in chosen}:
        left_out.add("online_access")  # The one includes the other.
    if resource_scopes(asked) and not resource_scopes(chosen):
        left_out.add("launch/patient")
    kept = [scope for scope in asked if isinstance(scope, NamedScope) and scope.name not in left_out]
    assert [scope for scope in chosen if isinstance(scope, NamedScope)] == kept


def test_an_app_that_may_see_nothing_is_not_told_whose_record_it_is() -> None:
    assert granted("launch/patient openid patient/Goal.rs") == ["openid"]
    assert granted("launch/patient openid") == ["launch/patient", "openid"]


@settings(deadline=None)
@given(answers(), st.data())
def test_one_tick_more_never_grants_less(answer: tuple[tuple[Scope, ...], frozenset[str]], data: st.DataObject) -> None:
    asked, form = answer
    values = [one.value for one in permissions(asked)] or ["offline_access"]
    fewer = resource_scopes(choose(asked, form))
    more = resource_scopes(choose(asked, form | {data.draw(st.sampled_from(values))}))
    assert all(any(wide.covers(narrow) for wide in more) for narrow in fewer)


@pytest.mark.parametrize(
    ("ticked", "granted"),
    [({"offline_access"}, ["openid", "offline_access"]), (set(), ["openid", "online_access"])],
)
def test_declining_to_stay_connected_leaves_access_while_signed_in(ticked: set[str], granted: list[str]) -> None:
    asked = parse_registered("openid offline_access online_access")
    assert [str(scope) for scope in choose(asked, ticked)] == granted


DECLINED = [
    # asked                               ticked                         declined
    ("openid patient/Goal.rs",            ["patient/Goal.rs"],           ""),
    ("openid patient/Goal.rs",            [],                            "patient/Goal.rs"),
    ("patient/Goal.rs offline_access",    ["patient/Goal.rs"],           "offline_access"),
    ("patient/Observation.rs",            ALL_OBSERVATIONS,              ""),
    ("patient/Observation.rs",            ALL_OBSERVATIONS[1:],          ALL_OBSERVATIONS[0]),
    ("patient/Observation.rs",            [],                            "patient/Observation.rs"),
    ("online_access offline_access",      ["offline_access"],            ""),
    ("online_access offline_access",      [],                            "offline_access"),
    ("patient/Goal.cr patient/Goal.rs",   ["patient/Goal.rs"],           "patient/Goal.cr"),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-12")
@pytest.mark.parametrize(("asked", "ticked", "expected"), DECLINED)
def test_what_was_declined_is_told_as_whole_scopes_or_the_parts_that_are_missing(
    asked: str, ticked: list[str], expected: str
) -> None:
    wanted = parse_registered(asked)
    assert " ".join(map(str, declined(wanted, choose(wanted, frozenset(ticked))))) == expected


def test_what_is_sensitive_has_a_tick_of_its_own_whatever_it_is_part_of() -> None:
    asked, sensitive = parse_registered("patient/*.rs"), ["ImagingStudy", "Goal", "Observation.sdoh"]
    ticks = [one.value for one in permissions(asked, sensitive)]
    assert ticks == [*offered("patient/*.rs"), "patient/ImagingStudy.rs"]
    assert choose(asked, frozenset(ticks), sensitive) == asked
    without = [str(one) for one in choose(asked, frozenset(ticks[:-1]), sensitive)]
    assert without == ticks[:-1]
    assert [str(one) for one in declined(asked, parse_registered(" ".join(without)), sensitive)] == ticks[-1:]


SOCIAL = "http://terminology.hl7.org/CodeSystem/observation-category|social-history"
SENSITIVE = [
    # scope                                              what the tenant counts as sensitive     is it
    ("patient/Goal.rs",                                  [],                                     False),
    ("patient/Goal.rs",                                  ["Goal"],                               True),
    ("patient/Goal.rs?lifecycle-status=active",          ["Goal"],                               True),
    ("patient/Goal.rs",                                  ["Observation.social-history"],         False),
    (f"patient/Observation.rs?category={SOCIAL}",        ["Observation.social-history"],         True),
    (f"patient/Observation.rs?{LAB}",           ["Observation.social-history"],         False),
    (f"patient/Observation.rs?category={SOCIAL}",        ["Condition.social-history"],           False),
    ("patient/Observation.rs",                           ["Observation.social-history"],         True),
    ("patient/Observation.rs?code=718-7",                ["Observation.social-history"],         True),
    (f"patient/Observation.rs?{LAB}&code=1",    ["Observation.social-history"],         False),
    # Several at once, all codes of a system, and what nobody knows: each may reach it.
    (f"patient/Observation.rs?category={SOCIAL},{OBSERVATION[0]}", ["Observation.social-history"], True),
    (f"patient/Observation.rs?{LAB},{SOCIAL}",           ["Observation.social-history"],         True),
    ("patient/Observation.rs?category=social-history,laboratory", ["Observation.social-history"], True),
    (f"patient/Observation.rs?category={SOCIAL.partition('|')[0]}|", ["Observation.social-history"], True),
    ("patient/Observation.rs?category=else",             ["Observation.social-history"],         True),
    (f"patient/Observation.rs?{LAB},{OBSERVATION[4]}",   ["Observation.social-history"],         False),
    ("patient/*.rs",                                     ["Goal"],                               True),
    ("patient/*.rs",                                     [],                                     False),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sensitive", "expected"), SENSITIVE)
def test_what_a_tenant_counts_as_sensitive_is_known(text: str, sensitive: list[str], expected: bool) -> None:
    scope = parse_scope(text)
    assert isinstance(scope, ResourceScope)
    assert is_sensitive(scope, sensitive) is expected
