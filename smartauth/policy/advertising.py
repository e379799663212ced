"""What discovery documents say of what can be asked and how: every list of theirs, once. Pure.

A test calls each entry and sees it work, so an entry arrives here together with what it promises.
Source: SMART 2.2 conformance; RFC 8414 §2; OIDC Discovery §3; US Core SMART scopes.
"""

from typing import Literal

GRANT_TYPES = ("authorization_code", "refresh_token", "client_credentials")
RESPONSE_TYPES = ("code",)
RESPONSE_MODES = ("query",)
CODE_CHALLENGE_METHODS = ("S256",)
SUBJECT_TYPES = ("public",)
ID_TOKEN_CLAIMS = ("sub", "iss", "aud", "exp", "iat", "auth_time", "nonce", "at_hash", "fhirUser", "profile")
SECRET_METHODS = ("client_secret_basic", "client_secret_post")  # of clients that share a secret with us
KEY_METHOD = "private_key_jwt"
PUBLIC_METHOD = "none"  # SMART has no word for it among the methods, RFC 8414 has
# A caller of introspection may show a token instead: RFC 8414 §2 takes its type for the name of the method.
TOKEN_METHOD = "Bearer"
# What works whatever is switched on. Words of SMART 2.2 conformance, "Capabilities".
CAPABILITIES = (
    "launch-ehr",
    "launch-standalone",
    "authorize-post",
    "client-public",
    "client-confidential-symmetric",
    "sso-openid-connect",
    "context-banner",
    "context-style",
    "context-ehr-patient",
    "context-ehr-encounter",
    "context-standalone-patient",
    "context-standalone-encounter",
    "permission-offline",
    "permission-online",
    "permission-patient",
    "permission-user",
    "permission-v1",
    "permission-v2",
)
KEY_CAPABILITY = "client-confidential-asymmetric"
STATE_SCOPES = ("patient/Basic.cuds", "user/Basic.cuds")  # SMART 2.2 app-state
APP_STATE_CAPABILITY = "smart-app-state"  # of a base of its own, not of the FHIR base
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
LAUNCH_SCOPES = (
    *("openid", "fhirUser", "launch", "launch/patient", "launch/encounter", "offline_access", "online_access"),
)
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


def capabilities(assertion_algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the capabilities of SMART that work. assertion_algorithms: those a client may sign its assertion with."""
    return (*CAPABILITIES, KEY_CAPABILITY) if assertion_algorithms else CAPABILITIES


def client_methods(assertion_algorithms: tuple[str, ...]) -> tuple[str, ...]:
    """Return how a client proves who it is; a public one proves nothing."""
    return (*SECRET_METHODS, KEY_METHOD) if assertion_algorithms else SECRET_METHODS


def all_scopes(*, app_state: bool = False) -> tuple[str, ...]:
    """Return the scopes worth telling partners about: those of a launch, and those US Core names at each level.

    app_state: apps can keep state here.
    """
    levels = (advertised_scopes("patient"), advertised_scopes("user"), advertised_scopes("system"))
    return (*LAUNCH_SCOPES, *(scope for level in levels for scope in level), *(STATE_SCOPES if app_state else ()))


def advertised_scopes(level: Literal["patient", "user", "system"]) -> tuple[str, ...]:
    """Return the resource and granular scopes of one level, in v2 letters; each of them can be granted."""
    granular = (
        f"{level}/{resource}.rs?category={value}" for resource, values in CATEGORIES.items() for value in values
    )
    return (f"{level}/*.rs", *(f"{level}/{resource}.rs" for resource in US_CORE_TYPES), *granular)
