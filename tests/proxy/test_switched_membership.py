"""Every resource of an awkward population, read under each reading of compartments: judged by rules written apart."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import smartauth.policy
from clients.models import Tenant
from fhirproxy.r4server.population import generate
from tests.proxy.conftest import Behind, Caller, Mint

FACTS = json.loads((Path(smartauth.policy.__file__).parent / "facts" / "compartment-patient-r4.json").read_text())
POPULATION = {f"{one['resourceType']}/{one['id']}": one for one in generate("small")}
JUDGED = ("patient-self", "compartment", "conditional", "shared", "operator")

Resource = dict[str, Any]


def at(value: Any, path: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for one in value for found in at(one, path)]
    if not path:
        return [value]
    return at(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


def named(resource: Resource, *roles: str) -> list[str]:
    """Return `Patient/ana`, `Group/g` or "unclear" for every reference in these roles."""
    facts = FACTS["type"][resource["resourceType"]]
    found = []
    for value in (one for role in roles for path in facts.get(role, ()) for one in at(resource, path.split("."))):
        reference = value.get("reference") if isinstance(value, dict) else None
        declared = value.get("type") if isinstance(value, dict) else None
        parts = reference.split("/")[:2] if isinstance(reference, str) else [declared or "", "?"]
        is_plain = len(parts) == 2 and parts[0] in FACTS["type"] and declared in (None, parts[0])
        is_versioned = isinstance(reference, str) and reference.count("/") not in (1, 3)
        is_known = is_plain and not is_versioned and (isinstance(reference, str) or declared != "Patient")
        found.append("/".join(parts) if is_known else "unclear")
    return found


def formally(resource: Resource) -> bool:
    return "Patient/ana" in named(resource, "primary", "secondary")


def any_of(resource: Resource) -> bool:
    about = named(resource, "primary")
    if "unclear" in about:
        return False
    if "Patient/ana" in about:
        return True
    return not about and "Patient/ana" in named(resource, "secondary")


def strictly(resource: Resource) -> bool:
    about = named(resource, "primary")
    return any_of(resource) and not [one for one in about if one.startswith("Patient/") and one != "Patient/ana"]


COMPARTMENT = [name for name, facts in FACTS["type"].items() if facts["class"] == "compartment"]
MODES: dict[str, tuple[dict[str, Any], Callable[[Resource], bool], bool]] = {
    "strict": ({}, strictly, True),
    "formal": ({"compartment_mode": "formal"}, formally, True),
    "any": ({"type_overrides": dict.fromkeys(COMPARTMENT, "any")}, any_of, True),
    "closed": ({"shared_read": False}, strictly, False),
}


@pytest.mark.requirement("PROXY-20")
@pytest.mark.parametrize("mode", MODES)
def test_each_resource_is_read_exactly_where_the_switch_lets_it(
    small: Behind, minted: Mint, call: Caller, mode: str
) -> None:
    switches, is_ana_s, shared = MODES[mode]
    Tenant.objects.update(policy=switches)
    token = minted("patient/*.rs", patient="ana")
    seen = {True: 0, False: 0}
    for name, resource in POPULATION.items():
        match FACTS["type"][resource["resourceType"]]["class"]:
            case "compartment":
                expected = is_ana_s(resource)
            case "patient-self":
                expected = resource["id"] == "ana"
            case "conditional":
                about = named(resource, "primary")
                strangers = [one for one in about if one.startswith(("Patient/", "unclear")) and one != "Patient/ana"]
                expected = not strangers and (shared or "Patient/ana" in about)
            case "shared":
                expected = shared
            case "operator":
                expected = False
            case _:
                continue  # What hangs on other resources has its own tests.
        assert ((call(f"/{name}", token).status_code == 200), name) == (expected, name)
        seen[expected] += 1
    assert min(seen.values()) > 4


def test_the_population_tells_the_modes_apart() -> None:
    compartment = [one for one in POPULATION.values() if one["resourceType"] in COMPARTMENT]
    assert sum(formally(one) and not strictly(one) for one in compartment) > 3
    assert sum(any_of(one) and not strictly(one) for one in compartment) > 0
