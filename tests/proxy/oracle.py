"""Which resources a token may see, written apart from the product: from the words of SMART and the compartment facts.

It looks at stored resources, shares no code with the proxy, and is slow on purpose.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import smartauth.policy

FACTS = json.loads((Path(smartauth.policy.__file__).parent / "facts" / "compartment-patient-r4.json").read_text())
TYPES: dict[str, Any] = FACTS["type"]
LETTERS = {"read": "rs", "write": "cud", "*": "cruds"}
OUR_BASES = ("http://127.0.0.1:8000/fhir/sandbox/r4/",)

Resource = dict[str, Any]


@dataclass(frozen=True)
class Token:
    """What a token says. `patient` and `fhir_user` are None when absent."""

    scopes: tuple[str, ...]
    patient: str | None = None
    fhir_user: str | None = None


def allowed(token: Token, resource: Resource, letters: str) -> bool:
    """Say whether some scope with one of `letters` lets the token see `resource`, in strict compartment mode."""
    return any(_one_allows(token, scope, resource, letters) for scope in token.scopes)


def _one_allows(token: Token, scope: str, resource: Resource, letters: str) -> bool:
    left, _, query = scope.partition("?")
    level, _, rest = left.partition("/")
    kind, _, suffix = rest.partition(".")
    if kind not in ("*", resource["resourceType"]) or not set(letters) & set(LETTERS.get(suffix, suffix)):
        return False
    if not all(_matches(resource, *pair.split("=", 1)) for pair in query.split("&") if pair):
        return False
    if TYPES[resource["resourceType"]]["class"] == "operator":
        return False
    if level == "system":
        return True
    patients = _patients(token, level)
    if patients == "everybody":
        return True
    return bool(patients) and _about(resource, patients)


def _patients(token: Token, level: str) -> Any:
    user = token.fhir_user or ""
    rights: Any = "nobody"
    if user.startswith("Practitioner/"):
        rights = "everybody"
    elif user.startswith("Patient/"):
        rights = {user.removeprefix("Patient/")}
    if level == "user":
        return rights if rights != "nobody" else set()
    if not token.patient:
        return set()
    if token.fhir_user is None or rights == "everybody":
        return {token.patient}
    return {token.patient} & (rights if rights != "nobody" else set())


def _about(resource: Resource, patients: set[str]) -> bool:
    """The strict rule: about authorized patients and nobody else."""
    facts = TYPES[resource["resourceType"]]
    kind = facts["class"]
    if kind == "patient-self":
        return resource.get("id") in patients
    if kind == "shared":
        return True
    if kind not in ("compartment", "conditional"):
        # Provenance, Binary and documents need a second resource; the first ring shows none to a patient.
        return False
    named = [_whom(value) for path in facts["primary"] for value in _at(resource, path.split("."))]
    if any(one == "unclear" or (one.startswith("Patient/") and one[8:] not in patients) for one in named):
        return False
    if any(one.startswith("Patient/") for one in named):
        return True
    if kind == "conditional":
        return True
    if named:
        return False
    others = [_whom(value) for path in facts.get("secondary", ()) for value in _at(resource, path.split("."))]
    return any(one.startswith("Patient/") and one[8:] in patients for one in others)


def _whom(value: Any) -> str:
    """Return Type/id of a reference, or "unclear"."""
    reference = value.get("reference") if isinstance(value, dict) else None
    declared = value.get("type") if isinstance(value, dict) else None
    if not isinstance(reference, str):
        return f"{declared}/?" if isinstance(declared, str) and declared != "Patient" else "unclear"
    for base in OUR_BASES:
        reference = reference.removeprefix(base)
    parts = reference.split("/")
    if len(parts) == 4 and parts[2] == "_history":
        parts = parts[:2]
    if len(parts) != 2 or parts[0] not in TYPES or not parts[1] or (declared and declared != parts[0]):
        return "unclear"
    return "/".join(parts)


def _at(value: Any, path: list[str]) -> list[Any]:
    if isinstance(value, list):
        return [found for one in value for found in _at(one, path)]
    if not path:
        return [value]
    return _at(value[path[0]], path[1:]) if isinstance(value, dict) and path[0] in value else []


def _matches(resource: Resource, name: str, wanted: str) -> bool:
    """Match one `category` or `code` constraint of a scope: system|code, comma means or."""
    codings = [coding for concept in _at(resource, [name]) for coding in _at(concept, ["coding"])]
    for alternative in wanted.split(","):
        system, bar, code = alternative.rpartition("|")
        for coding in codings:
            if coding.get("code") == code and (not bar or coding.get("system", "") == system):
                return True
    return False
