"""The $validate operation as a value, and what its body asks: which write is meant, and with which resource.

The body is read only once a letter for some write is known to be there. Source: FHIR R4 resource-operation-validate.
"""

from dataclasses import dataclass, field
from typing import Literal, get_args

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.headers import Headers, require_media
from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from fhirproxy.policy.results import Shape, parse_shape, single
from fhirproxy.policy.targets import Pairs
from fhirproxy.policy.written import RESOURCE_TYPES, read_tree

Mode = Literal["create", "update", "delete"]
SHAPING = frozenset({"_format", "_pretty"})
# Parameter of the operation to the members that may hold its value.
VALUES = {"mode": frozenset({"valueCode", "valueString"}), "profile": frozenset({"valueUri", "valueCanonical"})}


@dataclass(frozen=True, slots=True)
class Validate:
    """POST /Type/$validate or /Type/id/$validate. `mode` and `profile`: as named in the query, or empty."""

    type: str
    id: str | None
    mode: str = ""
    profile: str = ""
    content_type: str = ""
    body: bytes = field(repr=False, default=b"")
    shape: Shape = field(default_factory=Shape)


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be judged: a write of `resource`, or a delete of what is there when it is None."""

    mode: Mode
    profile: str
    resource: Resource | None


def read_validation(
    resource_type: str, resource_id: str | None, pairs: Pairs, headers: Headers, body: bytes
) -> Validate:
    """Return the operation with a body nobody has read yet. Raises FhirRefusal (400)."""
    if headers.if_match or headers.if_none_match or headers.if_none_exist:
        raise bad_request("validate.condition", "a validation takes no conditions: it writes nothing")
    results: dict[str, list[str]] = {}
    for name, value in pairs:
        if name not in VALUES and name not in SHAPING:
            raise bad_request("operation.parameter", "the operation takes no such parameter", seen=name[:64])
        results.setdefault(name, []).append(value)
    mode, profile = single(results, "mode"), single(results, "profile")
    shaping = {name: values for name, values in results.items() if name in SHAPING}
    shape = parse_shape("Basic", shaping, for_search=False)
    return Validate(resource_type, resource_id, mode, profile, headers.content_type, body, shape)


def read_asked(wanted: Validate) -> Asked:
    """Return what the query and the body ask together. Raises FhirRefusal (400 or 415).

    The body is the resource itself, or Parameters that hold it.
    """
    given, resource = _read_body(wanted)
    mode = _once("mode", wanted.mode, given) or ("update" if wanted.id else "create")
    profile = _once("profile", wanted.profile, given)
    if mode not in get_args(Mode):
        raise bad_request("validate.mode", "the mode is create, update or delete")
    if (mode == "create" and wanted.id) or (mode == "delete" and not wanted.id):
        raise bad_request("validate.mode", "a create is of a type, and a delete of one resource")
    if (resource is None) is not (mode == "delete"):
        raise bad_request("validate.resource", "there is one resource, except for a delete, which has none")
    return Asked(mode, profile, resource)  # type: ignore[arg-type]  # mypy does not narrow by get_args


def _read_body(wanted: Validate) -> tuple[dict[str, str], Resource | None]:
    if not wanted.body:
        return {}, None
    require_media(wanted.content_type, RESOURCE_TYPES)
    tree = read_tree(wanted.body)
    if tree["resourceType"] != "Parameters":
        return {}, tree
    parameters = tree.get("parameter", [])
    if not tree.keys() <= {"resourceType", "parameter"} or not isinstance(parameters, list):
        raise _malformed()
    given: dict[str, str] = {}
    resource: Resource | None = None
    for one in parameters:
        name, value = _parameter(one)
        if name in given or (name == "resource" and resource is not None):
            raise bad_request("query.repeated", f"{name} may occur once")
        if isinstance(value, str):
            given[name] = value
        else:
            resource = value
    return given, resource


def _parameter(one: Json) -> tuple[str, str | Resource]:
    name = one.get("name") if isinstance(one, dict) else None
    if isinstance(one, dict) and len(one) == 2 and isinstance(name, str):
        (member,) = one.keys() - {"name"}
        value = one[member]
        if name == member == "resource" and isinstance(value, dict):
            return name, value
        if member in VALUES.get(name, ()) and isinstance(value, str) and value:
            return name, value
    raise _malformed()


def _malformed() -> FhirRefusal:
    return bad_request("operation.parameters", "the parameters are resource, mode and profile, each with one value")


def _once(name: str, in_query: str, given: dict[str, str]) -> str:
    if in_query and name in given:
        raise bad_request("query.repeated", f"{name} may occur once")
    return in_query or given.get(name, "")
