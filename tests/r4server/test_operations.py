"""Operations that gather: everything about a patient, documents of one."""

from tests.r4server.caller import Caller


def test_everything_is_the_compartment_and_what_it_refers_to(sandbox: Caller) -> None:
    found = sandbox.search("Patient/ana/$everything?_count=1000").matches
    assert found[0] == "Patient/ana"
    kinds = {one.partition("/")[0] for one in found}
    assert {"Observation", "Encounter", "Practitioner", "Organization"} <= kinds
    assert "Patient/ben" not in found
    assert len(found) == len(set(found))


def test_everything_takes_types_and_dates_and_comes_in_pages(sandbox: Caller) -> None:
    found = sandbox.search("Patient/ana/$everything?_type=Condition,Encounter&_count=1000").matches
    assert {one.partition("/")[0] for one in found} == {"Condition", "Encounter"}
    assert sandbox.search("Patient/ana/$everything?_since=2099-01-01").matches == []
    first = sandbox.search("Patient/ana/$everything?_count=5")
    assert (len(first.matches), first.link("next") is not None) == (5, True)
    assert sandbox.send("GET", "Patient/nobody/$everything").status == 404


def test_docref_finds_documents_by_date(sandbox: Caller) -> None:
    found = sandbox.search("DocumentReference/$docref?patient=ana").matches
    assert found
    assert all(one.startswith("DocumentReference/") for one in found)
    assert sandbox.search("DocumentReference/$docref?patient=ana&end=1990").matches == []
    assert sandbox.send("GET", "DocumentReference/$docref").status == 400


def test_this_server_has_operations_of_its_own(sandbox: Caller) -> None:
    assert sandbox.search("Observation/$noted").matches[0].partition("/")[0] == "Observation"
    count, patient, around = sandbox.send("GET", "Patient/ana/$overview").json["parameter"]
    assert count["valueInteger"] == len(around["part"]) > 0
    assert patient["resource"]["id"] == "ana"
