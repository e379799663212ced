"""What an EHR may put into fhirContext, and what it names of what scopes ask for.

SMART 2.2 scopes-and-launch-context, "fhirContext".
"""

from typing import Any

import pytest

from smartauth.policy.launch import MOST_ENTRIES, fhir_context_problem, types_in

QUESTIONNAIRE = "https://forms.example/Questionnaire/intake"
MRN = {"system": "https://ehr.example.org/mrn", "value": "0815"}

GOOD: list[Any] = [
    [],
    [{"reference": "ImagingStudy/img-88"}],
    [{"reference": "ImagingStudy/img-88", "type": "ImagingStudy"}],
    [{"reference": "ImagingStudy/img-88", "role": "launch"}],
    [{"reference": "List/ml-3", "role": "https://cardio.example/roles/home-meds"}],
    [{"reference": "List/ml-3", "role": "urn:example:home-meds"}],
    [{"reference": "List/a", "role": "https://x.example/r"}, {"reference": "List/b", "role": "https://x.example/r"}],
    [{"canonical": QUESTIONNAIRE, "type": "Questionnaire"}],
    [{"canonical": f"{QUESTIONNAIRE}|2.1", "type": "Questionnaire", "role": "https://x.example/form"}],
    [{"identifier": MRN, "type": "DocumentReference"}],
    [{"identifier": {"value": "0815"}, "type": "DocumentReference"}],
    [{"identifier": MRN | {"use": "official", "type": {"text": "MRN"}, "period": {}}, "type": "DocumentReference"}],
    # One thing may be named in several ways.
    [{"reference": "ImagingStudy/img-88", "identifier": MRN}],
    [{"reference": "Questionnaire/intake", "canonical": QUESTIONNAIRE, "type": "Questionnaire"}],
    # The main ones are told elsewhere; others of their kind have a role.
    [{"reference": "Patient/mother", "role": "https://x.example/mother"}],
    [{"reference": "Encounter/earlier", "role": "https://x.example/earlier"}],
    [{"reference": f"List/{one}"} for one in range(MOST_ENTRIES)],
]
BAD: list[Any] = [
    None,
    {},
    "ImagingStudy/img-88",
    ["ImagingStudy/img-88"],
    [{"reference": "List/a"}, None],
    [{}],
    [{"type": "List"}],
    [{"reference": "List/a", "note": "x"}],
    [{"reference": "List/a", "canonical": QUESTIONNAIRE, "type": "Questionnaire"}],
    [{"reference": "List/a", "canonical": "intake"}],
    [{"reference": "List/a", "identifier": {}}],
    [{"reference": None, "identifier": MRN, "type": "List"}],
    [{"reference": "Patient/ana", "identifier": MRN}],
    # References are relative, and to something.
    [{"reference": ""}],
    [{"reference": "List"}],
    [{"reference": "List/"}],
    [{"reference": "List/a/_history/1"}],
    [{"reference": "List/a b"}],
    [{"reference": "https://ehr.example.org/List/a"}],
    [{"reference": "Nothing/a"}],
    [{"reference": {"reference": "List/a"}}],
    [{"reference": "List/a", "type": "Basic"}],
    # Canonicals are absolute, and say of what.
    [{"canonical": QUESTIONNAIRE}],
    [{"canonical": QUESTIONNAIRE, "type": "Nothing"}],
    [{"canonical": QUESTIONNAIRE, "type": 7}],
    [{"canonical": "Questionnaire/intake", "type": "Questionnaire"}],
    [{"canonical": f"{QUESTIONNAIRE}|", "type": "Questionnaire"}],
    [{"canonical": f"{QUESTIONNAIRE}|1|2", "type": "Questionnaire"}],
    [{"canonical": "https://", "type": "Questionnaire"}],
    [{"canonical": ["x"], "type": "Questionnaire"}],
    # So do identifiers.
    [{"identifier": MRN}],
    [{"identifier": {"system": MRN["system"]}, "type": "List"}],
    [{"identifier": {"value": ""}, "type": "List"}],
    [{"identifier": {"value": "1", "system": "mrn"}, "type": "List"}],
    [{"identifier": {"value": "1", "note": "x"}, "type": "List"}],
    [{"identifier": {"value": "1", "assigner": {"display": "x" * 2_000}}, "type": "List"}],
    [{"identifier": "0815", "type": "List"}],
    # A role is a URI or the one that may be left out.
    [{"reference": "List/a", "role": ""}],
    [{"reference": "List/a", "role": "home-meds"}],
    [{"reference": "List/a", "role": None}],
    [{"reference": "List/a", "role": ["launch"]}],
    [{"reference": "List/a", "role": "https://x.example/a b"}],
    [{"reference": "Patient/ana"}],
    [{"reference": "Patient/ana", "role": "launch"}],
    [{"reference": "Encounter/e", "type": "Encounter"}],
    [{"identifier": MRN, "type": "Patient"}],
    [{"reference": f"List/{one}"} for one in range(MOST_ENTRIES + 1)],
]


@pytest.mark.requirement("CTX-12", "CTX-13", "CTX-14", "CTX-15")
@pytest.mark.parametrize("entries", GOOD, ids=lambda part: str(part)[:60])
def test_it_has_objects_that_each_name_one_thing(entries: Any) -> None:
    assert fhir_context_problem(entries) == ""


@pytest.mark.requirement("CTX-12", "CTX-13", "CTX-14", "CTX-15")
@pytest.mark.parametrize("entries", BAD, ids=lambda part: str(part)[:60])
def test_anything_else_is_refused_with_a_reason(entries: Any) -> None:
    assert fhir_context_problem(entries)


NAMED = [
    ({}, set()),
    ({"need_patient_banner": True}, set()),
    ({"patient": "ana"}, {"patient"}),
    ({"patient": "ana", "encounter": "e"}, {"patient", "encounter"}),
    ({"fhirContext": GOOD[1]}, {"imagingstudy"}),
    ({"fhirContext": [*GOOD[4], *GOOD[7]]}, {"list", "questionnaire"}),
]


@pytest.mark.parametrize(("context", "named"), NAMED)
def test_scopes_name_types_in_lower_case(context: dict[str, Any], named: set[str]) -> None:
    assert types_in(context) == named
