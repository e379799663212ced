"""A simulated decision in lines for people."""

from collections.abc import Iterator, Mapping
from typing import Any


def as_lines(told: Mapping[str, Any]) -> Iterator[str]:
    """Yield what `simulation.simulate` told, step by step."""
    token = told["token"]
    yield f"request    {told['request']}"
    yield f"token      {_members(token, 'client', 'tenant', 'user', 'fhirUser', 'patient')}"
    yield f"asked      {told['asked']}"
    yield f"scopes     {' '.join(token['scopes']) or 'none: what was asked is not registered, or not allowed here'}"
    yield f"parse      {_parse(told['parse'])}"
    for grant in told["grants"] or [None]:
        yield f"grant      {_grant(grant) if grant else 'none'}"
    for fact in told["facts"]:
        yield f"not asked  {fact}"
    yield from _decision(told["decision"])
    if told["switches"]:
        yield f"switches   {', '.join(told['switches'])} (loosened by the tenant)"
    for difference in told["without"]:
        yield f"without    {difference['scope']}"
        yield from (f"  {line}" for line in _decision(difference["decision"]))


def _decision(decision: Mapping[str, Any]) -> Iterator[str]:
    word = {True: "allowed", False: "refused", None: "not known"}[decision["allowed"]]
    status = f", status {decision['status']}" if "status" in decision else ""
    yield f"decision   {word}, rule {decision['rule']}{status}"
    for name, label in (("reason", "reason"), ("missing_scope", "lacks"), ("seen", "seen"), ("fix", "fix")):
        if decision.get(name):
            yield f"{label:<10} {decision[name]}"
    if decision["allowed"] and "via" in decision:
        request = decision.get("request")
        yield f"upstream   {request if request else 'nothing is asked: the answer is known to be empty, or 404'}"
        for grant in decision["via"]:
            yield f"via        {_grant(grant)}"


def _grant(grant: Mapping[str, Any]) -> str:
    patients = grant["patients"] if isinstance(grant["patients"], str) else ", ".join(grant["patients"])
    instance = f", only {grant['instance']}" if "instance" in grant else ""
    return f"{grant['scope']}  for {patients}{instance}"


def _parse(parse: Mapping[str, Any] | None) -> str:
    if parse is None:
        return "the request cannot be read"
    return _members(parse, *(name for name in parse if parse[name] not in ([], None)))


def _members(tree: Mapping[str, Any], *names: str) -> str:
    said = ((name, tree.get(name)) for name in names)
    return "  ".join(f"{name}={' '.join(v) if isinstance(v, list) else v}" for name, v in said if v not in (None, ""))
