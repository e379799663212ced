"""Chains and reverse chains."""

import pytest

from tests.r4server.caller import Caller


@pytest.fixture
def filled(scratch: Caller) -> Caller:
    scratch.load(
        {"resourceType": "Practitioner", "id": "grey", "name": [{"family": "Grey"}]},
        {
            "resourceType": "Patient",
            "id": "a",
            "gender": "female",
            "generalPractitioner": [{"reference": "Practitioner/grey"}],
        },
        {"resourceType": "Patient", "id": "b", "gender": "male"},
        *(
            {
                "resourceType": "Observation",
                "id": f"o-{one}",
                "status": "final",
                "code": {"coding": [{"code": code}]},
                "subject": {"reference": f"Patient/{one}"},
            }
            for one, code in (("a", "x"), ("b", "y"))
        ),
    )
    return scratch


CHAINS = [
    ("Observation?patient.gender=female", ["Observation/o-a"]),
    ("Observation?subject:Patient.gender=male", ["Observation/o-b"]),
    ("Observation?subject.gender=male", ["Observation/o-b"]),
    ("Observation?subject:Group.code=male", []),
    ("Observation?patient.general-practitioner:Practitioner.name=grey", ["Observation/o-a"]),
    ("Observation?patient.general-practitioner:Practitioner.family:exact=grey", []),
    ("Patient?_has:Observation:patient:code=x", ["Patient/a"]),
    ("Patient?_has:Observation:patient:code=z", []),
    ("Practitioner?_has:Patient:general-practitioner:_has:Observation:patient:code=x", ["Practitioner/grey"]),
]


@pytest.mark.parametrize(("target", "found"), CHAINS)
def test_chains(filled: Caller, target: str, found: list[str]) -> None:
    assert filled.search(target).matches == found


@pytest.mark.parametrize("target", ["Observation?code.text=x", "Observation?patient.nothing=x", "Patient?_has:X:y:z=1"])
def test_what_is_no_chain_is_refused(filled: Caller, target: str) -> None:
    assert filled.send("GET", target, Prefer="handling=strict").status == 400
    assert filled.search("Observation?patient.gender=nonbinary").matches == []
