"""What a client may have at a tenant, and what it gets of what it asks."""

import pytest

from smartauth.policy.granting import allowed, grant_service_scopes, parse_registered, within

LAB = "http://terminology.hl7.org/CodeSystem/observation-category|laboratory"

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
