"""Chained parameters and `_has`: filters that read one resource through another, and who may use them.

Whoever writes a reference chooses what it leads to, so a filter beyond it could be used to ask, one guess at a time,
about records that may not be seen. Source: FHIR R4 search, "Chained parameters" and "Reverse Chaining".
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

from fhirproxy.policy.authority import Authority, Everyone, Grant, Patients, reaches_all, union
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.plans import Deny, deny_letter
from smartauth.policy import r4

MAX_HOPS = 3
HOP = re.compile(r"(?P<name>_?[A-Za-z][A-Za-z0-9-]*)(?::(?P<kind>[A-Z][A-Za-z]*))?")
LAST = re.compile(r"(?P<name>_?[A-Za-z][A-Za-z0-9-]*)(?::(?P<modifier>[A-Za-z][A-Za-z-]*))?")
HAS = re.compile(r"_has:(?P<kind>[A-Z][A-Za-z]*):(?P<reference>[A-Za-z][A-Za-z0-9-]*):(?P<last>[^.]+)")
# The parameters whose chain stays with the patients a search is confined to.
SUBJECTS = frozenset({"patient", "subject"})

Find = Callable[[str, str], r4.Parameter | None]


@dataclass(frozen=True, slots=True)
class Hop:
    """One step from a resource to another: along `parameter`, or for `_has` against it, to one of type `reached`."""

    parameter: str
    reached: str
    reverse: bool = False


@dataclass(frozen=True, slots=True)
class Path:
    """A chain, read: its hops, the name up to its last parameter as it is sent, and that parameter's own parts."""

    hops: tuple[Hop, ...]
    prefix: str
    type: str  # of the resources the last parameter filters
    name: str
    modifier: str


def parse_chain(resource_type: str, name: str, find: Find) -> Path:
    """Read the name of a chained parameter, e.g. ``subject:Patient.name:exact``. Raises FhirRefusal."""
    *steps, last = name.split(".")
    found = LAST.fullmatch(last)
    if found is None or len(steps) > MAX_HOPS:
        raise bad_request("search.chain_form", f"a chain has at most {MAX_HOPS} steps and ends in a parameter")
    hops: list[Hop] = []
    prefix, source = "", resource_type
    for step in steps:
        hop, written = _step(source, step, find)
        hops.append(hop)
        prefix, source = f"{prefix}{written}.", hop.reached
    return Path(tuple(hops), prefix, source, found["name"], found["modifier"] or "")


def _step(source: str, step: str, find: Find) -> tuple[Hop, str]:
    found = HOP.fullmatch(step)
    parameter = find(source, found["name"]) if found else None
    if found is None or parameter is None or parameter.type != "reference":
        raise bad_request("search.chain_form", f"{source} has no reference parameter of the name in a chain")
    kind, targets = found["kind"], parameter.target
    if kind is None and (len(targets) != 1 or targets == ["*"]):
        fix = f"Write {found['name']}:Type before the point."
        raise bad_request("search.chain_type", f"{found['name']} can lead to several types", fix=fix)
    if kind is not None and not (r4.is_resource_type(kind) and (kind in targets or targets == ["*"])):
        raise bad_request("search.chain_type", f"{found['name']} does not lead to resources of the type in a chain")
    reached = kind or targets[0]
    # A type that goes without saying is not said: some servers do not expect it there.
    is_plain = len(targets) == 1 and targets != ["*"]
    return Hop(found["name"], reached), found["name"] if is_plain else f"{found['name']}:{reached}"


def parse_has(resource_type: str, name: str, find: Find) -> Path:
    """Read the name of a reverse chain, e.g. ``_has:Observation:patient:code``. Raises FhirRefusal."""
    found = HAS.fullmatch(name)
    last = LAST.fullmatch(found["last"]) if found else None
    if found is None or last is None or not r4.is_resource_type(found["kind"]):
        raise bad_request("search.chain_form", "_has is _has:Type:reference:parameter, once and without a chain")
    parameter = find(found["kind"], found["reference"])
    targets = parameter.target if parameter is not None and parameter.type == "reference" else []
    if not (resource_type in targets or targets == ["*"]):
        raise bad_request("search.chain_type", f"the parameter in _has does not refer to {resource_type}")
    prefix = f"_has:{found['kind']}:{found['reference']}:"
    hop = Hop(found["reference"], found["kind"], reverse=True)
    return Path((hop,), prefix, found["kind"], last["name"], last["modifier"] or "")


def deny_chain(resource_type: str, hops: tuple[Hop, ...], authority: Authority, reach: Patients) -> Deny | None:
    """Say why a chain is refused, or None. `reach`: the patients the search is confined to."""
    for index, hop in enumerate(hops):
        via = authority.having("s", hop.reached)
        if not via:
            return deny_letter(authority, "s", hop.reached, "searching")
        whole = tuple(grant for grant in via if not (grant.filters or grant.instance))
        if reaches_all(via, hop.reached) or (whole and r4.memberships()[hop.reached].cls == "shared"):
            continue
        if index > 0 or not _stays_with(resource_type, hop, whole, reach):
            reason = f"a filter on {hop.reached} through another resource needs full authority over {hop.reached}"
            return Deny("search.chain", reason, fix=f"Search {hop.reached} first.")
    return None


def _stays_with(resource_type: str, hop: Hop, whole: tuple[Grant, ...], reach: Patients) -> bool:
    """Return True when the search itself is confined to the patients whom the first hop can lead to."""
    facts = r4.memberships()[resource_type]
    if hop.reverse or hop.reached != "Patient" or hop.parameter not in SUBJECTS:
        return False
    if facts.cls != "compartment" or facts.narrow is None or isinstance(reach, Everyone):
        return False
    patients = union([grant.patients for grant in whole])
    return isinstance(patients, Everyone) or reach <= patients
