"""Which exports a CapabilityStatement claims: those the upstream offers, at the three levels we let through.

Source: Bulk Data Access IG, CapabilityStatement bulk-data; FHIR R4 capabilitystatement, rest.operation.
"""

from fhirproxy.policy.bodies import Json, Resource

GUIDE = "http://hl7.org/fhir/uv/bulkdata"
DEFINITIONS = {"Patient": "patient-export", "Group": "group-export"}


def add_exports(document: Resource, rest: Resource, source: Resource) -> None:
    """Add to our statement the exports that the upstream's `source` offers, in place. `rest` is our only rest."""
    server = _server(source)
    found = False
    if _offers(server):
        rest["operation"] = [_operation("export")]
        found = True
    upstream = {one.get("type"): one for one in _objects(server.get("resource"))}
    for one in _objects(rest.get("resource")):
        definition = DEFINITIONS.get(str(one["type"]))
        if definition and _offers(upstream[one["type"]]):
            listed = one.get("operation")
            one["operation"] = [*(listed if isinstance(listed, list) else []), _operation(definition)]
            found = True
    if found:
        document["instantiates"] = [f"{GUIDE}/CapabilityStatement/bulk-data"]


def _operation(definition: str) -> Json:
    return {"name": "export", "definition": f"{GUIDE}/OperationDefinition/{definition}"}


def _offers(place: Resource) -> bool:
    return any(one.get("name") in ("export", "$export") for one in _objects(place.get("operation")))


def _server(source: Resource) -> Resource:
    return next((one for one in _objects(source.get("rest")) if one.get("mode") == "server"), {})


def _objects(values: Json) -> list[Resource]:
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []
