"""fhirContext in the words of each SMART version.  SMART 2.2 and 2.0 scopes-and-launch-context, "fhirContext"."""

from typing import Any

import pytest

from smartauth.policy.fhir_context import SmartVersion, told

IMAGING: dict[str, Any] = {"reference": "ImagingStudy/img-88"}
ROLES_SAID: dict[str, Any] = {"reference": "ServiceRequest/sr-1", "role": "launch", "type": "ServiceRequest"}
MEDICATIONS: dict[str, Any] = {"reference": "List/ml-3", "role": "https://cardio.example/roles/home-meds"}
FORM: dict[str, Any] = {"canonical": "https://forms.example/Questionnaire/intake|2.1", "type": "Questionnaire"}
ORDER: dict[str, Any] = {"identifier": {"system": "https://orders.example", "value": "7"}, "type": "ServiceRequest"}
OTHER_PATIENT: dict[str, Any] = {"reference": "Patient/ben", "role": "https://cardio.example/roles/donor"}
PATIENT: dict[str, Any] = {"reference": "Patient/ana"}
ENCOUNTER: dict[str, Any] = {"reference": "Encounter/e-1"}
EVERYTHING = [IMAGING, ROLES_SAID, MEDICATIONS, FORM, ORDER, OTHER_PATIENT]

CASES: list[tuple[SmartVersion, list[dict[str, Any]], Any]] = [
    # version  in context               told; None: left out
    ("2.2", [IMAGING], [IMAGING]),
    ("2.2", EVERYTHING, EVERYTHING),
    ("2.2", [], None),
    ("2.0", [IMAGING], ["ImagingStudy/img-88"]),
    ("2.0", [IMAGING, ROLES_SAID], ["ImagingStudy/img-88", "ServiceRequest/sr-1"]),
    ("2.0", [IMAGING, IMAGING], ["ImagingStudy/img-88"]),
    ("2.0", EVERYTHING, ["ImagingStudy/img-88", "ServiceRequest/sr-1"]),
    ("2.0", [MEDICATIONS], None),
    ("2.0", [FORM, ORDER], None),
    ("2.0", [PATIENT, ENCOUNTER, OTHER_PATIENT], None),
    ("2.0", [], None),
    ("1.0", EVERYTHING, None),
    ("1.0", [], None),
]


@pytest.mark.requirement("CTX-18", "V1-07", "T-22")
@pytest.mark.parametrize(("version", "entries", "expected"), CASES)
def test_fhir_context_is_told_as_the_version_says_or_left_out(
    version: SmartVersion, entries: list[dict[str, Any]], expected: Any
) -> None:
    rest = {"patient": "ana", "need_patient_banner": True}
    assert told(rest | {"fhirContext": entries}, version) == rest | (
        {} if expected is None else {"fhirContext": expected}
    )


@pytest.mark.parametrize("version", ["1.0", "2.0", "2.2"])
def test_without_a_fhir_context_nothing_changes(version: SmartVersion) -> None:
    assert told({"patient": "ana"}, version) == {"patient": "ana"}
    assert told({}, version) == {}
