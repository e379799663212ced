"""What a client may have at a tenant, and what it gets of what it asks.

SCOPE-02, -04, -05, -07, -08, -10, -11, -16, -19, -20, -25, -26, -27; REFRESH-03, -08, -09; AUTHZ-07, -12; CONSENT-08.
SMART 2.2 scopes-and-launch-context; RFC 6749 §3.3, §6.
"""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartauth.errors import InvalidScope
from smartauth.policy.granting import (
    MOST_ASKED,
    allowed,
    grant_service_scopes,
    narrow_for_refresh,
    needs_patient,
    parse_registered,
    screen_again,
    screen_app_scopes,
    tells_context,
    within,
    within_rights,
)
from smartauth.policy.scopes import ResourceScope

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"
PROBLEMS = "http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item"
CONCERNS = "http://hl7.org/fhir/us/core/CodeSystem/condition-category|health-concern"

ALLOWED = [
    # registered                                  allowed by the tenant         the most it may have
    ("system/*.rs",                               "",                           "system/*.rs"),
    ("system/*.rs",                               "   ",                        "system/*.rs"),
    ("system/*.rs",                               "system/Patient.r",           "system/Patient.r"),
    ("system/Patient.rs",                         "system/*.cruds",             "system/Patient.rs"),
    ("system/Patient.rs openid",                  "system/Patient.rs",          "system/Patient.rs"),
    ("system/Patient.rs",                         "system/Observation.rs",      ""),
    ("system/Patient.rs",                         "unreadable",                 ""),
    ("system/Observation.rs",                     f"system/Observation.rs?category={LAB}",
     f"system/Observation.rs?category={LAB}"),
    ("system/Patient.read",                       "system/*.rs",                "system/Patient.read"),
    ("system/*.*",                                "system/*.rs",                "system/*.read"),
]  # fmt: skip


@pytest.mark.parametrize(("registered", "activated", "most"), ALLOWED)
def test_a_tenant_narrows_a_registration(registered: str, activated: str, most: str) -> None:
    assert " ".join(map(str, allowed(registered, activated))) == most


def test_a_constrained_registration_constrains_what_is_asked() -> None:
    permitted = parse_registered(f"system/Observation.rs?category={LAB} system/Patient.r")
    result = grant_service_scopes("system/*.rs", permitted)
    assert result.scope == f"system/Observation.rs?category={LAB} system/Patient.r"


@pytest.mark.requirement("SCOPE-07")
def test_letters_from_two_registrations_are_joined() -> None:
    permitted = parse_registered("system/Patient.r system/Patient.s")
    assert grant_service_scopes("system/Patient.rs", permitted).scope == "system/Patient.rs"


def test_what_is_dropped_is_told_with_its_rule() -> None:
    result = grant_service_scopes("system/Patient.r launch user/*.rs __x nonsense", parse_registered("system/*.r"))
    assert result.scope == "system/Patient.r"
    assert [(one.scope, one.rule) for one in result.dropped] == [
        ("launch", "scope.user_only"),
        ("user/*.rs", "scope.level"),
        ("__x", "scope.not_registered"),
        ("nonsense", "scope.grammar"),
    ]


def test_a_granted_scope_shrinks_with_the_registration() -> None:
    assert within(parse_registered("system/Patient.rs"), parse_registered("system/Patient.r")) == parse_registered(
        "system/Patient.r"
    )


PERMITTED = (
    "openid fhirUser profile launch launch/patient launch/encounter offline_access online_access __special "
    "patient/Patient.rs patient/Observation.r patient/Observation.s user/*.cruds system/Patient.rs "
    f"patient/Condition.rs?category={PROBLEMS}"
)

SCREENED = [
    # requested                                  what the user is asked                     dropped: rule
    ("openid fhirUser launch/patient",           "openid fhirUser launch/patient",          []),
    ("patient/Patient.rs patient/Patient.rs",    "patient/Patient.rs",                      []),
    ("  openid   fhirUser ",                     "openid fhirUser",                         []),
    # As it was asked, in its dialect; within a wider registration or the sum of several.
    ("patient/Patient.read",                     "patient/Patient.read",                    []),
    ("patient/Patient.r",                        "patient/Patient.r",                       []),
    ("patient/Observation.rs",                   "patient/Observation.rs",                  []),
    ("patient/Observation.read",                 "patient/Observation.read",                []),
    ("user/Goal.write user/*.*",                 "user/Goal.write user/*.*",                []),
    (f"patient/Observation.rs?category={LAB}",   f"patient/Observation.rs?category={LAB}",  []),
    # Narrowed to what is registered: letters, types, filters.
    ("patient/Patient.cruds",                    "patient/Patient.rs",                      []),
    ("patient/Patient.*",                        "patient/Patient.read",                    []),
    ("patient/*.rs",
     f"patient/Patient.rs patient/Observation.rs patient/Condition.rs?category={PROBLEMS}", []),
    ("patient/*.s",
     f"patient/Patient.s patient/Observation.s patient/Condition.s?category={PROBLEMS}",    []),
    ("patient/Condition.read",                   f"patient/Condition.rs?category={PROBLEMS}", []),
    (f"patient/Condition.rs?category={CONCERNS}",
     f"patient/Condition.rs?category={CONCERNS}&category={PROBLEMS}",                       []),
    # Nobody knows them, or nobody can read them.
    ("openid email nonsense",                    "openid",                                  ["grammar", "grammar"]),
    ("openid patient/Patient.sr",                "openid",                                  ["grammar"]),
    ("openid Patient/Patient.rs",                "openid",                                  ["grammar"]),
    ("openid patient/Observation.rs?code:in=x",  "openid",                                  ["grammar"]),
    # Permitted, and of no use here.
    ("fhirUser profile patient/Patient.r",       "patient/Patient.r",                       ["no_use_here"] * 2),
    ("openid system/Patient.rs",                 "openid",                                  ["no_use_here"]),
    ("launch openid launch/encounter",           "openid launch/encounter",                 ["no_use_here"]),
    # The better of two ways to stay connected, in whichever order they were asked for.
    ("openid online_access",                     "openid online_access",                    []),
    ("openid offline_access online_access",      "openid offline_access online_access",     []),
    ("openid __special",                         "openid __special",                        []),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-18", "SCOPE-19")
@pytest.mark.parametrize(("requested", "asked", "rules"), SCREENED)
def test_an_app_asks_the_user_within_what_it_may_have(requested: str, asked: str, rules: list[str]) -> None:
    result = screen_app_scopes(requested, parse_registered(PERMITTED), may_refresh=True)
    assert result.scope == asked
    assert [one.rule for one in result.dropped] == [f"scope.{rule}" for rule in rules]
    assert all(one.reason for one in result.dropped)


def test_an_app_without_refresh_tokens_cannot_ask_to_stay_connected() -> None:
    requested = "openid offline_access online_access"
    result = screen_app_scopes(requested, parse_registered(PERMITTED), may_refresh=False)
    assert result.scope == "openid"
    assert [one.scope for one in result.dropped] == ["offline_access", "online_access"]


NOT_TO_BE_HAD = [
    # requested                                  permitted                     rule
    ("openid patient/Goal.rs",                   "openid patient/Patient.rs",  "scope.not_registered"),
    ("patient/Patient.cud",                      "patient/Patient.rs",         "scope.not_registered"),
    ("user/Patient.rs",                          "patient/Patient.rs",         "scope.not_registered"),
    ("openid offline_access",                    "openid",                     "scope.not_registered"),
    ("openid launch/patient",                    "openid",                     "scope.not_registered"),
    ("openid launch",                            "openid",                     "scope.not_registered"),
    ("openid __special",                         "openid",                     "scope.not_registered"),
    ("openid system/Patient.rs",                 "openid",                     "scope.not_registered"),
    ("openid",                                   "",                           "scope.not_registered"),
    ("nonsense patient/Pony.rs patient/*.x",     "patient/*.rs",               "scope.nothing_granted"),
    ("system/Patient.rs",                        "system/*.rs",                "scope.nothing_granted"),
    ("fhirUser",                                 "openid fhirUser",            "scope.nothing_granted"),
    ("profile",                                  "openid profile",             "scope.nothing_granted"),
    ("launch",                                   "launch",                     "scope.nothing_granted"),
    ("",                                         "openid",                     "scope.nothing_granted"),
]  # fmt: skip


@pytest.mark.parametrize(("requested", "permitted", "rule"), NOT_TO_BE_HAD)
def test_an_app_that_asks_beyond_its_registration_or_for_nothing_is_refused(
    requested: str, permitted: str, rule: str
) -> None:
    with pytest.raises(InvalidScope) as refused:
        screen_app_scopes(requested, parse_registered(permitted), may_refresh=True)
    assert refused.value.refusal.rule == rule


REGISTERED_WILDCARDS = [
    # registered       requested                                     covered
    ("patient/*.rs",   "patient/Patient.rs",                         True),
    ("patient/*.rs",   "patient/Patient.read",                       True),
    ("patient/*.read", "patient/Patient.rs",                         True),
    ("patient/*.rs",   f"patient/Observation.rs?category={LAB}",     True),
    ("patient/*.rs",   f"patient/Observation.s?category={LAB}",      True),
    ("patient/*.rs",   "patient/*.rs",                               True),
    ("user/*.*",       "user/Binary.cruds",                          True),
    ("patient/*.rs",   "patient/Patient.u",                          False),
    ("patient/*.rs",   "user/Patient.rs",                            False),
    (f"patient/Observation.rs?category={LAB}", "patient/Observation.rs", False),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-25")
@pytest.mark.parametrize(("registered", "requested", "covered"), REGISTERED_WILDCARDS)
def test_a_registered_wildcard_covers_every_narrower_request(registered: str, requested: str, covered: bool) -> None:
    asked = parse_registered(requested)
    assert (within(asked, parse_registered(registered)) == asked) is covered


EVERY_KIND = "openid fhirUser profile launch/patient offline_access __special patient/Patient.rs user/*.rs"

RIGHTS = [
    # patient   rights   known    what can mean anything
    (True,      True,    True,    EVERY_KIND),
    (False,     True,    True,    "openid fhirUser profile offline_access __special user/*.rs"),
    (True,      False,   True,    "openid fhirUser profile launch/patient offline_access __special patient/Patient.rs"),
    (True,      True,    False,   "openid launch/patient offline_access __special patient/Patient.rs user/*.rs"),
    (False,     False,   False,   "openid offline_access __special"),
]  # fmt: skip


@pytest.mark.parametrize(("has_patient", "has_rights", "is_known", "possible"), RIGHTS)
def test_a_scope_that_can_mean_nothing_for_this_user_is_left_out(
    has_patient: bool, has_rights: bool, is_known: bool, possible: str
) -> None:
    kept = within_rights(
        parse_registered(EVERY_KIND), has_patient=has_patient, has_rights=has_rights, is_known=is_known
    )
    assert kept == parse_registered(possible)


FROM_EHR = [
    # asked                                          in context                 kept
    ("launch openid",                                set(),                     "launch openid"),
    ("launch launch/patient launch/encounter",       {"patient", "encounter"},
     "launch launch/patient launch/encounter"),
    ("launch launch/patient launch/encounter",       {"patient"},               "launch launch/patient"),
    ("launch launch/imagingstudy",                   {"imagingstudy"},          "launch launch/imagingstudy"),
    ("launch launch/list?role=https://a/b",          {"list"},                  "launch launch/list?role=https://a/b"),
    ("launch launch/imagingstudy launch/list",       {"list"},                  "launch launch/list"),
]  # fmt: skip


@pytest.mark.requirement("CTX-16", "CTX-17")
@pytest.mark.parametrize(("asked", "there", "kept"), FROM_EHR)
def test_context_scopes_are_kept_for_what_the_ehr_told(asked: str, there: set[str], kept: str) -> None:
    screened = screen_app_scopes(asked, parse_registered(asked), may_refresh=True, from_ehr=True)
    assert screened.scope == asked
    possible = within_rights(
        screened.granted, has_patient="patient" in there, has_rights=True, is_known=True, in_context=there
    )
    assert possible == parse_registered(kept)


TELLING = [
    ("launch openid", True),
    ("launch/patient", True),
    ("patient/Observation.rs", True),
    ("user/*.rs launch/encounter", True),  # one that was picked here
    ("openid fhirUser", False),
]


@pytest.mark.requirement("CTX-20")
@pytest.mark.parametrize(("scopes", "told"), TELLING)
def test_who_asked_for_the_launch_or_reads_one_patient_is_told_of_the_context(scopes: str, told: bool) -> None:
    assert tells_context(parse_registered(scopes)) is told


NEEDING = [
    ("launch/patient", True),
    ("patient/Observation.rs", True),
    ("openid patient/*.c", True),
    ("openid fhirUser offline_access", False),
    ("user/*.cruds", False),
    ("launch launch/encounter", False),  # The EHR says which, or there is none.
    ("launch/encounter", True),
    ("system/Patient.rs", False),
    ("", False),
]


@pytest.mark.parametrize(("scopes", "needed"), NEEDING)
def test_a_patient_is_chosen_when_asked_for_or_implied(scopes: str, needed: bool) -> None:
    assert needs_patient(parse_registered(scopes)) is needed


LABS, LABS_READ = f"patient/Observation.rs?category={LAB}", f"patient/Observation.r?category={LAB}"

REFRESHED = [
    # granted                                 asked in the refresh                        the new access token
    ("openid patient/Patient.rs",             "",                                         "openid patient/Patient.rs"),
    ("openid patient/Patient.rs",             "   ",                                      "openid patient/Patient.rs"),
    ("openid patient/Patient.rs",             "openid patient/Patient.rs",                "openid patient/Patient.rs"),
    # In meaning: order, repetition, dialect, escapes.
    ("openid patient/Patient.rs",             "patient/Patient.rs openid",                "patient/Patient.rs openid"),
    ("openid patient/Patient.rs",             "openid  openid",                           "openid"),
    ("patient/Patient.read",                  "patient/Patient.rs",                       "patient/Patient.rs"),
    ("patient/Patient.rs",                    "patient/Patient.read",                     "patient/Patient.read"),
    ("patient/Patient.cruds",                 "patient/Patient.*",                        "patient/Patient.*"),
    ("patient/Patient.rs",                    "patient/Patient.read patient/Patient.rs",  "patient/Patient.rs"),
    (LABS,                                    LABS.replace("|", "%7C"),                   LABS),
    # A part: fewer scopes, fewer letters, one type, one kind, a narrower kind.
    ("openid offline_access user/Goal.rs",    "user/Goal.rs",                             "user/Goal.rs"),
    ("patient/Patient.rs",                    "patient/Patient.r",                        "patient/Patient.r"),
    ("patient/Patient.*",                     "patient/Patient.write",                    "patient/Patient.write"),
    ("patient/*.rs",                          "patient/Patient.s",                        "patient/Patient.s"),
    ("patient/Observation.rs",                LABS,                                       LABS),
    ("patient/*.read",                        LABS_READ,                                  LABS_READ),
    (LABS,                                    LABS_READ,                                  LABS_READ),
    (LABS,                                    f"{LABS}&code=1",                           f"{LABS}&code=1"),
    # Factored another way.
    ("user/Goal.r user/Goal.s",               "user/Goal.rs",                             "user/Goal.rs"),
    ("user/Goal.r user/Goal.s",               "user/Goal.read",                           "user/Goal.read"),
    ("user/Goal.rs",                          "user/Goal.s user/Goal.r",                  "user/Goal.s user/Goal.r"),
    ("user/Goal.rs user/Goal.cud",            "user/Goal.*",                              "user/Goal.*"),
    ("user/*.r user/Goal.s",                  "user/Goal.rs",                             "user/Goal.rs"),
    (f"patient/*.s {LABS_READ}",              LABS,                                       LABS),
    ("user/Goal.r user/Goal.s openid",        "openid user/Goal.rs",                      "openid user/Goal.rs"),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-20")
@pytest.mark.parametrize(("granted", "asked", "narrowed"), REFRESHED)
def test_a_refresh_may_ask_for_what_was_granted_or_a_part_of_it(granted: str, asked: str, narrowed: str) -> None:
    assert " ".join(map(str, narrow_for_refresh(asked, parse_registered(granted)))) == narrowed


BEYOND = [
    # granted                                      asked in the refresh
    ("patient/Patient.rs",                         "patient/Patient.cruds"),
    ("patient/Patient.r",                          "patient/Patient.read"),
    ("patient/Patient.r patient/Patient.s",        "patient/Patient.crs"),
    ("patient/Patient.rs",                         "user/Patient.rs"),
    ("patient/Patient.rs",                         "patient/*.rs"),
    ("patient/Patient.rs",                         "patient/Patient.rs patient/Goal.rs"),
    ("patient/*.r patient/Patient.s",              "patient/*.rs"),
    ("patient/*.r patient/Patient.s",              "patient/Goal.rs"),
    (LABS,                                         "patient/Observation.rs"),
    (f"patient/Condition.rs?category={PROBLEMS}",  f"patient/Condition.rs?category={CONCERNS}"),
    (f"patient/*.s {LABS_READ}",                   "patient/Observation.rs"),
    (f"patient/Observation.s {LABS_READ}",         "patient/Observation.rs"),
    ("openid",                                     "openid fhirUser"),
    ("openid",                                     "offline_access"),
    ("openid launch/patient",                      "openid launch"),
    ("patient/Patient.rs",                         "patient/Patient.sr"),
    ("patient/Patient.rs",                         "patient/Patient.rs nonsense"),
    ("",                                           "openid"),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-20")
@pytest.mark.parametrize(("granted", "asked"), BEYOND)
def test_a_refresh_that_asks_for_more_or_is_unreadable_is_refused_whole(granted: str, asked: str) -> None:
    with pytest.raises(InvalidScope) as refused:
        narrow_for_refresh(asked, parse_registered(granted))
    assert refused.value.refusal.rule in ("scope.exceeds_grant", "scope.grammar")
    assert refused.value.description == "The requested scope exceeds what was granted"


SCOPES = st.builds(
    lambda level, kind, letters, filters: ResourceScope(level, kind, letters, tuple(sorted(filters))),
    st.sampled_from(["patient", "user"]),
    st.sampled_from(["*", "Patient", "Observation"]),
    st.sampled_from(["c", "r", "s", "rs", "crs", "cruds"]),
    st.sets(st.sampled_from([("_tag", "a"), ("_id", "1")]), max_size=2),
)


@given(st.lists(SCOPES, max_size=4), SCOPES)
def test_a_refresh_gives_a_scope_exactly_when_every_letter_of_it_was_granted(
    granted: list[ResourceScope], asked: ResourceScope
) -> None:
    each = [replace(asked, permissions=letter) for letter in asked.permissions]
    was_granted = all(any(scope.covers(one) for scope in granted) for one in each)
    if was_granted:
        assert narrow_for_refresh(str(asked), tuple(granted)) == (asked,)
    else:
        with pytest.raises(InvalidScope):
            narrow_for_refresh(str(asked), tuple(granted))


@pytest.mark.requirement("SCOPE-10")
@given(st.lists(SCOPES, max_size=4), st.lists(SCOPES, max_size=4))
def test_nothing_within_a_limit_exceeds_it_or_what_was_asked(
    scopes: list[ResourceScope], limit: list[ResourceScope]
) -> None:
    for kept in within(scopes, limit):
        assert isinstance(kept, ResourceScope)
        for letter in kept.permissions:
            one = replace(kept, permissions=letter)
            assert any(scope.covers(one) for scope in scopes)
            assert any(scope.covers(one) for scope in limit)


def test_nobody_is_asked_about_more_scopes_than_a_page_can_hold() -> None:
    permitted = parse_registered("patient/*.rs")
    many = [f"patient/Observation.rs?code={number}" for number in range(MOST_ASKED + 1)]
    assert len(screen_app_scopes(" ".join(many[1:]), permitted, may_refresh=True).granted) == MOST_ASKED
    with pytest.raises(InvalidScope) as refused:
        screen_app_scopes(" ".join(many), permitted, may_refresh=True)
    assert refused.value.refusal.rule == "scope.too_many"


@pytest.mark.requirement("SCOPE-21")
def test_a_right_of_the_operators_is_only_for_clients_that_can_prove_who_they_are() -> None:
    permitted = parse_registered("openid __introspect")
    asked = "openid __introspect"
    assert screen_app_scopes(asked, permitted, may_refresh=True).scope == asked
    public = screen_app_scopes(asked, permitted, may_refresh=True, is_public=True)
    assert (public.scope, [one.scope for one in public.dropped]) == ("openid", ["__introspect"])


def test_the_right_to_begin_launches_is_for_no_user_to_allow() -> None:
    permitted = parse_registered("openid __launch")
    screened = screen_app_scopes("openid __launch", permitted, may_refresh=True)
    assert (screened.scope, [one.rule for one in screened.dropped]) == ("openid", ["scope.no_use_here"])
    assert grant_service_scopes("__launch", permitted).scope == "__launch"


LEFT = [
    # screened                                permitted by now                        refreshes  left
    ("openid fhirUser",                       "openid fhirUser patient/*.rs",         True,      "openid fhirUser"),
    ("openid fhirUser patient/*.rs",          "fhirUser patient/Goal.r",              True,      "patient/Goal.r"),
    ("offline_access patient/Goal.rs",        "offline_access patient/*.cruds",       False,     "patient/Goal.rs"),
    ("patient/Goal.rs patient/CarePlan.rs",   "patient/Goal.cruds user/CarePlan.rs",  True,      "patient/Goal.rs"),
    ("patient/Goal.rs",                       "user/*.cruds",                         True,      ""),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-08")
@pytest.mark.parametrize(("screened", "permitted", "may_refresh", "left"), LEFT)
def test_what_was_screened_shrinks_with_what_is_permitted(
    screened: str, permitted: str, may_refresh: bool, left: str
) -> None:
    found = screen_again(
        screened, parse_registered(permitted), may_refresh=may_refresh, is_public=False, from_ehr=False
    )
    assert " ".join(map(str, found)) == left
