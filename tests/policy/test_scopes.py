"""The scope grammar.  SMART 2.2 scopes-and-launch-context; SMART 1.0 scopes."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartauth.errors import InvalidScope
from smartauth.policy.advertising import advertised_scopes
from smartauth.policy.scopes import (
    NamedScope,
    ResourceScope,
    as_uri,
    each_once,
    parse_resource_scope,
    parse_scope,
    shortest,
    split_scope,
)

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"

READABLE = [
    # text                              level      type           letters
    ("patient/Observation.rs",          "patient", "Observation", "rs"),
    ("patient/Observation.r",           "patient", "Observation", "r"),
    ("user/*.cruds",                    "user",    "*",           "cruds"),
    ("system/Patient.cud",              "system",  "Patient",     "cud"),
    ("patient/Observation.read",        "patient", "Observation", "rs"),
    ("patient/Observation.write",       "patient", "Observation", "cud"),
    ("system/*.*",                      "system",  "*",           "cruds"),
    ("user/Patient.ds",                 "user",    "Patient",     "ds"),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-01", "SCOPE-03", "SCOPE-04")
@pytest.mark.parametrize(("text", "level", "resource", "letters"), READABLE)
def test_a_scope_in_either_dialect_is_read_and_written_back(text: str, level: str, resource: str, letters: str) -> None:
    scope = parse_resource_scope(text)
    assert (scope.level, scope.resource, scope.permissions) == (level, resource, letters)
    assert str(scope) == text


UNREADABLE = [
    "patient/Observation.",
    "patient/Observation",
    "patient/Observation.dus",
    "patient/Observation.rr",
    "patient/Observation.rsx",
    "patient/Observation.read-only",
    "patient/Observation.READ",
    "patient/observation.rs",
    "Patient/Observation.rs",
    "PATIENT/Observation.rs",
    "patient/Pony.rs",
    "patient/DomainResource.rs",
    "patient/*.rs ",
    "patient/**.rs",
    "group/Observation.rs",
    "patient/Observation.rs?",
    "patient/Observation.rs?category",
    "patient/Observation.rs?category=",
    "patient/Observation.rs?=x",
    "patient/Observation.rs?category=x&",
    "patient/Observation.rs?category:in=x",
    "patient/Observation.rs?subject.name=x",
    "patient/Observation.rs?_filter=x",
    "patient/Observation.rs?_has:Group:member:_id=1",
    "patient/Observation.rs?value-quantity=5",
    "patient/Observation.rs?nothing=1",
    "patient/Observation.rs?category=%zz",
    "patient/Observation.rs?category=%ff",
    "patient/Observation.rs?category=%00",
    "patient/*.rs?category=x",
    "patient/Observation.rs?category=http://terminology.hl7.org//CodeSystem-observation-category|social-history",
    "patient/Observation.rs?category=http%3A%2F%2Fterminology.hl7.org%2FCodeSystem-observation-category%7Csurvey",
    "patient/Observation.rs\n",
    "launch/Patient",
    "launch/",
    "launch/list?role=",
    "launch/list?role=https://a.example/b&role=https://a.example/c",
    "Openid",
    "address",
    "",
]


@pytest.mark.requirement("SCOPE-01", "SCOPE-02", "SCOPE-16", "CTX-17")
@pytest.mark.parametrize("text", UNREADABLE)
def test_what_does_not_follow_the_grammar_is_refused_whole(text: str) -> None:
    with pytest.raises(InvalidScope) as refused:
        parse_scope(text)
    assert refused.value.refusal.rule == "scope.grammar"


NAMED = [
    ("openid", "identity"),
    ("fhirUser", "identity"),
    ("profile", "identity"),
    ("offline_access", "refresh"),
    ("online_access", "refresh"),
    ("launch", "context"),
    ("launch/patient", "context"),
    ("launch/imagingstudy?role=https://example.org/prior", "context"),
    ("__introspect", "extension"),
    ("https://example.org/scopes/special", "extension"),
]


@pytest.mark.parametrize(("text", "kind"), NAMED)
def test_scopes_that_are_not_about_resources_are_known_by_name(text: str, kind: str) -> None:
    assert parse_scope(text) == NamedScope(text, kind)  # type: ignore[arg-type]


@pytest.mark.requirement("SCOPE-17", "T-55")
def test_an_escaped_bar_and_a_plain_one_are_the_same_constraint() -> None:
    plain = parse_resource_scope(f"patient/Observation.rs?category={LAB}")
    escaped = parse_resource_scope(f"patient/Observation.rs?category={LAB.replace('|', '%7C')}")
    assert plain == escaped
    assert plain.filters == (("category", LAB),)
    assert str(escaped) == f"patient/Observation.rs?category={LAB}"


def test_several_constraints_are_kept_in_one_order() -> None:
    one = parse_resource_scope(f"patient/Observation.rs?code=718-7&category={LAB}")
    other = parse_resource_scope(f"patient/Observation.rs?category={LAB}&code=718-7")
    assert one == other


COVERING = [
    # wider                       narrower                                     covers
    ("patient/*.rs",              "patient/Observation.rs",                    True),
    ("patient/*.rs",              f"patient/Observation.rs?category={LAB}",    True),
    ("patient/Observation.rs",    "patient/Observation.r",                     True),
    ("patient/Observation.read",  "patient/Observation.rs",                    True),
    ("patient/Observation.rs",    "patient/*.rs",                              False),
    ("patient/Observation.r",     "patient/Observation.rs",                    False),
    ("patient/Observation.rs",    "user/Observation.rs",                       False),
    (f"patient/Observation.rs?category={LAB}", "patient/Observation.rs",       False),
]  # fmt: skip


@pytest.mark.parametrize(("wider", "narrower", "covers"), COVERING)
def test_covering_means_permitting_at_least_as_much(wider: str, narrower: str, covers: bool) -> None:
    assert parse_resource_scope(wider).covers(parse_resource_scope(narrower)) is covers


SHORTEST = [
    ("patient/Observation.r patient/Observation.s", "patient/Observation.rs"),
    ("patient/Observation.s patient/Observation.r", "patient/Observation.rs"),
    ("patient/*.rs patient/Observation.r", "patient/*.rs"),
    ("patient/Patient.r patient/Observation.rs", "patient/Patient.r patient/Observation.rs"),
    (f"patient/Observation.rs patient/Observation.rs?category={LAB}", "patient/Observation.rs"),
]


@pytest.mark.requirement("SCOPE-07")
@pytest.mark.parametrize(("long", "short"), SHORTEST)
def test_the_same_permissions_are_said_with_fewer_scopes(long: str, short: str) -> None:
    assert " ".join(map(str, shortest(map(parse_resource_scope, split_scope(long))))) == short


ONCE = [
    ("patient/Goal.read patient/Goal.read", "patient/Goal.read"),
    ("patient/Goal.read openid patient/Goal.rs openid", "patient/Goal.rs openid"),
    ("patient/Goal.rs patient/Goal.read", "patient/Goal.rs"),
    ("patient/Goal.read patient/CarePlan.read patient/*.rs", "patient/Goal.read patient/CarePlan.read patient/*.rs"),
]


@pytest.mark.requirement("SCOPE-05")
@pytest.mark.parametrize(("repeated", "once"), ONCE)
def test_what_came_in_both_dialects_stands_in_v2(repeated: str, once: str) -> None:
    assert " ".join(map(str, each_once(map(parse_scope, repeated.split())))) == once


LEVELS = st.sampled_from(["patient", "user", "system"])
TYPES = st.sampled_from(["*", "Patient", "Observation", "Condition"])
LETTERS = st.sets(st.sampled_from("cruds"), min_size=1).map(lambda some: "".join(x for x in "cruds" if x in some))
FILTERS = st.sets(st.sampled_from([("_tag", "a"), ("_id", "1,2"), ("_tag", "x|y&z=%")]), max_size=2)
SCOPES = st.builds(
    lambda lev, typ, let, fil: ResourceScope(lev, typ, let, tuple(sorted(fil))), LEVELS, TYPES, LETTERS, FILTERS
)


@given(SCOPES)
def test_writing_and_reading_a_scope_loses_nothing(scope: ResourceScope) -> None:
    assert parse_resource_scope(str(scope)) == scope


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidScope):
        # A scope in v1 letters may come back in v2 ones; whatever was read reads the same again.
        assert parse_scope(str(parse_scope(text))) == parse_scope(text)


@given(SCOPES, SCOPES)
def test_an_intersection_permits_no_more_than_either(one: ResourceScope, other: ResourceScope) -> None:
    both = one.intersect(other)
    if both is not None:
        assert one.covers(both)
        assert other.covers(both)
    reverse = other.intersect(one)
    assert both == reverse


URIS = [
    # short                                        URI
    ("patient/*.r",                                "http://smarthealthit.org/fhir/scopes/patient/*.r"),
    ("patient/*.read",                             "http://smarthealthit.org/fhir/scopes/patient/*.read"),
    (f"user/Observation.rs?category={LAB}",        f"http://smarthealthit.org/fhir/scopes/user/Observation.rs?category={LAB}"),
    ("launch/patient",                             "http://smarthealthit.org/fhir/scopes/launch/patient"),
    ("fhirUser",                                   "http://smarthealthit.org/fhir/scopes/fhirUser"),
    ("online_access",                              "http://smarthealthit.org/fhir/scopes/online_access"),
    ("__introspect",                               "http://smarthealthit.org/fhir/scopes/__introspect"),
    ("openid",                                     "http://openid.net/specs/openid-connect-core-1_0#openid"),
    ("profile",                                    "http://openid.net/specs/openid-connect-core-1_0#profile"),
    ("offline_access",                             "http://openid.net/specs/openid-connect-core-1_0#offline_access"),
    ("https://hospital.example/scopes/beds",       "https://hospital.example/scopes/beds"),
]  # fmt: skip


@pytest.mark.requirement("SCOPE-22")
@pytest.mark.parametrize(("short", "uri"), URIS)
def test_a_scope_has_one_uri_that_means_the_same(short: str, uri: str) -> None:
    scope = parse_scope(short)
    assert as_uri(scope) == uri
    assert parse_scope(uri) == scope
    assert str(parse_scope(uri)) == short


NO_URIS = [
    "http://smarthealthit.org/fhir/scopes/openid",
    "http://smarthealthit.org/fhir/scopes/patient/Pony.r",
    "http://smarthealthit.org/fhir/scopes/",
    "http://smarthealthit.org/fhir/scopes/http://smarthealthit.org/fhir/scopes/launch",
    "http://smarthealthit.org/fhir/scopes/https://hospital.example/scopes/beds",
    "http://openid.net/specs/openid-connect-core-1_0#fhirUser",
    "http://openid.net/specs/openid-connect-core-1_0#patient/*.r",
    "http://openid.net/specs/openid-connect-core-1_0#",
]


@pytest.mark.requirement("SCOPE-22")
@pytest.mark.parametrize("text", NO_URIS)
def test_what_stands_behind_a_known_prefix_must_be_known(text: str) -> None:
    with pytest.raises(InvalidScope):
        parse_scope(text)


@pytest.mark.parametrize("level", ["patient", "user", "system"])
def test_every_advertised_scope_is_readable(level: str) -> None:
    scopes = advertised_scopes(level)  # type: ignore[arg-type]
    assert [str(parse_resource_scope(text)) for text in scopes] == list(scopes)
    assert len(scopes) == len(set(scopes)) > 30
