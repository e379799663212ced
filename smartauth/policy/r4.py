"""Facts of FHIR R4 4.0.1 that policy leans on: resource types, search parameters, elements, patient compartment.

The files under `facts/` are read once, at first use; they are part of the code, not input.
"""

import re
from functools import cache
from importlib import resources

import msgspec


class Membership(msgspec.Struct, frozen=True):
    """How one resource type relates to patients. Paths are dotted JSON names; any step may be an array."""

    cls: str = msgspec.field(name="class")
    in_definition: bool = msgspec.field(name="inR4Definition", default=False)
    group: str = ""
    params: dict[str, list[str]] = {}
    primary: list[str] = []  # whom the resource is about
    secondary: list[str] = []  # other roles R4 counts as membership
    narrow: str | None = None  # the search parameter that confines a search to patients
    when_no_patient: str = msgspec.field(name="whenNoPatient", default="")  # class applied when nobody is named


class Component(msgspec.Struct, frozen=True):
    """One part of a composite parameter: the code of the part and its path below the composite's own."""

    code: str
    expr: str


class Parameter(msgspec.Struct, frozen=True):
    """One search parameter of one base type. `expr` is FHIRPath; `target` holds "*" for any type."""

    type: str
    expr: str = ""
    target: list[str] = []
    components: list[Component] = msgspec.field(name="component", default=[])
    multiple_or: bool = msgspec.field(name="or", default=True)  # False: commas do not separate alternatives


class Elements(msgspec.Struct, frozen=True):
    """Top-level elements of one resource type."""

    elements: list[str]
    summary: list[str] = []
    mandatory: list[str] = []
    choices: dict[str, list[str]] = {}
    refs: dict[str, list[str]] = {}
    attachments: list[str] = []


class _MembershipFile(msgspec.Struct):
    type: dict[str, Membership]


class _ParameterFile(msgspec.Struct):
    base: dict[str, dict[str, Parameter]]


class _ElementsFile(msgspec.Struct):
    type: dict[str, Elements]


def _read(name: str) -> bytes:
    return resources.files("smartauth.policy").joinpath("facts", name).read_bytes()


@cache
def memberships() -> dict[str, Membership]:
    """Return the patient-compartment facts of each of the 146 concrete R4 resource types."""
    return msgspec.json.decode(_read("compartment-patient-r4.json"), type=_MembershipFile).type


@cache
def _parameters() -> dict[str, dict[str, Parameter]]:
    return msgspec.json.decode(_read("search-params-r4.json"), type=_ParameterFile).base


@cache
def _elements() -> dict[str, Elements]:
    return msgspec.json.decode(_read("elements-r4.json"), type=_ElementsFile).type


def is_resource_type(name: str) -> bool:
    """Return True for an exact, case-sensitive R4 resource type name."""
    return name in memberships()


# R4 lists these under every type but three; the three have no narrative and no extensions of their own.
_PLAIN_RESOURCES = frozenset({"Binary", "Bundle", "Parameters"})


_ONLY_TARGET = re.compile(r"\.where\(resolve\(\) is (\w+)\)$")


@cache
def search_parameters(resource_type: str) -> dict[str, Parameter]:
    """Return every search parameter of `resource_type`, the inherited ones included. Source: FHIR R4 search."""
    bases = _parameters()
    found = dict(bases.get("Resource", {}))
    if resource_type not in _PLAIN_RESOURCES:
        found.update(bases.get("DomainResource", {}))
    found.update(bases.get(resource_type, {}))
    return {name: _with_its_targets(parameter, resource_type) for name, parameter in found.items()}


def _with_its_targets(parameter: Parameter, resource_type: str) -> Parameter:
    """Return a reference parameter with the targets its expression can reach.

    HL7 lists every type that any base of a shared definition may refer to: `patient` of AllergyIntolerance has Group
    among its targets, although the element takes a Patient and nothing else.
    """
    if parameter.type != "reference" or resource_type not in _elements():
        return parameter
    reachable: set[str] = set()
    for part in parameter.expr.split(" | "):
        if match := _ONLY_TARGET.search(part.strip()):
            reachable.add(match[1])
        else:
            path = part.strip().removeprefix(f"{resource_type}.")
            reachable.update(_elements()[resource_type].refs.get(path, parameter.target))
    targets = sorted(reachable if parameter.target == ["*"] else reachable & {*parameter.target})
    return msgspec.structs.replace(parameter, target=targets) if targets else parameter


def elements(resource_type: str) -> Elements:
    """Return the top-level elements of a known type. Raises KeyError for an unknown one."""
    return _elements()[resource_type]
