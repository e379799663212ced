"""Bodies of writes: strict JSON to a resource that can be read in one way only, rebuilt where servers read hints.

Source: FHIR R4 json, resource ("Resource Metadata"), narrative.
"""

import re

from fhirproxy.policy.bodies import Json, MalformedJson, Resource, parse_resource
from fhirproxy.policy.headers import require_media
from fhirproxy.policy.narrative import UnsafeNarrative, require_safe
from fhirproxy.policy.outcomes import bad_request, unprocessable
from smartauth.policy import r4

RESOURCE_TYPES = frozenset({"application/fhir+json", "application/json"})
NAME = re.compile(r"_?[a-z][A-Za-z0-9]*")
NESTED = frozenset({"contained", "resource", "outcome"})  # the elements that hold a whole resource
KEPT_META = {"profile": str, "tag": dict, "security": dict}
# Of the elements through which a membership path goes, those that R4 lets repeat; all others hold one value.
REPEATING = frozenset(
    {
        "Account.subject", "Appointment.participant", "AuditEvent.agent", "AuditEvent.entity", "CarePlan.activity",
        "CarePlan.activity.detail.performer", "CareTeam.participant", "Communication.recipient",
        "CommunicationRequest.recipient", "Composition.attester", "Composition.author", "Contract.subject",
        "Coverage.payor", "DocumentManifest.author", "DocumentManifest.recipient", "DocumentReference.author",
        "Group.member", "MedicationAdministration.performer", "MedicationDispense.receiver", "Observation.performer",
        "Patient.link", "Person.link", "Procedure.performer", "Provenance.target", "RequestGroup.action",
        "RequestGroup.action.participant", "Schedule.actor", "ServiceRequest.performer",
    }
)  # fmt: skip


def read_resource(content_type: str, data: bytes, resource_type: str) -> Resource:
    """Return the body of a create or update, cleaned. Raises FhirRefusal: 400, 415 or 422."""
    require_media(content_type, RESOURCE_TYPES)
    return parse_clean(data, resource_type)


def read_tree(data: bytes, *, rule: str = "body.json") -> Resource:
    """Return the JSON of a body as it is. Raises FhirRefusal (400) for what is no FHIR resource."""
    try:
        return parse_resource(data)
    except MalformedJson as why:
        raise bad_request(rule, f"the body cannot be read: {why}") from None


def parse_clean(data: bytes, resource_type: str) -> Resource:
    """Return JSON text as a resource of a type whose `meta` holds only what a client may say. Raises FhirRefusal."""
    tree = read_tree(data)
    if tree["resourceType"] != resource_type:
        raise bad_request("body.type", f"the body is not a resource of the type {resource_type}")
    _walk(tree)
    _require_known_elements(tree, resource_type)
    require_shape(tree, resource_type)
    meta = rebuilt_meta(tree.pop("meta", None))
    tree.pop("_meta", None)
    return {"resourceType": resource_type, **({"meta": meta} if meta else {}), **tree}


def _walk(node: Json) -> None:
    """Look at every name, every nested resource and every narrative. No deeper than the parser admits."""
    if isinstance(node, list):
        for one in node:
            _walk(one)
    elif isinstance(node, dict):
        for name, value in node.items():
            if NAME.fullmatch(name) is None:
                raise bad_request("body.name", "the body has a name that no FHIR element has", seen=name[:64])
            if name in NESTED:
                _require_resources(value)
            if name == "div":
                _require_narrative(value)
            if isinstance(value, dict | list):
                _walk(value)


def _require_resources(value: Json) -> None:
    for one in value if isinstance(value, list) else [value]:
        # Elements called `resource` also hold codes and references; a whole resource says its type.
        kind = one.get("resourceType") if isinstance(one, dict) else None
        if kind is None:
            continue
        if not isinstance(kind, str) or not r4.is_resource_type(kind):
            raise unprocessable("body.nested", "the body holds a resource of an unknown type")
        _require_known_elements(one, kind)
        require_shape(one, kind)


def _require_known_elements(resource: Json, kind: str) -> None:
    known = frozenset(r4.elements(kind).elements)
    for name in resource if isinstance(resource, dict) else ():
        if name != "resourceType" and name.removeprefix("_") not in known:
            raise unprocessable("body.element", f"{kind} has no element of this name", seen=name[:64])


def require_shape(resource: Json, kind: str) -> None:
    """Raise FhirRefusal (422) unless what says whom a resource is about has the shape R4 gives it.

    A list where one value belongs is read by one server as its first member and by another as its last.
    """
    facts = r4.memberships()[kind]
    for path in (*facts.primary, *facts.secondary):
        steps = path.split(".")
        nodes: list[Json] = [resource]
        for depth, step in enumerate(steps, start=1):
            repeats = ".".join((kind, *steps[:depth])) in REPEATING
            nodes = [value for node in nodes for value in _values(node, step, kind, repeats=repeats)]


def _values(node: Json, step: str, kind: str, *, repeats: bool) -> list[Json]:
    if not isinstance(node, dict) or step not in node:
        return []
    value = node[step]
    found: list[Json] = value if isinstance(value, list) else [value]
    if isinstance(value, list) is not repeats or not found or not all(isinstance(one, dict) for one in found):
        raise unprocessable("body.shape", f"{step} does not have the shape that {kind} gives it")
    return found


def _require_narrative(value: Json) -> None:
    if not isinstance(value, str):
        raise unprocessable("body.narrative", "a narrative is not text")
    try:
        require_safe(value)
    except UnsafeNarrative as why:
        raise unprocessable("body.narrative", f"a narrative cannot be stored: {why}") from None


def rebuilt_meta(meta: Json) -> Resource:
    """Return what a client may say in `meta`; servers read tenants and partitions out of the rest."""
    if meta is None:
        return {}
    if not isinstance(meta, dict):
        raise unprocessable("body.meta", "meta is not an object")
    kept: Resource = {}
    for name, kind in KEPT_META.items():
        values = meta.get(name)
        if values is None:
            continue
        if not isinstance(values, list) or not all(isinstance(one, kind) for one in values):
            raise unprocessable("body.meta", f"meta.{name} does not have the shape R4 gives it")
        if values:
            kept[name] = values
    return kept
