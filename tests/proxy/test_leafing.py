"""Lists of the pickers, page by page: who is on which, what servers do to them, and for whom a place leads on.

FHIR R4 http, paging.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from clients.models import Tenant
from clients.tenants import TenantInfo
from smartauth.audit.models import AuditRecord
from smartauth.records import PatientPage, Person, Place, PlaceLost, RecordsUnavailable
from smartauth.sealing import encrypt
from tests.proxy.conftest import Behind, put_behind
from tests.proxy.scripted import Said, Scripted, scripted
from tests.proxy.test_records import ANA, CLINICIAN, page, person

FIRST = "Patient?_sort=family%2Cgiven&_count=4"  # one more than the three that are shown
FLOW = Place("a flow")


@pytest.fixture
def script(tenant: TenantInfo) -> Iterator[Scripted]:
    with scripted() as running:
        put_behind(tenant, running.base_url, bearer="")
        yield running


def searchset(ids: Iterable[str], following: str = "", **members: Any) -> Said:
    """Return a page of patients, whose ids may be the letters of a text; `following` is the URL of its next link."""
    link = [{"relation": "next", "url": following}] if following else []
    entry = [{"resource": {"resourceType": "Patient", "id": one, "name": [{"family": one}]}} for one in ids]
    bundle = {"resourceType": "Bundle", "type": "searchset", "link": link, "entry": entry, **members}
    return Said(body=json.dumps(bundle).encode())


def chain(script: Scripted, *pages: str | Said, last: str = "", **members: Any) -> None:
    """Let a search find these pages, each with a link to the one after, the last with a link to `last`."""
    targets = [FIRST, *(f"page?n={number}" for number in range(2, len(pages) + 1))]
    for target, following, ids in zip(targets, [*targets[1:], last], pages, strict=True):
        url = f"{script.base_url}/{following}" if following else ""
        script.answers[f"GET /r4/{target}"] = searchset(ids, url, **members) if isinstance(ids, str) else ids


def leaves(who: Person = CLINICIAN, **search: str) -> Iterator[PatientPage]:
    """Yield page after page of three, as somebody sees them who always wants more."""
    place = FLOW
    while True:
        found = page(who, 3, place=place, **search)
        yield found
        if not found.following:
            return
        place = replace(place, following=found.following)


def shown(found: PatientPage) -> str:
    return "".join(one.id for one in found.patients)


LISTS: list[tuple[str, list[str], dict[str, Any], list[str], bool]] = [
    # what a server does, what its pages hold, what else it says, what is shown, and whether more is told of at the end
    ("it fits", ["abc"], {}, ["abc"], False),
    ("it pages as it is asked", ["abcd", "efgh", "i"], {}, ["abc", "def", "ghi"], False),
    ("its pages are smaller", ["ab", "cd", "ef", "g"], {}, ["abc", "def", "g"], False),
    ("it gives all at once", ["abcdefgh"], {}, ["abc", "def", "gh"], False),
    ("its last link leads to nothing", ["abc", ""], {}, ["abc"], False),
    ("an empty page lies between", ["abc", "", "d"], {}, ["abc", "d"], False),
    ("it counts more than it links to", ["abc"], {"total": 9}, ["abc"], True),
    ("it counts what it gives", ["ab", "cd"], {"total": 4}, ["abc", "d"], False),
    ("it says some twice", ["abca", "cbd", "d"], {}, ["abc", "d"], False),
    ("it gives the same page again", ["abc"], {"last": FIRST}, ["abc"], False),
    ("it goes round in a circle", ["abc", "def"], {"last": FIRST}, ["abc", "def"], False),
    ("it says the same without end", ["ab"] * 9, {}, ["ab", ""], False),
]


def test_whatever_a_server_does_each_patient_is_on_one_page(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirproxy.searching.MAX_PAGES", 4)
    for what, pages, more, leafed, has_more in LISTS:
        chain(script, *pages, **more)
        found = list(leaves())
        assert [shown(one) for one in found] == leafed, what
        assert [one.first for one in found] == [1 + len("".join(leafed[:at])) for at in range(len(leafed))], what
        assert [one.has_more for one in found] == [True] * (len(found) - 1) + [has_more], what


def test_a_list_does_not_go_on_for_ever(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fhirproxy.leafing.MOST_GIVEN", 6)
    chain(script, "abc", "def", "ghi", "jkl")
    first, second = leaves()
    assert (shown(first), shown(second), second.has_more) == ("abc", "def", True)


def test_a_page_costs_the_calls_it_needs(script: Scripted) -> None:
    chain(script, "abcd", "efgh", "i")
    list(leaves())
    first, second, third = (f"GET /r4/{target}" for target in (FIRST, "page?n=2", "page?n=3"))
    assert script.lines() == [first, first, second, second, third]
    recorded = AuditRecord.objects.order_by("pk")
    assert [one.patients for one in recorded] == [["a", "b", "c"], ["d", "e", "f"], ["g", "h", "i"]]
    assert [one.query for one in recorded] == [FIRST, FIRST, "page?n=2"]


BREAKS: list[tuple[str, Said, type[Exception]]] = [
    ("it fails", Said(500), RecordsUnavailable),
    ("it is slow", Said(delay=0.6), RecordsUnavailable),
    ("it links elsewhere", searchset("ef", "http://127.0.0.1:1/r4/Patient?page=4"), RecordsUnavailable),
    ("it has forgotten the search", Said(410), PlaceLost),
    ("it refuses its own link", Said(400), PlaceLost),
]


def test_what_was_found_before_a_server_broke_is_shown(script: Scripted, monkeypatch: pytest.MonkeyPatch) -> None:
    for what, said, raised in BREAKS:
        chain(script, "ab", "cd", said, "gh")
        found = leaves()
        with monkeypatch.context() as hurried:
            hurried.setattr("fhirproxy.records.PATIENCE", 0.2 if said.delay else 5.0)
            assert [shown(next(found)), shown(next(found))] == ["abc", "d"], what
            with pytest.raises(raised):
                next(found)
        script.answers["GET /r4/page?n=3"] = searchset("ef")
        assert [shown(one) for one in leaves()] == ["abc", "def"], what


# Whose place it is


def tamper(text: str) -> str:
    return text[:-2] + ("A" if text[-2] != "A" else "B") + text[-1]


FOREIGN: list[tuple[str, Callable[[str], tuple[Person, dict[str, str], Place]]]] = [
    ("tampered", lambda text: (CLINICIAN, {}, replace(FLOW, following=tamper(text)))),
    ("cut", lambda text: (CLINICIAN, {}, replace(FLOW, following=text[:-4]))),
    ("a URL", lambda _: (CLINICIAN, {}, replace(FLOW, following="http://127.0.0.1:1/r4/Patient"))),
    ("no ASCII", lambda _: (CLINICIAN, {}, replace(FLOW, following="é\ud800\x00"))),
    ("too long", lambda _: (CLINICIAN, {}, replace(FLOW, following="A" * 10_000_000))),
    ("for something else", lambda _: (CLINICIAN, {}, replace(FLOW, following=encrypt(b"{}", purpose="page cursor")))),
    ("of another kind", lambda _: (CLINICIAN, {}, replace(FLOW, following=encrypt(b"1", purpose="place in a list")))),
    ("in another flow", lambda text: (CLINICIAN, {}, Place("another", text))),
    ("in no flow", lambda text: (CLINICIAN, {}, Place("", text))),
    ("of another search", lambda text: (CLINICIAN, {"name": "a"}, replace(FLOW, following=text))),
    ("of another user", lambda text: (replace(CLINICIAN, user=8), {}, replace(FLOW, following=text))),
    ("of another app", lambda text: (replace(CLINICIAN, client_id="x"), {}, replace(FLOW, following=text))),
    ("of another role", lambda text: (person("Practitioner/x"), {}, replace(FLOW, following=text))),
    ("of a patient", lambda text: (replace(ANA, subject="a-subject"), {}, replace(FLOW, following=text))),
    ("restricted", lambda text: (person("Practitioner/dr-grey", patients=["a"]), {}, replace(FLOW, following=text))),
]


def test_a_place_leads_nowhere_but_for_its_owner(script: Scripted) -> None:
    chain(script, "abcd")
    text = next(leaves()).following
    asked = script.lines()
    for what, show in FOREIGN:
        who, search, place = show(text)
        with pytest.raises(PlaceLost):
            pytest.fail(f"{what}: {page(who, 3, place=place, **search)}")
    assert script.lines() == asked
    assert [one.id for one in page(CLINICIAN, 3, place=replace(FLOW, following=text)).patients] == ["d"]


def test_a_place_at_another_server_or_of_other_rights_is_lost(script: Scripted, tenant: TenantInfo) -> None:
    chain(script, "abcd")
    place = replace(FLOW, following=next(leaves()).following)
    assert shown(page(CLINICIAN, 3, place=place)) == "d"
    assert place.following not in repr(place)
    with scripted() as other:
        put_behind(tenant, other.base_url, bearer="")
        with pytest.raises(PlaceLost):
            page(CLINICIAN, 3, place=place)
        assert other.lines() == []
    put_behind(tenant, script.base_url, bearer="")
    Tenant.objects.update(policy={"practitioner_access": "none"})
    assert page(CLINICIAN, 3, place=place) == PatientPage(())


@pytest.mark.requirement("CTX-22")
def test_every_page_holds_only_whom_somebody_may_act_for(small: Behind) -> None:
    small.leak()
    parent = person("Patient/ana", "ben")
    place, seen = FLOW, []
    for _ in range(2):
        found = page(parent, 1, place=place)
        seen += [one.id for one in found.patients]
        place = replace(place, following=found.following)
    assert (seen, place.following) == (["ana", "ben"], "")
    first = page(parent, 1, place=FLOW)
    with pytest.raises(PlaceLost):  # The relation has ended.
        page(ANA, 1, place=replace(FLOW, following=first.following))


def test_without_a_flow_a_page_leads_nowhere(script: Scripted) -> None:
    chain(script, "abcd")
    assert (page(CLINICIAN, 3).has_more, page(CLINICIAN, 3).following) == (True, "")
