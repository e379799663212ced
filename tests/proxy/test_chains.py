"""Filters that read one resource through another, includes that go on, and parameters for full authority alone.

FHIR R4 search, "Chained parameters", "Reverse Chaining", "Including other resources in result".
"""

from typing import Any

import pytest

from smartauth.receipts.models import Receipt
from tests.proxy.conftest import Behind, Caller, Mint, ids, link

ANA = {"patient": "ana"}
GREY = {"patient": "ana", "fhirUser": "Practitioner/dr-grey"}
SERVICE: dict[str, Any] = {}

SENT = [
    # scope           claims   asked                                              sent, apart from _count
    ("patient/*.rs",  ANA,     "Observation?patient.gender=female",
     "Observation?patient=Patient%2Fana&patient.gender=female"),
    ("patient/*.rs",  ANA,     "Observation?subject:Patient.name:exact=x",
     "Observation?patient=Patient%2Fana&subject%3APatient.name%3Aexact=x"),
    ("patient/*.rs",  ANA,     "Observation?performer:Practitioner.name=grey",
     "Observation?patient=Patient%2Fana&performer%3APractitioner.name=grey"),
    ("patient/*.rs",  ANA,     "Observation?patient.general-practitioner:Practitioner.name=x",
     "Observation?patient=Patient%2Fana&patient.general-practitioner%3APractitioner.name=x"),
    ("patient/*.rs",  ANA,     "PractitionerRole?practitioner.name=grey", "PractitionerRole?practitioner.name=grey"),
    ("patient/*.rs",  ANA,     "Practitioner?_has:PractitionerRole:practitioner:specialty=x",
     "Practitioner?_has%3APractitionerRole%3Apractitioner%3Aspecialty=x"),
    ("system/*.rs", SERVICE, "Patient?_has:Observation:patient:code=x",
     "Patient?_has%3AObservation%3Apatient%3Acode=x"),
    ("system/*.rs",   SERVICE, "Observation?has-member:Observation.subject:Patient.name=x",
     "Observation?has-member%3AObservation.subject%3APatient.name=x"),
    ("patient/*.rs",  ANA,     "Task?subject:Patient.name=x",  # It can lead to any type.
     "Task?patient=Patient%2Fana&subject%3APatient.name=x"),
    ("patient/*.rs",  ANA,     "Observation?code:in=http://loinc.org/vs/LL1-9",
     "Observation?patient=Patient%2Fana&code%3Ain=http%3A%2F%2Floinc.org%2Fvs%2FLL1-9"),
    ("patient/*.rs",  ANA,     "Observation?code:not-in=urn:oid:2.16.840.1.113883.1.11.1",
     "Observation?patient=Patient%2Fana&code%3Anot-in=urn%3Aoid%3A2.16.840.1.113883.1.11.1"),
]  # fmt: skip


@pytest.mark.parametrize(("scope", "claims", "asked", "sent"), SENT)
def test_what_is_sent(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], asked: str, sent: str
) -> None:
    call(f"/{asked}", minted(scope, **claims))
    assert small.targets() == [f"{sent}&_count=50"]


REFUSED = [
    # scope                          claims   asked                                                  status  rule
    ("patient/*.rs", ANA, "Patient?_has:Observation:patient:code=x", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?has-member:Observation.value-quantity=gt5", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?encounter.status=finished", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?focus:Patient.name=ben", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?performer:Patient.name=ben", 403, "search.chain"),
    ("patient/*.rs", ANA, "Device?patient.name=ben", 403, "search.chain"),
    ("patient/*.rs", ANA, "Practitioner?_has:Observation:performer:code=x", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?patient.link:Patient.name=ben", 403, "search.chain"),
    ("patient/*.rs", ANA, "Observation?patient.link=Patient/ben", 403, "compartment"),
    ("patient/Observation.rs",       ANA,     "Observation?patient.name=x",                          403, "scope"),
    ("patient/Observation.rs patient/Patient.r", ANA, "Observation?patient.name=x",                  403, "scope"),
    ("patient/Observation.rs patient/Patient.rs?gender=female", ANA, "Observation?patient.name=x", 403, "search.chain"),
    ("patient/Observation.rs",       ANA,     "Observation?performer:Practitioner.name=x",           403, "scope"),
    ("user/Observation.rs patient/Patient.rs", GREY, "Observation?patient.name=ben", 403, "search.chain"),
    ("system/Observation.rs",        SERVICE, "Observation?patient.name=x",                          403, "scope"),
    ("system/*.rs?_tag=a", SERVICE, "Observation?patient.name=x", 403, "search.chain"),
    ("system/*.rs", SERVICE, "Observation?subject.name=x", 400, "search.chain_type"),
    ("system/*.rs", SERVICE, "Observation?subject:Practitioner.name=x", 400, "search.chain_type"),
    ("system/*.rs", SERVICE, "Observation?code.text=x", 400, "search.chain_form"),
    ("system/*.rs", SERVICE, "Observation?patient.nonsense=x", 400, "search.parameter"),
    ("system/*.rs", SERVICE, "Observation?patient.name:below=x", 400, "search.modifier"),
    ("system/*.rs", SERVICE, "Observation?a.b.c.d.e=x", 400, "search.parameter"),
    ("system/*.rs",                  SERVICE, "Patient?link:Patient.link:Patient.link:Patient.link:Patient.name=x",
     400, "search.chain_form"),
    ("system/*.rs", SERVICE, "Patient?_has:Observation:patient:encounter.status=x", 400, "search.chain_form"),
    ("system/*.rs", SERVICE, "Patient?_has:Observation:encounter:code=x", 400, "search.chain_type"),
    ("system/*.rs", SERVICE, "Patient?_has:Nothing:patient:code=x", 400, "search.chain_form"),
    ("system/*.rs", SERVICE, "Patient?_has=x", 400, "search.chain_form"),
    ("system/*.rs", SERVICE, "Observation?_filter=x", 403, "search.parameter_refused"),
    ("patient/*.rs", ANA, "Observation?_text=x", 403, "search.parameter_refused"),
    ("patient/*.rs", ANA, "Observation?_source=x", 403, "search.parameter_refused"),
    ("system/*.rs?_tag=a", SERVICE, "Observation?_content=x", 403, "search.parameter_refused"),
    ("system/*.rs", SERVICE, "Observation?code:in=http://evil.example/vs", 403, "search.value_set"),
    ("system/*.rs", SERVICE, "Observation?code:in=http://loinc.org.evil.example/vs", 403, "search.value_set"),
    ("system/*.rs", SERVICE, "Observation?code:in=http://loinc.org@evil.example/vs", 400, "search.value"),
    ("system/*.rs", SERVICE, "Observation?code:in=ValueSet/x", 400, "search.value"),
    ("system/*.rs", SERVICE, "Observation?code:in=urn:uuid:0", 403, "search.value_set"),
    ("system/Patient.rs system/Group.rs", SERVICE, "?_type=Patient,Group&_text=x&_has:Observation:patient:code=x",
     400, "search.chain_type"),
    ("system/Patient.rs",            SERVICE, "?_type=Patient&_has:Observation:patient:code=x",      403, "scope"),
    ("patient/*.rs", ANA, "Observation?_include:iterate=*", 400, "search.include"),
    ("patient/*.rs", ANA, "Observation?_include:recurse=Observation:subject", 400, "search.modifier"),
    ("patient/*.rs", ANA, "Observation?_include:iterate=Patient:name", 400, "search.include"),
]  # fmt: skip


@pytest.mark.requirement("PROXY-18", "PROXY-30", "PROXY-48")
@pytest.mark.parametrize(("scope", "claims", "asked", "status", "rule"), REFUSED)
def test_refused_searches_are_not_forwarded(
    small: Behind, minted: Mint, call: Caller, scope: str, claims: dict[str, Any], asked: str, status: int, rule: str
) -> None:
    response = call(f"/{asked}", minted(scope, **claims))
    assert (response.status_code, Receipt.objects.get().rule) == (status, rule)
    assert small.received() == []


def test_a_chain_finds_what_it_should(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    everything = call("/Observation?_count=500", token)
    assert ids(call("/Observation?patient.gender=female&_count=500", token)) == ids(everything)
    assert ids(call("/Observation?patient.gender=male&_count=500", token)) == []
    service = minted("system/*.rs")
    having = ids(call("/Patient?_has:Observation:patient:code=29463-7&_count=500", service))
    assert {"Patient/ana", "Patient/ben"} <= set(having)
    assert ids(call("/Patient?_has:Observation:patient:code=no-such-code", service)) == []
    by_name = ids(call("/Observation?subject:Patient.name=Lindqvist&_count=500", service))
    assert set(ids(everything)) & set(by_name)


def test_a_chain_under_a_leaky_upstream_shows_nothing_more(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    everything = set(ids(call("/Observation?_count=500", token)))
    sandbox.leak()
    assert set(ids(call("/Observation?patient.gender=female&_count=500", token))) <= everything


ITERATED = "/MedicationRequest?_include=MedicationRequest:encounter&_include:iterate=Encounter:location"


def test_includes_go_on_for_two_hops(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    kinds = {one.partition("/")[0] for one in ids(call(ITERATED, token), "include")}
    assert kinds == {"Encounter", "Location"}
    three = f"{ITERATED}&_include:iterate=Location:organization"
    assert "Organization" not in {one.partition("/")[0] for one in ids(call(three, token), "include")}
    assert sandbox.targets()[0] == (
        "MedicationRequest?patient=Patient%2Fana&_include=MedicationRequest%3Aencounter"
        "&_include%3Aiterate=Encounter%3Alocation&_count=50"
    )


@pytest.mark.requirement("PROXY-27")
def test_what_a_hidden_include_brings_stays_hidden(sandbox: Behind, minted: Mint, call: Caller) -> None:
    """Without Encounter nothing is known of where it was, however open Location is."""
    token = minted("patient/MedicationRequest.rs patient/Location.rs", **ANA)
    assert ids(call(ITERATED, token), "include") == []
    sandbox.leak()
    assert ids(call(ITERATED, token), "include") == []
    filtered = minted("patient/MedicationRequest.rs patient/Encounter.r?status=planned patient/Location.rs", **ANA)
    assert ids(call(ITERATED, filtered), "include") == []


def test_iterating_includes_go_from_page_to_page(sandbox: Behind, minted: Mint, call: Caller) -> None:
    token = minted("patient/*.rs", **ANA)
    found, path = set(), f"{ITERATED}&_count=1"
    while path:
        response = call(path, token)
        found |= set(ids(response, "include"))
        path = link(response, "next") or ""
    assert found == set(ids(call(ITERATED, token), "include"))
