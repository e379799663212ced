"""Does a whole resource match the search filter of a granular scope? Judged here, on what came back.

Codes compare case-sensitively. Comma is OR inside one filter, filters are AND. What cannot be judged does not match.
Source: SMART 2.2 scopes-and-launch-context, "Finer-grained resource constraints using search parameters"; FHIR R4
search, "token" and "reference".
"""

from functools import cache

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.dates import date_matches, find_interval, interval_of, split_prefix
from fhirproxy.policy.expressions import Branch, evaluate, parse_expression
from fhirproxy.policy.references import Bases, classify, find_local, is_id
from fhirproxy.policy.values import MalformedValue, split_escaped, unescape
from smartauth.policy import r4

Filters = tuple[tuple[str, str], ...]
# What each kind of token element calls its system and its code.
CODE_NAMES = (("system", "code"), ("system", "value"))


def is_supported(resource_type: str, filters: Filters, bases: Bases) -> bool:
    """Return True when every filter can be judged exactly. A scope with one that cannot grants nothing.

    `resource_type` may be "*": then only parameters every type has can be judged.
    """
    return all(_is_judged(resource_type, name, value, bases) for name, value in filters)


def matches(resource: Resource, filters: Filters, bases: Bases) -> bool:
    """Return True when `resource` matches every filter."""
    kind = resource.get("resourceType")
    if not isinstance(kind, str):
        return False
    return all(_matches_one(resource, kind, name, value, bases) for name, value in filters)


def _is_judged(resource_type: str, name: str, value: str, bases: Bases) -> bool:
    found = _parameter(resource_type, name)
    if found is None:
        return False
    parameter, _ = found
    try:
        alternatives = split_escaped(value, ",")
    except MalformedValue:
        return False
    return all(_is_judged_value(parameter, text, bases) for text in alternatives)


def _is_judged_value(parameter: r4.Parameter, text: str, bases: Bases) -> bool:
    if not text:
        return False
    match parameter.type:
        case "date":
            parts = split_prefix(text)
            return parts is not None and parts[0] != "ap"
        case "reference":
            return _wanted_reference(parameter, text, bases) is not None
        case "token":
            return len(split_escaped(text, "|")) <= 2 and text != "|"
    return parameter.type == "uri"


@cache
def _parameter(resource_type: str, name: str) -> tuple[r4.Parameter, tuple[Branch, ...]] | None:
    # For "*" the type is one that has nothing but what all types have.
    parameter = r4.search_parameters("Parameters" if resource_type == "*" else resource_type).get(name)
    if parameter is None or not parameter.expr:
        return None
    branches = parse_expression(parameter.expr)
    return (parameter, branches) if branches is not None else None


def _matches_one(resource: Resource, kind: str, name: str, value: str, bases: Bases) -> bool:
    found = _parameter(kind, name)
    if found is None:
        return False
    parameter, branches = found
    values = evaluate(branches, resource, bases)
    return any(_matches_value(parameter, one, text, bases) for text in split_escaped(value, ",") for one in values)


def _matches_value(parameter: r4.Parameter, value: Json, text: str, bases: Bases) -> bool:
    match parameter.type:
        case "token":
            return _matches_token(value, text)
        case "reference":
            wanted = _wanted_reference(parameter, text, bases)
            who = classify(value, bases)
            target = getattr(who, "target", who)
            return wanted is not None and (getattr(target, "type", ""), getattr(target, "id", "")) == wanted
        case "date":
            parts, interval = split_prefix(text), interval_of(value)
            bound = find_interval(parts[1]) if parts else None
            return bool(parts and bound and interval and date_matches(interval, parts[0], bound))
        case "uri":
            return value == unescape(text)
    return False


def _wanted_reference(parameter: r4.Parameter, text: str, bases: Bases) -> tuple[str, str] | None:
    if is_id(text):
        return (parameter.target[0], text) if len(parameter.target) == 1 and parameter.target != ["*"] else None
    local = find_local(unescape(text), bases)
    return (local.type, local.id) if local is not None and local.version is None else None


def _matches_token(value: Json, text: str) -> bool:
    parts = [unescape(part) for part in split_escaped(text, "|")]
    system, code = (None, parts[0]) if len(parts) == 1 else (parts[0], parts[1])
    return any(
        (system is None or system == has_system) and (not code or code == has_code)
        for has_system, has_code in _tokens(value)
    )


def _tokens(value: Json) -> list[tuple[str, str]]:
    """Return (system, code) of every code in a token element; an absent system is the empty text."""
    if isinstance(value, bool):
        return [("", "true" if value else "false")]
    if isinstance(value, str):
        return [("", value)]
    if not isinstance(value, dict):
        return []
    codings = value.get("coding")
    if isinstance(codings, list):
        return [token for coding in codings if isinstance(coding, dict) for token in _tokens(coding)]
    for system_name, code_name in CODE_NAMES:
        code = value.get(code_name)
        if isinstance(code, str):
            system = value.get(system_name)
            return [(system if isinstance(system, str) else "", code)]
    return []
