"""The facts of FHIR R4 this server needs, from the files the policy reads too: resource types, search parameters."""

import functools
import json
from pathlib import Path
from typing import Any

FHIR_VERSION = "4.0.1"

# Resources that are not DomainResources, and so have no DomainResource parameters (FHIR R4 resource.html).
NOT_DOMAIN_RESOURCES = frozenset({"Binary", "Bundle", "Parameters"})

# Search parameters of this server's own, which R4 does not have.
OWN_PARAMETERS: dict[str, dict[str, dict[str, Any]]] = {
    "Observation": {"remark": {"type": "string", "expr": "Observation.note.text"}},
}

FACTS = Path(__file__).resolve().parents[2] / "smartauth" / "policy" / "facts"


@functools.cache
def resource_types() -> frozenset[str]:
    """Return the names of all R4 resource types."""
    document = json.loads((FACTS / "compartment-patient-r4.json").read_text(encoding="utf-8"))
    return frozenset(document["type"])


@functools.cache
def search_parameter_definitions() -> dict[str, dict[str, dict[str, Any]]]:
    """Return {type: {parameter: {"type", "expr", "target", "component"}}}, with `Resource` as a type of its own."""
    document = json.loads((FACTS / "search-params-r4.json").read_text(encoding="utf-8"))
    base: dict[str, dict[str, dict[str, Any]]] = document["base"]
    for resource_type, own in OWN_PARAMETERS.items():
        base[resource_type].update(own)
    return base


def bases_of(resource_type: str) -> tuple[str, ...]:
    """Return the type and the abstract types whose search parameters it has too, nearest first."""
    if resource_type in NOT_DOMAIN_RESOURCES:
        return (resource_type, "Resource")
    return (resource_type, "DomainResource", "Resource")


@functools.cache
def patient_parameters() -> dict[str, tuple[str, ...]]:
    """Return the search parameters through which R4 puts each type into a patient's compartment."""
    document = json.loads((FACTS / "compartment-patient-r4.json").read_text(encoding="utf-8"))
    return {
        name: tuple(facts["params"])
        for name, facts in document["type"].items()
        if facts.get("inR4Definition") and facts.get("params") and name != "Patient"
    }
