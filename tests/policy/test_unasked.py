"""When nobody is asked: what may be remembered, what an administrator may decide, and what counts as the same request.

RFC 8252 §8.6; RFC 9700 §2.1; OIDC Core §3.1.2.1.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from smartauth.policy.unasked import may_be_remembered, may_be_skipped, same_scopes, stands_until

REMEMBERED = [
    # public  answered at                              prompts                          may be
    (False,   "https://a.example/cb",                  [],                              True),
    (True,    "https://a.example/cb",                  [],                              True),
    (False,   "com.example.app:/cb",                   [],                              True),
    (True,    "com.example.app:/cb",                   [],                              False),
    (True,    "http://127.0.0.1:5000/cb",              [],                              False),
    (False,   "https://a.example/cb",                  ["consent"],                     False),
    (False,   "https://a.example/cb",                  ["select_account"],              False),
    (False,   "https://a.example/cb",                  ["login"],                       True),
    (False,   "https://a.example/cb",                  ["none"],                        True),
    (False,   "https://a.example/cb",                  ["login", "consent"],            False),
]  # fmt: skip


@pytest.mark.requirement("CONSENT-09")
@pytest.mark.parametrize(("is_public", "redirect_uri", "prompts", "expected"), REMEMBERED)
def test_an_answer_is_remembered_for_apps_that_cannot_be_taken_for_others(
    is_public: bool, redirect_uri: str, prompts: list[str], expected: bool
) -> None:
    assert may_be_remembered(is_public=is_public, redirect_uri=redirect_uri, prompts=prompts) is expected


SKIPPED: dict[str, Any] = {
    "is_public": False,
    "from_ehr": True,
    "is_clinician": True,
    "allowed_scope": "launch user/*.rs",
    "reaches_sensitive": False,
    "prompts": [],
}
NOT_SKIPPED: list[dict[str, Any]] = [
    {"is_public": True},
    {"from_ehr": False},
    {"is_clinician": False},
    {"allowed_scope": " "},
    {"reaches_sensitive": True},
    {"prompts": ["consent"]},
    {"prompts": ["login", "select_account"]},
]


@pytest.mark.requirement("LAUNCH-08")
def test_an_administrator_may_let_clinicians_in_unasked() -> None:
    assert may_be_skipped(**SKIPPED)


@pytest.mark.requirement("LAUNCH-08")
@pytest.mark.parametrize("change", NOT_SKIPPED, ids=str)
def test_each_condition_of_that_counts(change: dict[str, Any]) -> None:
    assert not may_be_skipped(**(SKIPPED | change))


SAME = [
    ("a b", "b a", True),
    ("a b", "a  b a", True),
    ("a", "a b", False),
    ("a b", "a", False),
    ("patient/Goal.r", "patient/Goal.rs", False),
]


@pytest.mark.requirement("CONSENT-09")
@pytest.mark.parametrize(("asked", "remembered", "expected"), SAME)
def test_only_the_same_scopes_are_the_same(asked: str, remembered: str, expected: bool) -> None:
    assert same_scopes(asked, remembered) is expected


@pytest.mark.requirement("CONSENT-09")
@pytest.mark.parametrize(("days", "expected"), [(90, 30), (30, 30), (7, 7), (0, 0)])
def test_an_answer_stands_as_long_as_was_said_and_the_tenant_lets_it_now(days: int, expected: int) -> None:
    given = datetime(2026, 3, 1, tzinfo=UTC)
    assert stands_until(given + timedelta(days=30), given, days) == given + timedelta(days=expected)
