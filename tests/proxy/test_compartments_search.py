"""Searches of a patient's compartment and across types: brought back to type searches, or refused.

FHIR R4 search, contexts; SMART 2.2 scopes-and-launch-context.
"""

from typing import Any

import pytest

from smartauth.audit.models import AuditRecord
from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link

ANA = {"patient": "ana"}
SENT = [
    # scope                  claims  asked                                     sent upstream
    ("patient/*.rs", ANA, "Patient/ana/Observation", "Observation?patient=Patient%2Fana&_count=50"),
    ("patient/*.rs", ANA, "Patient/ana/Observation?code=x&_count=3",
     "Observation?patient=Patient%2Fana&code=x&_count=3"),
    ("patient/*.rs", ANA, "Patient/ana/Observation?patient=ana", "Observation?patient=Patient%2Fana&_count=50"),
    ("patient/*.rs",         ANA,    "Patient/ana/Group",                      "Group?member=Patient%2Fana&_count=50"),
    ("patient/*.rs",         ANA,    "Patient/ana/Patient",                    "Patient?_id=ana&_count=50"),
    ("system/*.rs", {}, "Patient/ben/Condition", "Condition?patient=Patient%2Fben&_count=50"),
    ("system/*.rs", {}, "Patient/ben/Condition?patient=ben,ana", "Condition?patient=Patient%2Fben&_count=50"),
    ("system/*.rs", {}, "?_type=Patient,Group&_id=ana", "?_type=Patient%2CGroup&_id=ana&_count=50"),
    ("system/*.rs",          {},     "_search?_type=Patient&gender=male&_sort=-_lastUpdated",
     "?_type=Patient&gender=male&_sort=-_lastUpdated&_count=50"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-32")
@pytest.mark.parametrize(("scope", "claims", "asked", "sent"), SENT)
def test_what_is_sent(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], asked: str, sent: str
) -> None:
    response = call(f"/{asked}", minted(scope, **claims))
    assert response.status_code == 200, response.content
    assert small.targets() == [sent] or small.targets() == [f"/r4{sent}"]


@pytest.mark.requirement("PROXY-32")
def test_a_compartment_search_is_the_type_search(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    by_type, within = call("/Observation?patient=ana", token), call("/Patient/ana/Observation", token)
    assert ids(by_type) == ids(within)
    assert link(within, "self") == "/Observation?patient=Patient%2Fana&_count=50"
    posted = call.form("/Patient/ana/Observation/_search", token, "status=final")
    assert ids(posted) == ids(within)
    assert call("/Patient/ana/Observation", token, method="HEAD").status_code == 200
    small.leak()
    assert set(ids(call("/Patient/ana/Observation", token))) == set(ids(within))


def test_of_several_patients_only_the_compartments_own(small: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/*.rs", restrictions={"patients": ["ana", "ben"]})
    assert ids(call("/Patient/ben/Observation", token)) == ids(call("/Observation?patient=ben", token))
    assert ids(call("/Patient/ben/Observation?patient=ana", token)) == []
    assert call("/Patient/ANA/Observation", token).status_code == 403


@pytest.mark.requirement("PROXY-48")
def test_a_search_across_types_needs_full_authority(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("system/Patient.rs system/Practitioner.rs")
    found, path = [], "/?_type=Patient,Practitioner&_count=10&_total=accurate"
    while path:
        response = call(path, token)
        found += ids(response)
        path = link(response, "next") or ""
    assert len(found) == len(set(found)) > 20
    assert {one.partition("/")[0] for one in found} == {"Patient", "Practitioner"}
    counted = call.form("/_search", token, "_type=Patient,Practitioner&_summary=count").json()
    assert (counted["total"], "entry" in counted) == (len(found), False)
    assert AuditRecord.objects.filter(details__interaction="search-system").exists()
    sandbox.leak()
    leaking = ids(call("/?_type=Patient,Practitioner", token))
    assert {one.partition("/")[0] for one in leaking} <= {"Patient", "Practitioner"}


REFUSED = [
    # scope                    claims  asked                                       status  rule
    ("patient/*.rs",           ANA,    "Patient/ben/Observation",                  403, "compartment"),
    ("patient/*.rs",           ANA,    "Patient/nobody/Observation",               403, "compartment"),
    ("patient/*.rs",           ANA,    "Patient/ana/Observation?subject=Patient/ben", 403, "compartment"),
    ("patient/*.rs",           ANA,    "Patient/ana/*",                            403, "compartment.all_types"),
    ("patient/*.rs",           ANA,    "Practitioner/dr-grey/Observation",         403, "compartment.kind"),
    ("patient/*.rs",           ANA,    "Encounter/e/Observation",                  403, "compartment.kind"),
    ("patient/*.rs",           ANA,    "Patient/ana/Practitioner",                 403, "compartment.kind"),
    ("patient/*.rs",           ANA,    "Patient/ana/Binary",                       403, "compartment.kind"),
    ("patient/*.rs",           ANA,    "Patient/ana/Observation?nonsense=1",       400, "search.parameter"),
    ("patient/*.rs",           ANA,    "Patient/ana/AuditEvent",                   403, "scope.operator_type"),
    ("patient/Patient.rs",     ANA,    "Patient/ana/Observation",                  403, "scope"),
    ("patient/Observation.r",  ANA,    "Patient/ana/Observation",                  403, "scope"),
    ("patient/*.rs",           ANA,    "?_type=Patient",                           403, "search.full_only"),
    ("system/Patient.rs",      {},     "?_type=Patient,Observation",               403, "scope"),
    ("system/Patient.r",       {},     "?_type=Patient",                           403, "scope"),
    ("system/*.rs",            {},     "?_type=Patient,AuditEvent",                403, "scope.operator_type"),
    ("system/*.rs",            {},     "?_id=ana",                                 403, "search.types"),
    ("system/*.rs",            {},     "?_type=Patient,Nothing",                   400, "search.types"),
    ("system/*.rs",            {},     "?_type=Patient&_type=Group",               400, "query.repeated"),
    ("system/*.rs",            {},     "?_type=Patient,Observation&status=final",  400, "search.parameter"),
    ("system/*.rs",            {},     "?_type=Patient&_include=Patient:link",     400, "search.include"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-32", "PROXY-48")
@pytest.mark.parametrize(("scope", "claims", "asked", "status", "rule"), REFUSED)
def test_refused_searches_are_not_forwarded(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], asked: str, status: int, rule: str
) -> None:
    response = call(f"/{asked}", minted(scope, **claims))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []
