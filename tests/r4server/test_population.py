"""The population is the same every time, whole, and contains what the proxy has to be proven against."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from fhirproxy.r4server.encoding import encode
from fhirproxy.r4server.population import generate
from fhirproxy.r4server.population.people import ROSTER
from fhirproxy.r4server.search.references import split_reference
from fhirproxy.r4server.store import identity_of

US_CORE_CLINICAL = frozenset(
    [
        "AllergyIntolerance",
        "Appointment",
        "CarePlan",
        "CareTeam",
        "Condition",
        "Coverage",
        "Device",
        "DiagnosticReport",
        "DocumentReference",
        "Encounter",
        "FamilyMemberHistory",
        "Goal",
        "Immunization",
        "List",
        "MedicationDispense",
        "MedicationRequest",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "RelatedPerson",
        "ServiceRequest",
        "Specimen",
    ]
)
SHARED = "Practitioner PractitionerRole Organization Location Medication Group Questionnaire Schedule Provenance Binary"


@pytest.fixture(scope="module")
def sandbox_resources() -> dict[str, dict[str, Any]]:
    return {f"{each['resourceType']}/{each['id']}": each for each in generate("sandbox")}


@pytest.mark.parametrize("name", ["sandbox", "small", "empty"])
def test_two_generations_are_the_same_to_the_byte(name: str) -> None:
    assert encode(generate(name)) == encode(generate(name))


@pytest.mark.parametrize("name", ["sandbox", "small"])
def test_every_resource_has_a_key_of_its_own(name: str) -> None:
    keys = Counter(identity_of(each) for each in generate(name))
    assert keys.most_common(1)[0][1] == 1


def test_the_sandbox_has_the_size_that_was_wished_for(sandbox_resources: dict[str, dict[str, Any]]) -> None:
    assert len(ROSTER) >= 22
    assert 1500 <= len(sandbox_resources) <= 3000
    assert {"Patient/ana", "Patient/ben", "Practitioner/dr-grey"} <= sandbox_resources.keys()


@pytest.mark.parametrize("patient", ["ana", "ben"])
def test_each_us_core_type_is_there_for_each_of_the_cast(
    sandbox_resources: dict[str, dict[str, Any]], patient: str
) -> None:
    about = {
        each["resourceType"] for each in sandbox_resources.values() if f"Patient/{patient}" in set(_references(each))
    }
    assert about >= US_CORE_CLINICAL


def test_what_belongs_to_no_patient_is_there_too(sandbox_resources: dict[str, dict[str, Any]]) -> None:
    assert set(SHARED.split()) <= {each["resourceType"] for each in sandbox_resources.values()}


@pytest.mark.parametrize(
    ("system", "code", "resource_type"),
    [
        ("http://terminology.hl7.org/CodeSystem/condition-category", "problem-list-item", "Condition"),
        ("http://terminology.hl7.org/CodeSystem/condition-category", "encounter-diagnosis", "Condition"),
        ("http://hl7.org/fhir/us/core/CodeSystem/condition-category", "health-concern", "Condition"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "vital-signs", "Observation"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "laboratory", "Observation"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "social-history", "Observation"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "survey", "Observation"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "exam", "Observation"),
        ("http://terminology.hl7.org/CodeSystem/observation-category", "procedure", "Observation"),
        ("http://hl7.org/fhir/us/core/CodeSystem/us-core-category", "sdoh", "Observation"),
    ],
)
def test_ana_has_something_in_each_category_that_granular_scopes_name(
    sandbox_resources: dict[str, dict[str, Any]], system: str, code: str, resource_type: str
) -> None:
    hers = (
        each
        for each in sandbox_resources.values()
        if each["resourceType"] == resource_type and each.get("subject") == {"reference": "Patient/ana"}
    )
    codings = (coding for each in hers for concept in each["category"] for coding in concept["coding"])
    assert any((coding["system"], coding["code"]) == (system, code) for coding in codings)


def test_references_lead_somewhere_unless_they_are_meant_not_to(sandbox_resources: dict[str, dict[str, Any]]) -> None:
    dangling = {
        f"{base}{key}"
        for each in sandbox_resources.values()
        for base, key in filter(None, map(split_reference, _references(each)))
        if base or key not in sandbox_resources
    }
    assert dangling == {"https://other.example.org/fhir/Patient/ana"}


def test_every_document_has_its_bytes_and_only_some_bytes_say_whose_they_are(
    sandbox_resources: dict[str, dict[str, Any]],
) -> None:
    documents = [each for each in sandbox_resources.values() if each["resourceType"] == "DocumentReference"]
    binaries = [sandbox_resources[each["content"][0]["attachment"]["url"]] for each in documents]
    with_context = [each for each in binaries if "securityContext" in each]
    assert 0 < len(with_context) < len(binaries)


@pytest.mark.parametrize(
    ("key", "path", "reference"),
    [
        ("Observation/ben-pulse-taken-by-ana", "performer", "Patient/ana"),
        ("Observation/ben-weight-focus-ana", "focus", "Patient/ana"),
        ("Observation/family-household-water", "subject", "Group/ana-and-ben"),
        ("Observation/contained-subject", "subject", "#p"),
        ("Observation/foreign-ana", "subject", "https://other.example.org/fhir/Patient/ana"),
        ("Condition/ben-migraine-said-by-ana", "asserter", "Patient/ana"),
        ("Account/joint-account", "subject", "Patient/ben"),
        ("Appointment/joint-appointment", "participant", "Patient/ben"),
    ],
)
def test_the_small_population_has_what_is_awkward(key: str, path: str, reference: str) -> None:
    small = {f"{each['resourceType']}/{each['id']}": each for each in generate("small")}
    assert reference in _references(small[key][path])
    assert len(small) < 50


def test_ids_that_look_alike_belong_to_different_patients(sandbox_resources: dict[str, dict[str, Any]]) -> None:
    assert {f"Patient/{each}" for each in ("ana", "ANA", "ana2", "ana-maria", "ben", "ben.1")} <= set(sandbox_resources)


def _references(value: object) -> Iterator[str]:
    match value:
        case dict():
            if isinstance(value.get("reference"), str):
                yield value["reference"]
            for inner in value.values():
                yield from _references(inner)
        case list():
            for inner in value:
                yield from _references(inner)
