"""Which operations a CapabilityStatement claims for a type: our own, those we pass on, and those the tenant adds.

Source: FHIR R4 capabilitystatement, rest.resource.operation.
"""

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.extras import Extras
from fhirproxy.policy.supported import Supported
from fhirproxy.policy.terminology import PARAMETERS as QUESTIONS

# Operations we carry out ourselves.
META = "http://hl7.org/fhir/OperationDefinition/Resource-meta"
LASTN = "http://hl7.org/fhir/OperationDefinition/Observation-lastn"
# Operations we ask the upstream for: ours as long as they are its.
VALIDATE = "http://hl7.org/fhir/OperationDefinition/Resource-validate"
PASSED_OPERATIONS = {
    ("Patient", "everything"): "http://hl7.org/fhir/OperationDefinition/Patient-everything",
    ("DocumentReference", "docref"): "http://hl7.org/fhir/us/core/OperationDefinition/docref",
    **{
        (kind, name.removeprefix("$")): f"http://hl7.org/fhir/OperationDefinition/{kind}-{name.removeprefix('$')}"
        for name, kind in QUESTIONS
    },
}


def offered_operations(
    kind: str,
    codes: set[Json],
    listed: frozenset[str],
    *,
    is_written: bool,
    supported: Supported,
    extras: Extras,
    public_url: str,
) -> list[Json]:
    """Return the operations of a type that some client may be allowed.

    codes: the upstream's interactions.  listed: names of its operations for the type.  extras: what the tenant adds; it
    knows that the upstream has them, and their definitions are named by us, since the upstream's may tell where it is.
    """
    found: dict[str, str] = {}
    if "read" in codes:
        found["meta"] = META
    if kind == "Observation" and "search-type" in codes and supported.has("Observation", "date"):
        found["lastn"] = LASTN  # It stands on a search in the order of dates.
    passed = {name: url for (place, name), url in PASSED_OPERATIONS.items() if place == kind and name in listed}
    found |= passed
    # A validation stands for a write, so it is for types that can be written.
    if is_written and "validate" in listed:
        found["validate"] = VALIDATE
    for place, _, name in extras.operations:
        if place == kind:
            bare = name.removeprefix("$")
            found[bare] = f"{public_url}/OperationDefinition/{kind}-{bare}"
    return [{"name": name, "definition": definition} for name, definition in found.items()]
