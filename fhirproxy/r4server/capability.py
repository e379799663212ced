"""The CapabilityStatement: computed from the same tables that answer searches."""

import functools

from fhirproxy.r4server.encoding import JsonObject, encode
from fhirproxy.r4server.facts import FHIR_VERSION, resource_types
from fhirproxy.r4server.search.parameters import parameter_kind, parameter_names

# What this software can do changes with the software only, so its date is fixed too.
_DATE = "2025-01-01"

_BULK = "http://hl7.org/fhir/uv/bulkdata/OperationDefinition"
_EXPORTS: dict[str, JsonObject] = {
    "": {"name": "export", "definition": f"{_BULK}/export"},
    "Patient": {"name": "export", "definition": f"{_BULK}/patient-export"},
    "Group": {"name": "export", "definition": f"{_BULK}/group-export"},
}

_INTERACTIONS = ("read", "vread", "history-instance", "history-type", "update", "delete", "create", "search-type")
_OPERATIONS = {
    "everything": ("Patient",),
    "docref": ("DocumentReference",),
    "expand": ("ValueSet",),
    "validate-code": ("ValueSet", "CodeSystem"),
    "lookup": ("CodeSystem",),
    "subsumes": ("CodeSystem",),
    "translate": ("ConceptMap",),
}
_VALIDATE = {"name": "validate", "definition": "http://hl7.org/fhir/OperationDefinition/Resource-validate"}
_SYSTEM_INTERACTIONS = ("transaction", "search-system", "history-system")


@functools.cache
def statement(base_url: str) -> bytes:
    """Return the CapabilityStatement as JSON.  Source: FHIR R4 capabilitystatement.html."""
    document: JsonObject = {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": _DATE,
        "kind": "instance",
        "software": {"name": "Small R4 server"},
        "implementation": {"description": "Synthetic data for the sandbox and the tests", "url": base_url},
        "fhirVersion": FHIR_VERSION,
        "format": ["application/fhir+json", "json"],
        "rest": [
            {
                "mode": "server",
                "resource": [_resource(name) for name in sorted(resource_types())],
                "interaction": [{"code": code} for code in _SYSTEM_INTERACTIONS],
                "operation": [_EXPORTS[""]],
            }
        ],
    }
    return encode(document)


def _resource(resource_type: str) -> JsonObject:
    names = parameter_names(resource_type)
    references = [name for name in names if parameter_kind(resource_type, name) == "reference"]
    described: JsonObject = {
        "type": resource_type,
        "interaction": [{"code": code} for code in _INTERACTIONS],
        "versioning": "versioned",
        "readHistory": True,
        "updateCreate": True,
        "conditionalCreate": False,
        "conditionalUpdate": False,
        "searchInclude": ["*", *(f"{resource_type}:{name}" for name in references)],
        "searchParam": [{"name": name, "type": parameter_kind(resource_type, name)} for name in names],
    }
    operations = [name for name, types in _OPERATIONS.items() if resource_type in types]
    described["operation"] = [
        {"name": name, "definition": f"http://hl7.org/fhir/OperationDefinition/{resource_type}-{name}"}
        for name in operations
    ]
    described["operation"].append(_VALIDATE)
    if resource_type in _EXPORTS:
        described["operation"].append(_EXPORTS[resource_type])
    return described
