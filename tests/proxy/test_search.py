"""Type searches through the proxy: narrowed on the way out, checked on the way back, paged by sealed cursors.

FHIR R4 search and http; SMART 2.2 scopes-and-launch-context.
"""

import itertools
import json
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest

from fhirproxy import cursors
from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link

ANA = {"patient": "ana"}
ANAS_OBSERVATIONS = {
    "Observation/versioned-ana",
    "Observation/ana-compared-with-ben",
    "Observation/ana-member-of-ben",
    "Observation/ana-contains-ben",
}
CATEGORY = "http://terminology.hl7.org/CodeSystem/observation-category"

SENT = [
    # asked                                          sent upstream
    ("Observation",                                  "Observation?patient=Patient%2Fana&_count=50"),
    ("Observation?patient=ana",                      "Observation?patient=Patient%2Fana&_count=50"),
    ("Observation?patient=Patient/ana&_count=7",     "Observation?patient=Patient%2Fana&_count=7"),
    ("Observation?patient:Patient=ana",              "Observation?patient=Patient%2Fana&_count=50"),
    ("Observation?patient=ana&patient=ana",          "Observation?patient=Patient%2Fana&_count=50"),
    ("Observation?_count=9999",                      "Observation?patient=Patient%2Fana&_count=500"),
    ("Observation?subject=Patient/ana",
     "Observation?patient=Patient%2Fana&subject=Patient%2Fana&_count=50"),
    ("Observation?code=29463-7,http://loinc.org|29463-7",
     "Observation?patient=Patient%2Fana&code=29463-7%2Chttp%3A%2F%2Floinc.org%7C29463-7&_count=50"),
    ("Observation?date=ge2020&date=lt2030-01-01&_sort=-date,code",
     "Observation?patient=Patient%2Fana&date=ge2020&date=lt2030-01-01&_sort=-date%2Ccode&_count=50"),
    ("Observation?_elements=status&_summary=false&_total=none&_pretty=true&_format=json",
     "Observation?patient=Patient%2Fana&_count=50"),
    ("Patient",                                      "Patient?_id=ana&_count=50"),
    ("Patient?_id=ben,ana&gender=female",            "Patient?_id=ana&gender=female&_count=50"),
    ("Group",                                        "Group?member=Patient%2Fana&_count=50"),
    ("Practitioner?name=grey",                       "Practitioner?name=grey&_count=50"),
    ("Device",                                       "Device?_count=50"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-17", "PROXY-18", "PROXY-19")
@pytest.mark.parametrize(("asked", "sent"), SENT)
def test_what_is_sent_is_canonical_and_narrowed(
    small: Behind, minted: Mint, call: Caller, asked: str, sent: str
) -> None:
    response = call(f"/{asked}", minted("patient/*.rs", **ANA))
    assert response.status_code == 200, response.content
    assert small.targets() == [sent]


@pytest.mark.requirement("PROXY-38")
def test_nothing_of_the_client_reaches_the_upstream(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    call("/Observation", token, HTTP_COOKIE="a=b", HTTP_X_FORWARDED_HOST="evil.example", HTTP_USER_AGENT="app/1")
    (one,) = small.received()
    names = {name.lower() for name, _ in one["headers"]}
    assert names == {"host", "accept", "prefer", "user-agent", "x-request-id", "authorization", "accept-encoding"}
    headers = {name.lower(): value for name, value in one["headers"]}
    assert headers["authorization"] == f"Bearer {small.running.bearer}"
    assert headers["prefer"] == "handling=strict"
    assert headers["host"] == urlsplit(small.running.base_url).netloc
    assert token not in json.dumps(one)
    assert "app/1" not in json.dumps(one)


@pytest.mark.requirement("PROXY-11", "PROXY-19")
def test_a_search_finds_what_is_inside_and_nothing_else(small: Behind, minted: Mint, call: Caller) -> None:
    response = call("/Observation", minted("patient/Observation.s", **ANA))
    assert set(ids(response)) == ANAS_OBSERVATIONS
    bundle = response.json()
    assert (bundle["type"], bundle["total"]) == ("searchset", 4)
    assert link(response, "self") == "/Observation?patient=Patient%2Fana&_count=50"
    assert link(response, "next") is None
    assert small.running.base_url not in response.content.decode()
    record = AuditRecord.objects.get()
    assert record.query == "Observation?patient=Patient%2Fana&_count=50"
    assert (record.details["checked"], record.details["upstream_calls"]) == (4, 1)


@pytest.mark.requirement("PROXY-17")
def test_a_leaking_upstream_changes_nothing(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    honest = call("/Observation?_include=Observation:performer", token)
    small.leak()
    leaking = call("/Observation?_include=Observation:performer", token)
    assert set(ids(leaking)) == set(ids(honest)) == ANAS_OBSERVATIONS
    assert leaking.json()["total"] == 4
    assert b"Patient/ben" not in leaking.content.replace(b'"reference":"Patient/ben"', b"")
    assert AuditRecord.objects.order_by("-at")[0].details["removed"] > 5


@pytest.mark.requirement("PROXY-11", "T-59")
def test_post_search_is_the_same_search(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    get = call("/Observation?code=29463-7&_count=20", token)
    post = call.form("/Observation/_search?_count=20", token, "code=29463-7")
    assert ids(get) == ids(post)
    first, second = small.targets()
    assert sorted(parse_qsl(first.split("?")[1])) == sorted(parse_qsl(second.split("?")[1]))
    refused = call("/Observation/_search", token, method="POST", data="{}", content_type="application/json")
    assert refused.status_code == 415


REFUSED = [
    # scope                     asked                                            status  rule
    ("patient/*.rs",            "Observation?patient=ben",                       403, "compartment"),
    ("patient/*.rs",            "Observation?patient=ana,ben",                   403, "compartment"),
    ("patient/*.rs",            "Observation?patient=ana&patient=ben",           403, "compartment"),
    ("patient/*.rs",            "Observation?subject=Patient/ben",               403, "compartment"),
    ("patient/*.rs",            "Observation?subject:Patient=ben",               403, "compartment"),
    ("patient/*.rs",            "Observation?performer=Patient/ben",             403, "compartment"),
    ("patient/*.rs",            "Observation?patient=nobody",                    403, "compartment"),
    ("patient/*.rs",            "Patient?link=Patient/ben",                      403, "compartment"),
    ("patient/*.rs",            "Observation?patient:not=ana",                   400, "search.modifier"),
    ("patient/*.rs",            "Observation?patient:missing=true",              400, "search.modifier"),
    ("patient/*.rs",            "Observation?patient:identifier=x|y",            400, "search.modifier"),
    ("patient/*.rs",            "Observation?subject:in=x",                      400, "search.modifier"),
    ("patient/*.rs",            "Observation?_id:not=x",                         400, "search.modifier"),
    ("patient/*.rs",            "Observation?encounter.status=x",                403, "search.chain"),
    ("patient/*.rs",            "Observation?focus:Patient.name=x",              403, "search.chain"),
    ("patient/*.rs",            "Patient?_has:Observation:patient:code=x",       403, "search.chain"),
    ("patient/*.rs",            "Observation?_text=x",                           403, "search.parameter_refused"),
    ("patient/*.rs",            "Observation?_filter=x",                         403, "search.parameter_refused"),
    ("patient/*.rs",            "Observation?_list=x",                           403, "search.parameter_refused"),
    ("patient/*.rs",            "Observation?_query=x",                          403, "search.parameter_refused"),
    ("patient/*.rs",            "Observation?_contained=both",                   403, "search.parameter_refused"),
    ("patient/*.rs",            "Observation?_getpages=x",                       400, "search.parameter"),
    ("patient/*.rs",            "Observation?access_token=x",                    400, "search.parameter"),
    ("patient/*.rs",            "Observation?_method=DELETE",                    400, "search.parameter"),
    ("patient/*.rs",            "Observation?Patient=ana",                       400, "search.parameter"),
    ("patient/*.rs",            "Observation?PATIENT=ana",                       400, "search.parameter"),
    ("patient/*.rs",            "Observation?nonsense=1",                        400, "search.parameter"),
    ("patient/*.rs",            "Observation?code:below",                        400, "query.empty"),
    ("patient/*.rs",            "Observation?code:in=http://x",                  403, "search.value_set"),
    ("patient/*.rs",            "Observation?patient=Patient/ana/_history/1",    400, "search.value"),
    ("patient/*.rs",            "Observation?patient=https://other.example/Patient/ana", 400, "search.value"),
    ("patient/*.rs",            "Observation?subject=ana",                       400, "search.value"),
    ("patient/*.rs",            "Observation?date=yesterday",                    400, "search.value"),
    ("patient/*.rs",            "Observation?code=a,,b",                         400, "search.value"),
    ("patient/*.rs",            "Observation?_count=-1",                         400, "search.count"),
    ("patient/*.rs",            "Observation?_count=5&_count=5",                 400, "query.repeated"),
    ("patient/*.rs",            "Observation?_sort=_score",                      400, "search.sort"),
    ("patient/*.rs",            "Observation?_include=*",                        400, "search.include"),
    ("patient/*.rs",            "Observation?_include=Observation:*",            400, "search.include"),
    ("patient/*.rs",            "Observation?_include:recurse=Observation:subject", 400, "search.modifier"),
    ("patient/*.rs",            "Observation?_format=xml",                       406, "header.format"),
    ("patient/*.rs",            "Binary",                                        403, "search.cannot_narrow"),
    ("patient/*.rs",            "Bundle",                                        403, "search.cannot_narrow"),
    ("patient/*.rs",            "BiologicallyDerivedProduct",                    403, "search.cannot_narrow"),
    ("patient/*.rs",            "AuditEvent",                                    403, "scope.operator_type"),
    ("patient/*.rs",            "Provenance",                                    400, "search.provenance"),
    ("patient/Observation.r",   "Observation",                                   403, "scope"),
    ("patient/Observation.rs",  "Condition",                                     403, "scope"),
    ("patient/Observation.rs",  "Condition?patient=ana",                         403, "scope"),
]  # fmt: skip


@pytest.mark.requirement(
    "PROXY-10", "PROXY-11", "PROXY-18", "PROXY-21", "PROXY-27", "PROXY-30", "PROXY-44", "PROXY-48", "T-52"
)
@pytest.mark.parametrize(("scope", "asked", "status", "rule"), REFUSED)
def test_refused_searches_are_not_forwarded(
    small: Behind, minted: Mint, call: Caller, scope: str, asked: str, status: int, rule: str
) -> None:
    response = call(f"/{asked}", minted(scope, **ANA))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert response.json()["resourceType"] == "OperationOutcome"
    assert small.received() == []


@pytest.mark.requirement("PROXY-11", "PROXY-18", "T-59")
@pytest.mark.parametrize(("scope", "asked", "status", "rule"), REFUSED)
def test_a_form_is_refused_like_a_query(
    small: Behind, minted: Mint, call: Caller, scope: str, asked: str, status: int, rule: str
) -> None:
    path, _, query = asked.partition("?")
    response = call.form(f"/{path}/_search", minted(scope, **ANA), query or "_count=5")
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []


def test_lenient_handling_drops_only_what_is_harmless(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    for asked, status in (("nonsense=1", 200), ("_nonsense=1", 400), ("nonsense:not=1", 400), ("a.b=1", 400)):
        assert call(f"/Observation?{asked}", token, HTTP_PREFER="handling=lenient").status_code == status
    assert small.targets() == ["Observation?patient=Patient%2Fana&_count=50"]


@pytest.mark.requirement("PROXY-18")
def test_an_id_outside_is_an_empty_result_without_a_question(small: Behind, minted: Mint, call: Caller) -> None:
    response = call("/Patient?_id=ben", minted("patient/*.rs", **ANA))
    assert (ids(response), response.json()["total"]) == ([], 0)
    assert small.received() == []


def test_full_authority_searches_as_it_is(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs")
    response = call("/Observation?patient=ben&_total=accurate", token)
    assert set(ids(response)) == {"Observation/ben-pulse-taken-by-ana", "Observation/ben-weight-focus-ana"}
    assert response.json()["total"] == 2
    assert small.targets() == ["Observation?patient=Patient%2Fben&_count=50&_total=accurate"]
    assert call("/Observation?_summary=count", token).json()["total"] == 13


@pytest.mark.requirement("PROXY-27", "T-54")
def test_includes_are_checked_and_hang_on_a_visible_match(sandbox: Behind, minted: Mint, call: Caller) -> None:
    asked = "/MedicationRequest?patient=ana&_include=MedicationRequest:medication&_include=MedicationRequest:requester"
    everything = call(asked, minted("patient/*.rs", **ANA))
    kinds = {one.split("/")[0] for one in ids(everything, "include")}
    assert kinds == {"Medication", "Practitioner"}
    without = call(asked, minted("patient/MedicationRequest.rs patient/Practitioner.r", **ANA))
    assert {one.split("/")[0] for one in ids(without, "include")} == {"Practitioner"}
    assert ids(without, "match") == ids(everything, "match")
    sandbox.leak()
    leaking = call(asked, minted("patient/*.rs", **ANA))
    assert set(ids(leaking)) == set(ids(everything))


@pytest.mark.requirement("PROXY-27")
def test_provenance_comes_along_when_it_is_granted(sandbox: Behind, minted: Mint, call: Caller) -> None:
    asked = "/DocumentReference?patient=ana&_revinclude=Provenance:target"
    with_it = call(asked, minted("patient/*.rs", **ANA))
    provenance = ids(with_it, "include")
    assert provenance
    assert all(one.startswith("Provenance/") for one in provenance)
    assert ids(call(asked, minted("patient/DocumentReference.rs patient/Provenance.r", **ANA)), "include") == []
    one = with_it.json()["entry"][-1]["resource"]
    target = one["target"][0]["reference"]
    token = minted("patient/*.rs", **ANA)
    assert f"Provenance/{one['id']}" in ids(call(f"/Provenance?target={quote(target)}", token))
    assert call(f"/Provenance/{one['id']}", token).status_code == 200
    assert ids(call("/Provenance?target=Observation/ben-pulse-taken-by-ana", token)) == []
    assert ids(call("/Provenance?target=Observation/nowhere", token)) == []


def all_pages(call: Caller, path: str | None, token: str) -> list[list[str]]:
    pages = []
    while path is not None:
        response = call(path, token)
        pages.append(ids(response))
        path = link(response, "next")
        assert len(pages) < 100
    return pages


def test_paging_goes_to_the_end_without_gaps(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    whole = all_pages(call, "/Observation?_count=500", token)
    pages = all_pages(call, "/Observation?_count=7", token)
    assert len(whole) == 1
    assert list(itertools.chain(*pages)) == whole[0]
    assert {len(page) for page in pages[:-1]} == {7}
    assert pages[-1]


@pytest.mark.requirement("PROXY-24", "T-54")
def test_hidden_matches_leave_no_gap_on_a_page(sandbox: Behind, minted: Mint, call: Caller) -> None:
    two = "patient/Observation.rs?category=laboratory patient/Observation.rs?category=survey"
    token = minted(two, **ANA)
    wanted = "/Observation?category=laboratory,survey&_count=500"
    (whole,) = all_pages(call, wanted, minted("patient/*.rs", **ANA))
    pages = all_pages(call, "/Observation?_count=5", token)
    assert list(itertools.chain(*pages)) == whole
    assert {len(page) for page in pages[:-1]} == {5}
    assert pages[-1]


@pytest.mark.requirement("PROXY-29")
def test_a_leaking_upstream_adds_nothing_to_any_page(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    honest = all_pages(call, "/Condition?_count=2", token)
    sandbox.leak()
    leaking = all_pages(call, "/Condition?_count=2", token)
    assert set(itertools.chain(*leaking)) == set(itertools.chain(*honest))
    assert max(len(page) for page in leaking) == 2


@pytest.mark.requirement("PROXY-29", "T-60")
def test_a_cursor_serves_its_holder_only(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    cursor = link(call("/Observation?_count=3", token), "next")
    assert cursor is not None
    assert call(cursor, token).status_code == 200
    assert call(cursor, minted("patient/Observation.rs", **ANA)).status_code == 200
    sandbox.ask("DELETE", "/_received")
    others = [
        (minted("patient/*.rs", patient="ben"), 404),
        (minted("patient/*.rs", patient="ana", sub="somebody"), 404),
        (minted("system/*.rs"), 404),
        (minted("patient/Condition.rs", **ANA), 403),
        ("", 401),
    ]
    for other, status in others:
        assert call(cursor, other).status_code == status
    for spoilt in (
        cursor[:-8],
        cursor[:90] + cursor[91:],
        cursor.replace("c=g", "c=h"),
        "/_page?c=x",
        "/_page?c=%C3%A9",
    ):
        assert call(spoilt, token).status_code == 404
    for wrong in ("/_page", f"{cursor}&_count=5", f"{cursor}&c=x"):
        assert call(wrong, token).status_code == 400
    assert sandbox.received() == []


def test_a_cursor_dies_after_fifteen_minutes(
    sandbox: Behind, minted: Mint, call: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = minted("patient/*.rs", **ANA)
    monkeypatch.setattr(cursors, "LIFETIME", timedelta(seconds=-1))
    cursor = link(call("/Observation?_count=3", token), "next")
    assert call(str(cursor), token).status_code == 404
    assert Receipt.objects.get().rule == "page.expired"


def test_a_page_the_upstream_has_forgotten_is_gone(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    cursor = str(link(call("/Observation?_count=3", token), "next"))
    sandbox.fail(kind="status", status=410)
    assert call(cursor, token).status_code == 404
    assert Receipt.objects.get().rule == "page.gone"
    assert call("/Observation", token).status_code == 502


@pytest.mark.requirement("PROXY-28")
def test_totals_count_what_is_visible(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    count = len(all_pages(call, "/Observation?_count=500", token)[0])
    sandbox.leak()
    for asked in ("_summary=count", "_count=0"):
        bundle = call(f"/Observation?{asked}", token).json()
        assert (bundle["total"], "entry" in bundle) == (count, False)
    accurate = call("/Observation?_count=3&_total=accurate", token)
    assert (accurate.json()["total"], len(ids(accurate))) == (count, 3)
    assert "total" not in call("/Observation?_count=3", token).json()
    assert "total" not in call("/Observation?_count=500&_total=none", token).json()


def laboratory(patient: str) -> dict[str, Any]:
    return {
        "resourceType": "Observation",
        "id": f"lab-{patient}",
        "status": "final",
        "category": [{"coding": [{"system": CATEGORY, "code": "laboratory"}]}],
        "code": {"coding": [{"system": "http://loinc.org", "code": "718-7"}]},
        "subject": {"reference": f"Patient/{patient}"},
    }


GRANULAR = [
    (f"patient/Observation.rs?category={CATEGORY}|laboratory", {"Observation/lab-ana"}),
    (f"patient/Observation.rs?category={CATEGORY}|vital-signs", ANAS_OBSERVATIONS),
    (f"patient/Observation.rs?category={CATEGORY}|LABORATORY", set()),
    ("patient/Observation.rs?code=718-7", {"Observation/lab-ana"}),
    (
        f"patient/Observation.rs?category={CATEGORY}|laboratory patient/Observation.rs?code=29463-7",
        ANAS_OBSERVATIONS | {"Observation/lab-ana"},
    ),
    (f"patient/Observation.rs?category={CATEGORY}|vital-signs&code=718-7", set()),
    ("patient/Observation.rs?category=laboratory patient/Observation.rs", ANAS_OBSERVATIONS | {"Observation/lab-ana"}),
]


@pytest.mark.requirement("SCOPE-12", "SCOPE-13", "T-54", "PROXY-22", "PROXY-24")
@pytest.mark.parametrize("leak", [False, True])
@pytest.mark.parametrize(("scope", "found"), GRANULAR)
def test_granular_scopes_alone_and_in_union(
    small: Behind, minted: Mint, call: Caller, scope: str, found: set[str], leak: bool
) -> None:
    small.load(laboratory("ana"), laboratory("ben"))
    if leak:
        small.leak()
    response = call("/Observation", minted(scope, **ANA))
    assert set(ids(response)) == found
    assert response.json()["total"] == len(found)
    small.ask("DELETE", "/r4/Observation/lab-ana")
    small.ask("DELETE", "/r4/Observation/lab-ben")


@pytest.mark.requirement("PROXY-22")
def test_one_granular_scope_is_sent_along(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted(f"patient/Observation.rs?category={CATEGORY}|laboratory", **ANA)
    call("/Observation", token)
    call("/Observation?category=vital-signs", token)
    pushed, own = (dict(parse_qsl(target.split("?")[1])) for target in small.targets())
    assert pushed["category"] == f"{CATEGORY}|laboratory"
    assert own["category"] == "vital-signs"


def test_elements_apply_to_matches_and_not_to_what_comes_along(sandbox: Behind, minted: Mint, call: Caller) -> None:
    asked = "/MedicationRequest?_elements=status&_include=MedicationRequest:requester"
    entries = call(asked, minted("patient/*.rs", **ANA)).json()["entry"]
    match = next(one["resource"] for one in entries if one["search"]["mode"] == "match")
    include = next(one["resource"] for one in entries if one["search"]["mode"] == "include")
    assert "dosageInstruction" not in match
    assert "authoredOn" not in match
    assert match["meta"]["tag"][-1]["code"] == "SUBSETTED"
    assert "name" in include
