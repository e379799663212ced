"""Scopes in plain words.  CONSENT-01, -02, -03, -05; SMART 2.2 best-practices; US Core SMART scopes."""

import re
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartauth.policy import r4
from smartauth.policy.advertising import CATEGORIES, US_CORE_TYPES, advertised_scopes
from smartauth.policy.scopes import ResourceScope, parse_resource_scope
from smartauth.policy.wording import CATEGORY_WORDS, TYPES, Words, words_for

LETTERS = ["".join(some) for size in range(1, 6) for some in combinations("cruds", size)]
VALUES = [(kind, value) for kind, values in CATEGORIES.items() for value in values]
# Letters that are no word, v1 suffixes, levels, queries, tokens and their systems, parameters that begin with "_".
JARGON = re.compile(
    r"\b(?=[cruds]{2,}\b)c?r?u?d?s?\b|\.(?:read|write)|(?:patient|user|system)/|[?&*=|]|://|(?<!\w)_\w", re.ASCII
)


def is_for_people(words: Words) -> bool:
    """Return True when there is a short name, a sentence and a verb, and none of them is a scope's notation."""
    texts = (words.title, words.detail, words.verbs)
    return (
        all(text.strip() == text != "" for text in texts)
        and len(words.title) <= 60
        and words.detail.endswith(".")
        and not any(JARGON.search(text) for text in texts)
    )


@pytest.mark.requirement("CONSENT-05")
@pytest.mark.parametrize("kind", US_CORE_TYPES)
def test_every_advertised_type_has_words_of_ours(kind: str) -> None:
    words = words_for(parse_resource_scope(f"patient/{kind}.rs"))
    assert (words.title, words.detail) == TYPES[kind]
    assert is_for_people(words)


@pytest.mark.parametrize(("kind", "value"), VALUES)
def test_every_advertised_category_has_words_of_ours(kind: str, value: str) -> None:
    words = words_for(parse_resource_scope(f"patient/{kind}.rs?category={value}"))
    assert (words.title, words.detail) == CATEGORY_WORDS[value.rpartition("|")[2]]
    assert is_for_people(words)


def test_there_are_no_words_for_what_is_not_advertised() -> None:
    assert set(TYPES) == set(US_CORE_TYPES)
    assert set(CATEGORY_WORDS) == {value.rpartition("|")[2] for _, value in VALUES}


def test_no_two_advertised_scopes_read_the_same() -> None:
    told = [words_for(parse_resource_scope(text)) for text in advertised_scopes("patient")]
    assert len({words.title for words in told}) == len({words.detail for words in told}) == len(told)


def test_the_level_makes_no_difference_to_the_words() -> None:
    told = [
        [words_for(parse_resource_scope(text)) for text in advertised_scopes(level)] for level in ("patient", "user")
    ]
    assert told[0] == told[1]


def test_both_dialects_read_the_same() -> None:
    assert words_for(parse_resource_scope("patient/Goal.read")) == words_for(parse_resource_scope("patient/Goal.rs"))


def test_a_wildcard_says_that_it_includes_what_comes_later() -> None:
    words = words_for(parse_resource_scope("patient/*.rs"))
    assert "later" in words.detail
    assert is_for_people(words)


VERBS = [
    # letters   verbs
    ("r",       "see"),
    ("s",       "see"),
    ("rs",      "see"),
    ("c",       "add"),
    ("u",       "change"),
    ("d",       "delete"),
    ("cr",      "see and add"),
    ("cs",      "see and add"),
    ("ru",      "see and change"),
    ("cu",      "add and change"),
    ("cud",     "add, change and delete"),
    ("crus",    "see, add and change"),
    ("cruds",   "see, add, change and delete"),
]  # fmt: skip


@pytest.mark.parametrize(("letters", "verbs"), VERBS)
def test_the_verbs_are_those_of_a_sentence(letters: str, verbs: str) -> None:
    assert words_for(ResourceScope("patient", "Goal", letters)).verbs.lower() == verbs


@pytest.mark.parametrize("letters", LETTERS)
def test_the_verbs_name_what_the_letters_permit_and_nothing_more(letters: str) -> None:
    verbs = set(re.findall("[a-z]+", words_for(ResourceScope("patient", "Goal", letters)).verbs.lower())) - {"and"}
    named = {"see": bool({"r", "s"} & set(letters)), "add": "c" in letters, "change": "u" in letters}
    named["delete"] = "d" in letters
    assert verbs == {verb for verb, is_named in named.items() if is_named}


OTHER_TYPES = [
    # type                  title
    ("ValueSet",            "Value set"),
    ("MedicationKnowledge", "Medication knowledge"),
    ("ImagingStudy",        "Scans and images"),
    ("Appointment",         "Appointments"),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "title"), OTHER_TYPES)
def test_a_type_that_few_ask_for_has_a_name_or_is_spelled_out(kind: str, title: str) -> None:
    words = words_for(parse_resource_scope(f"user/{kind}.rs"))
    assert words.title == title
    assert is_for_people(words)


@pytest.mark.parametrize("kind", sorted(r4.memberships()))
def test_every_resource_type_is_told_in_separate_words(kind: str) -> None:
    words = words_for(parse_resource_scope(f"patient/{kind}.rs"))
    assert is_for_people(words)
    assert not re.search("[a-z][A-Z]", f"{words.title} {words.detail}")


FILTERED = [
    # Known values on the wrong type, unknown systems, several at once, parameters nobody explained.
    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/condition-category|problem-list-item",
    "patient/Observation.rs?category=laboratory",
    "patient/Observation.rs?category=|laboratory",
    "patient/Observation.rs?category=http://mallory.example|laboratory",
    f"patient/Observation.rs?category={CATEGORIES['Observation'][0]}&code=718-7",
    "patient/Observation.rs?code=http://loinc.org|718-7",
    "patient/Observation.rs?date=2020",
    "patient/Procedure.rs?category=103693007",
    "user/Appointment.rs?status=booked",
    "patient/*.rs?_tag=a",
]


@pytest.mark.requirement("CONSENT-05")
@pytest.mark.parametrize("text", FILTERED)
def test_a_filter_without_words_of_ours_is_never_told_as_the_whole_or_as_another(text: str) -> None:
    scope = parse_resource_scope(text)
    told = words_for(scope).detail
    assert told != words_for(ResourceScope(scope.level, scope.resource, scope.permissions)).detail
    assert told not in {detail for _, detail in CATEGORY_WORDS.values()}


@pytest.mark.parametrize("text", FILTERED)
def test_a_filter_without_words_of_ours_is_told_without_notation(text: str) -> None:
    assert is_for_people(words_for(parse_resource_scope(text)))


NAMES = st.sampled_from(["category", "code", "_tag", "_id", "made-up"])
SCOPES = st.builds(
    ResourceScope,
    st.sampled_from(["patient", "user"]),
    st.sampled_from(["*", "Patient", "Observation", "Condition", "Binary", "NoSuchThing", "X", "ABCThing"]),
    st.sampled_from(LETTERS),
    st.lists(st.tuples(NAMES, st.text(min_size=1, max_size=20)), max_size=3).map(tuple),
)


@given(SCOPES)
def test_no_scope_is_without_words(scope: ResourceScope) -> None:
    words = words_for(scope)
    assert words.title
    assert words.detail.endswith(".")
    assert words.verbs
