"""What comes back beside the matches, in which order, and in which portions."""

from urllib.parse import parse_qs, urlsplit

import pytest

from tests.r4server.caller import Caller, Page


def _all_pages(caller: Caller, target: str) -> list[Page]:
    pages = [caller.search(target)]
    while following := pages[-1].link("next"):
        pages.append(caller.search(following))
    return pages


def test_paging_to_the_end_visits_each_match_once(sandbox: Caller) -> None:
    pages = _all_pages(sandbox, "Observation?patient=ana&_count=7")
    visited = [key for page in pages for key in page.matches]
    assert {len(page.matches) for page in pages[:-1]} == {7}
    assert len(visited) == len(set(visited)) == pages[0].bundle["total"]
    assert sorted(visited) == sorted(sandbox.search("Observation?patient=ana&_count=1000").matches)


def test_a_next_link_says_nothing_of_the_search(sandbox: Caller) -> None:
    following = sandbox.search("Observation?patient=ana&_count=7").link("next")
    assert following is not None
    assert following.startswith(f"{sandbox.server.base_url}?")
    assert set(parse_qs(urlsplit(following).query)) == {"_getpages", "_getpagesoffset"}
    assert sandbox.search(following).link("previous") is not None


def test_a_page_of_a_search_that_is_not_known_is_gone(sandbox: Caller) -> None:
    assert sandbox.send("GET", "/r4?_getpages=00000000-0000-0000-0000-000000000000").status == 410


def test_a_page_is_stable_while_resources_are_added(scratch: Caller) -> None:
    scratch.load(*({"resourceType": "Basic", "id": f"b{number}"} for number in range(4)))
    first = scratch.search("Basic?_count=2")
    scratch.load({"resourceType": "Basic", "id": "b9"})
    following = first.link("next")
    assert following is not None
    assert scratch.search(following).matches == ["Basic/b2", "Basic/b3"]


@pytest.mark.parametrize(
    ("sort", "expected"),
    [
        ("birthdate", "ben ana cora none"),
        ("-birthdate", "cora ana ben none"),
        ("family", "cora ana ben none"),
        ("family,-birthdate", "cora ana ben none"),
        ("gender,-birthdate", "cora ana ben none"),
        ("-_id", "none cora ben ana"),
    ],
)
def test_sorting_goes_by_the_first_key_first_and_leaves_what_has_no_value_last(
    scratch: Caller, sort: str, expected: str
) -> None:
    people = (
        ("ana", "1984-05-12", "female", "Berg"),
        ("ben", "1979", "male", "Berg"),
        ("cora", "1990-01", "female", "Aas"),
    )
    for name, born, gender, family in people:
        scratch.load(
            {"resourceType": "Patient", "id": name, "birthDate": born, "gender": gender, "name": [{"family": family}]}
        )
    scratch.load({"resourceType": "Patient", "id": "none"})
    found = scratch.search(f"Patient?_sort={sort}").matches
    assert [key.partition("/")[2] for key in found] == expected.split()


@pytest.mark.parametrize("parameter", ["_summary=count", "_count=0"])
def test_a_count_has_a_total_and_no_entries(sandbox: Caller, parameter: str) -> None:
    counted = sandbox.search(f"Observation?patient=ana&{parameter}")
    assert "entry" not in counted.bundle
    assert counted.bundle["total"] == len(sandbox.search("Observation?patient=ana&_count=1000").matches)


def test_the_total_can_be_declined(sandbox: Caller) -> None:
    assert "total" not in sandbox.search("Patient?_id=ana&_total=none").bundle
    assert sandbox.search("Patient?_id=ana&_total=accurate").bundle["total"] == 1


INCLUDES = [
    ("Encounter?_id=ana-encounter-2021-03&_include=Encounter:subject", "Patient/ana"),
    ("Encounter?_id=ana-encounter-2021-03&_include=Encounter:subject:Group", ""),
    (
        "Encounter?_id=ana-encounter-2021-03&_include=Encounter:*",
        "Location/hillside-main Organization/hillside-clinic Patient/ana Practitioner/dr-grey",
    ),
    (
        "MedicationRequest?_id=ana-prescription-1&_revinclude=Provenance:target",
        "Provenance/ana-provenance-prescription",
    ),
    (
        "MedicationRequest?_id=ana-prescription-1&_revinclude=Provenance:target&_include=Provenance:agent",
        "Provenance/ana-provenance-prescription",
    ),
    (
        "MedicationRequest?_id=ana-prescription-1&_revinclude=Provenance:target&_include:iterate=Provenance:agent",
        "Practitioner/dr-grey Provenance/ana-provenance-prescription",
    ),
    ("Observation?_id=foreign-ana&_include=Observation:subject", ""),
    ("Observation?_id=versioned-ana&_include=Observation:subject", "Patient/ana"),
    ("Patient?_id=ana,ana2&_include=Patient:link", ""),
]


@pytest.mark.parametrize(("target", "expected"), INCLUDES)
def test_includes_follow_references_both_ways(sandbox: Caller, target: str, expected: str) -> None:
    assert sorted(sandbox.search(target).includes) == expected.split()


def test_what_is_a_match_is_not_included_again(sandbox: Caller) -> None:
    found = sandbox.search("Observation?_id=ana-member-of-ben,ben-pulse-taken-by-ana&_include=Observation:has-member")
    assert len(found.matches) == 2
    assert found.includes == []


def test_a_resource_of_the_wrong_shape_is_not_found_and_spoils_no_search(scratch: Caller) -> None:
    broken = {"resourceType": "Patient", "id": "broken", "identifier": [{"value": {}, "type": "x"}], "name": "Ana"}
    scratch.load(broken, {"resourceType": "Patient", "id": "sound", "identifier": [{"value": "1"}]})
    assert scratch.search("Patient?identifier=1").matches == ["Patient/sound"]
