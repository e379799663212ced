"""What an EHR may put into a launch, and what of it an app is told. Pure.

Source: SMART 2.2 scopes-and-launch-context, "Launch context arrives with your access_token" and "fhirContext".
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from smartauth.policy import r4
from smartauth.policy.fhir_context import MAIN_ROLE, MEMBER, TOP_LEVEL

FHIR_ID = re.compile(r"[A-Za-z0-9.-]{1,64}")
REFERENCE = re.compile(r"(?P<type>[A-Z][A-Za-z]+)/[A-Za-z0-9.-]{1,64}")
ENTRY = frozenset({"reference", "canonical", "identifier", "type", "role"})
# The members of FHIR's Identifier; those with structure are told as they came.
IDENTIFIER = frozenset({"use", "type", "system", "value", "period", "assigner"})
# They have members of their own; beside them stands only what is there in another role.
MAIN_TYPES = tuple(one.removesuffix("/") for one in TOP_LEVEL)
MOST_ENTRIES = 50
LONGEST = 2_000  # characters of a URL or an identifier


def fhir_context_problem(entries: object) -> str:
    """Say why `entries` is not a fhirContext as SMART 2.2 has it, or return "".

    An array of objects. Each has at least one of `reference` ("Type/id"), `canonical` (an absolute URL, "|version"
    after it) and `identifier` (a FHIR Identifier with its `value`); without a reference, `type` too. `role` is a URI,
    or "launch".
    """
    if not isinstance(entries, list) or not all(isinstance(one, dict) for one in entries):
        return "it is not an array of objects"
    if len(entries) > MOST_ENTRIES:
        return f"it has more than {MOST_ENTRIES} entries"
    return next(filter(None, map(_entry_problem, entries)), "")


def types_in(context: Mapping[str, Any]) -> frozenset[str]:
    """Return what is in context, as scopes name it: "patient", "imagingstudy", …"""
    named = {name for name in ("patient", "encounter") if context.get(name)}
    return frozenset(named | {_type_of(one).lower() for one in context.get(MEMBER, ())} - {""})


def _entry_problem(entry: Mapping[str, Any]) -> str:
    if not entry.keys() <= ENTRY:
        return "an entry has a member that fhirContext does not know"
    if not entry.keys() & {"reference", "canonical", "identifier"}:
        return "an entry has none of reference, canonical and identifier"
    problem = _target_problem(entry) or _role_problem(entry.get("role", MAIN_ROLE))
    if problem:
        return problem
    kind = _type_of(entry)
    if not r4.is_resource_type(kind):
        return "an entry has no type, or one that FHIR R4 does not know"
    if entry.get("type", kind) != kind:
        return "the type of an entry is not that of its reference"
    if kind in MAIN_TYPES and entry.get("role", MAIN_ROLE) == MAIN_ROLE:
        return "the patient and the encounter of a launch are told as patient and encounter"
    return ""


def _target_problem(entry: Mapping[str, Any]) -> str:
    reference = entry.get("reference", "Any/any")
    if not isinstance(reference, str) or REFERENCE.fullmatch(reference) is None:
        return "a reference is not Type/id"
    if "canonical" in entry and not _is_url(entry["canonical"], then=r"(?:\|[^\s|]+)?"):
        return "a canonical is not an absolute URL"
    return _identifier_problem(entry["identifier"]) if "identifier" in entry else ""


def _identifier_problem(identifier: object) -> str:
    match identifier:
        case {"value": str(value), **rest} if 0 < len(value) <= LONGEST:
            is_good = rest.keys() <= IDENTIFIER and _is_uri(rest.get("system", "urn:x")) and len(str(rest)) <= LONGEST
            return "" if is_good else "an identifier has more than a FHIR Identifier has, or a system that is no URI"
    return "an identifier has no value"


def _role_problem(role: object) -> str:
    return "" if role == MAIN_ROLE or _is_uri(role) else 'a role is neither an absolute URI nor "launch"'


def _type_of(entry: Mapping[str, Any]) -> str:
    kind = entry["reference"].partition("/")[0] if "reference" in entry else entry.get("type", "")
    return kind if isinstance(kind, str) else ""


def _is_url(text: object, *, then: str = "") -> bool:
    if not isinstance(text, str) or len(text) > LONGEST:
        return False
    return re.fullmatch(rf"https?://[^\s|]+{then}", text) is not None and bool(urlsplit(text).hostname)


def _is_uri(text: object) -> bool:
    return isinstance(text, str) and len(text) <= LONGEST and re.fullmatch(r"[a-z][a-z0-9+.-]*:\S+", text) is not None
