"""Operations a tenant adds: what is asked upstream, and on which grants. Every resource in a result is checked.

What such an operation looks at is not known here, so its values are for those who see everything. Source: FHIR R4
operations.
"""

from dataclasses import dataclass

from fhirproxy.policy.authority import Authority, Everyone, Grant, union
from fhirproxy.policy.operating import read_instance
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.plans import CanonicalRequest, Deny, ReadPlan, canonical_request, deny_letter
from fhirproxy.policy.references import Bases, find_local
from fhirproxy.policy.results import SHAPE_NAMES, Shape, parse_shape
from fhirproxy.policy.targets import Pairs

MAX_TEXT = 500


@dataclass(frozen=True, slots=True)
class OwnOperation:
    """GET or POST /Type/$name or /Type/id/$name. `patients`: those its values name by a reference."""

    name: str
    type: str
    id: str | None
    result: str
    pairs: Pairs
    patients: frozenset[str]
    shape: Shape


@dataclass(frozen=True, slots=True)
class OwnOperationPlan:
    """Ask, and check each resource of a `result`: Bundle, Parameters, or one resource of that type.

    `within`: a resource that must be readable first. `sees_all`: nothing is hidden from the token.
    """

    request: CanonicalRequest
    type: str
    id: str
    interaction: str
    result: str
    via: tuple[Grant, ...]
    shape: Shape
    within: ReadPlan | None
    sees_all: bool
    rule: str = "allow"


def parse_own_operation(
    name: str, resource_type: str, resource_id: str | None, result: str, pairs: Pairs, bases: Bases
) -> OwnOperation:
    """Read an operation the tenant has added: primitive parameters alone. Raises FhirRefusal (400)."""
    results: dict[str, list[str]] = {}
    asked: list[tuple[str, str]] = []
    for key, value in pairs:
        if key in SHAPE_NAMES - {"_elements", "_summary"}:
            results.setdefault(key, []).append(value)
        elif len(value) > MAX_TEXT or key.startswith("_"):
            raise bad_request("operation.parameter", "the operation takes no such parameter", seen=key[:64])
        else:
            asked.append((key, value))
    found = (find_local(value, bases) for _, value in asked)
    patients = frozenset(local.id for local in found if local is not None and local.type == "Patient")
    shape = parse_shape("Basic", results, for_search=False)
    return OwnOperation(name, resource_type, resource_id, result, tuple(asked), patients, shape)


def decide_own_operation(wanted: OwnOperation, authority: Authority) -> OwnOperationPlan | Deny:
    """Say what to ask upstream, or why not. Of a type it needs `s`, of an instance `r`."""
    within: ReadPlan | None = None
    if wanted.id is None:
        via = authority.having("s", wanted.type)
        if not via:
            return deny_letter(authority, "s", wanted.type, "searching")
    else:
        found = read_instance(wanted.type, wanted.id, wanted.shape, authority)
        if isinstance(found, Deny):
            return found
        within, via = found, found.via
    reach = union([grant.patients for grant in via])
    if not isinstance(reach, Everyone) and not wanted.patients <= reach:
        return Deny("compartment", "the operation names a patient outside the authority")
    segments = (wanted.type, *((wanted.id,) if wanted.id else ()), wanted.name)
    return OwnOperationPlan(
        request=canonical_request(segments, wanted.pairs),
        type=wanted.type,
        id=wanted.id or "",
        interaction=wanted.name,
        result=wanted.result,
        via=via,
        shape=wanted.shape,
        within=within,
        sees_all=any(grant.is_full and grant.permits("s", "*") for grant in authority.grants),
    )
