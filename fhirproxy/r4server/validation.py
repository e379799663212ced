"""The $validate operation: elements a type does not have, and mandatory ones that are missing.

As permissive as everything here: profiles are not known, and what is wrong is told with names and values.
Source: FHIR R4 resource-operation-validate.html.
"""

import functools
import json
from typing import Any

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import FACTS, resource_types
from fhirproxy.r4server.store import Store


def validate(store: Store, resource_type: str, resource_id: str | None, body: object) -> JsonObject:
    """Return an OperationOutcome about the resource in the body. Raises FhirError 400, 404 or 410."""
    if resource_type not in resource_types():
        raise FhirError(404, "not-supported", "not a resource type of FHIR R4")
    parameters = _parameters(body)
    resource, mode = parameters.get("resource"), parameters.get("mode", "")
    if mode == "delete":
        current = store.find(resource_type, resource_id or "")
        if current is None or current.resource is None:
            raise FhirError(410 if current else 404, "not-found", "there is no such resource")
        return _outcome([])
    if not isinstance(resource, dict) or resource.get("resourceType") != resource_type:
        raise FhirError(400, "invalid", "there is no resource of the type in the URL")
    return _outcome(_issues(resource, mode))


def _parameters(body: object) -> dict[str, Any]:
    if not isinstance(body, dict) or body.get("resourceType") != "Parameters":
        return {"resource": body}
    listed = [one for one in body.get("parameter", []) if isinstance(one, dict)]
    return {one.get("name", ""): next((one[name] for name in one if name != "name"), None) for one in listed}


@functools.cache
def _elements() -> dict[str, dict[str, Any]]:
    document = json.loads((FACTS / "elements-r4.json").read_text(encoding="utf-8"))
    types: dict[str, dict[str, Any]] = document["type"]
    return types


def _issues(resource: JsonObject, mode: str) -> list[JsonObject]:
    kind = resource["resourceType"]
    facts = _elements()[kind]
    known = {"resourceType", *facts["elements"]}
    found = [
        _issue("structure", f"{kind} has no element {name}", f"{kind}.{name}")
        for name in resource
        if name.removeprefix("_") not in known
    ]
    for name in facts.get("mandatory", []):
        if not any(one in resource for one in facts.get("choices", {}).get(name, [name])):
            found.append(_issue("required", f"{kind}.{name} is missing", f"{kind}.{name}"))
    if mode == "update" and "id" not in resource:
        found.append(_issue("required", "an update has an id", f"{kind}.id"))
    return found


def _issue(code: str, diagnostics: str, expression: str) -> JsonObject:
    return {"severity": "error", "code": code, "diagnostics": diagnostics, "expression": [expression]}


def _outcome(issues: list[JsonObject]) -> JsonObject:
    fine = {"severity": "information", "code": "informational", "diagnostics": "no issues were found"}
    return {"resourceType": "OperationOutcome", "issue": issues or [fine]}
