"""The scopes worth telling partners about: those US Core asks a server to list. Pure.

Source: US Core SMART scopes; SMART 2.2 conformance, `scopes_supported`.
"""

from typing import Literal

US_CORE_TYPES = (
    "AllergyIntolerance",
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
    "Location",
    "Medication",
    "MedicationDispense",
    "MedicationRequest",
    "Observation",
    "Organization",
    "Patient",
    "Practitioner",
    "PractitionerRole",
    "Procedure",
    "Provenance",
    "QuestionnaireResponse",
    "RelatedPerson",
    "ServiceRequest",
    "Specimen",
)
# What an app may ask for besides data. `profile` is understood as SMART 1.0's word for fhirUser, and not advertised.
LAUNCH_SCOPES = ("openid", "fhirUser", "launch/patient", "offline_access", "online_access")
_HL7 = "http://terminology.hl7.org/CodeSystem"
_US_CORE = "http://hl7.org/fhir/us/core/CodeSystem"
CATEGORIES = {
    "Condition": (
        f"{_HL7}/condition-category|encounter-diagnosis",
        f"{_HL7}/condition-category|problem-list-item",
        f"{_US_CORE}/condition-category|health-concern",
    ),
    "DocumentReference": (f"{_US_CORE}/us-core-documentreference-category|clinical-note",),
    "Observation": (
        f"{_HL7}/observation-category|laboratory",
        f"{_HL7}/observation-category|procedure",
        f"{_HL7}/observation-category|social-history",
        f"{_HL7}/observation-category|survey",
        f"{_HL7}/observation-category|vital-signs",
        f"{_US_CORE}/us-core-category|sdoh",
    ),
}


def advertised_scopes(level: Literal["patient", "user", "system"]) -> tuple[str, ...]:
    """Return the resource and granular scopes of one level, in v2 letters; each of them can be granted."""
    granular = (
        f"{level}/{resource}.rs?category={value}" for resource, values in CATEGORIES.items() for value in values
    )
    return (f"{level}/*.rs", *(f"{level}/{resource}.rs" for resource in US_CORE_TYPES), *granular)
