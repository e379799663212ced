"""Whether a person may still act for the patient of an earlier launch."""

import pytest

from smartauth.policy.relations import may_act_for

CASES = [
    # patient   fhirUser                    related     holds
    (None,      None,                       [],         True),
    ("ana",     "Patient/ana",              [],         True),
    ("ben",     "Patient/ana",              [],         False),
    ("ben",     "Patient/ana",              ["ben"],    True),
    ("ana",     "Patient/ana2",             [],         False),
    ("ana",     None,                       [],         False),
    ("ana",     None,                       ["ana"],    True),
    ("ana",     "Practitioner/dr-grey",     [],         True),
    ("ana",     "RelatedPerson/mother",     [],         True),
]  # fmt: skip


@pytest.mark.parametrize(("patient", "fhir_user", "related", "holds"), CASES)
def test_a_person_may_act_for(patient: str | None, fhir_user: str | None, related: list[str], holds: bool) -> None:
    assert may_act_for(patient, fhir_user=fhir_user, related=related) is holds
