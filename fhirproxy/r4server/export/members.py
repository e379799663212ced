"""In whose compartment a resource lies, by the letter of the CompartmentDefinition: any listed path will do.

Source: FHIR R4 compartmentdefinition-patient.
"""

import functools
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.search.references import split_reference
from fhirproxy.r4server.store import Store, Version

_FACTS = Path(__file__).resolve().parents[3] / "smartauth" / "policy" / "facts" / "compartment-patient-r4.json"


def compartment_patients(version: Version) -> frozenset[str]:
    """Return the ids of the patients a resource is linked to."""
    if version.resource_type == "Patient":
        return frozenset({version.id})
    facts = _memberships()[version.resource_type]
    paths = [*facts.get("primary", ()), *facts.get("secondary", ())]
    found = (_patient(value) for path in paths for value in _values(version.resource, path.split(".")))
    return frozenset(one for one in found if one)


def group_members(store: Store, group: str) -> frozenset[str]:
    """Return the ids of the patients in a Group. Raises FhirError 404 when there is no such Group."""
    version = store.find_current(f"Group/{group}")
    if version is None:
        raise FhirError(404, "not-found", "there is no such group")
    return frozenset(one for one in map(_patient, _values(version.resource, ["member", "entity"])) if one)


@functools.cache
def _memberships() -> dict[str, dict[str, Any]]:
    document: dict[str, dict[str, dict[str, Any]]] = json.loads(_FACTS.read_text(encoding="utf-8"))
    return document["type"]


def _values(node: Any, path: list[str]) -> Iterator[Any]:
    if isinstance(node, list):
        for one in node:
            yield from _values(one, path)
    elif not path:
        yield node
    elif isinstance(node, Mapping) and path[0] in node:
        yield from _values(node[path[0]], path[1:])


def _patient(reference: Any) -> str:
    text = reference.get("reference") if isinstance(reference, Mapping) else None
    literal = split_reference(text) if isinstance(text, str) else None
    kind, _, patient = literal[1].partition("/") if literal else ("", "", "")
    return patient if kind == "Patient" else ""
