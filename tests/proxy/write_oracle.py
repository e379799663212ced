"""What a write may change, written apart from the product: from the words of the policy on writes, §4.

Like the oracle of reading it looks at what is stored, before and after, and not at what was sent.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from tests.proxy.oracle import TYPES, Resource, State, Token, allowed, below_base, inside, reach, values_at, whom

# All that a reference may say which tells whom a resource is about.
PLAIN = frozenset({"reference", "display", "type"})


@dataclass(frozen=True)
class Change:
    """One resource before and after a request; None where it is not there."""

    key: str  # Type/id
    old: Resource | None
    new: Resource | None

    @property
    def kind(self) -> str:
        return self.key.partition("/")[0]

    @property
    def letter(self) -> str:
        if self.old is None:
            return "c"
        return "d" if self.new is None else "u"


def objection(token: Token, change: Change, before: State, after: State) -> str:
    """Return in a few words why the token may not make a change, or an empty text."""
    for resource, state, when in ((change.old, before, "before"), (change.new, after, "after")):
        if resource is None:
            continue
        whose = admitting(token, resource, change.letter, state)
        if not whose:
            return f"outside {when}, or without the letter {change.letter}"
        if is_everybodys(change, resource, state) and "everybody" not in whose:
            return "written for everybody by one who does not reach everybody"
    if change.new is None:
        return ""
    return _about_labels(token, change, before) or _about_content(token, change, change.new, before, after)


def admitting(token: Token, resource: Resource, letter: str, state: State) -> list[Any]:
    """Return whom each scope that admits a resource reaches: a set of patients, or "everybody"."""
    alone = [replace(token, scopes=(scope,)) for scope in token.scopes]
    return [
        reach(one, resource["resourceType"], letter, state) for one in alone if allowed(one, resource, letter, state)
    ]


def is_everybodys(change: Change, resource: Resource, state: State) -> bool:
    """Say whether a change is of what concerns all: directories, who is a patient at all, and what names no patient."""
    match TYPES[change.kind]["class"]:
        case "shared" | "operator":
            return True
        case "patient-self":
            return change.letter in "cd"
        case "conditional":
            paths = TYPES[change.kind]["primary"]
            return not any(
                whom(value, state).startswith("Patient/")
                for path in paths
                for value in values_at(resource, path.split("."))
            )
    return False


def _about_labels(token: Token, change: Change, state: State) -> str:
    """Who is confined in any way changes no security label, and no mark that one of the scopes goes by."""
    if any(
        "?" not in scope and reach(replace(token, scopes=(scope,)), change.kind, change.letter, state) == "everybody"
        for scope in token.scopes
    ):
        return ""
    kept = ["security"]
    if change.old is not None:
        kept += [name for name in ("tag", "profile") if _goes_by(token, change.kind, f"_{name}", state)]
    for name in kept:
        if _meta(change.old, name) != _meta(change.new, name):
            return f"meta.{name} is not what it was"
    return ""


def _goes_by(token: Token, kind: str, name: str, state: State) -> bool:
    return any(
        f"?{name}=" in scope or f"&{name}=" in scope
        for scope in token.scopes
        if any(reach(replace(token, scopes=(scope,)), kind, letter, state) for letter in "cruds")
    )


def _meta(resource: Resource | None, name: str) -> Any:
    return ((resource or {}).get("meta") or {}).get(name) or []


def _about_content(token: Token, change: Change, new: Resource, before: State, after: State) -> str:
    """Who reaches single patients says plainly whom it is about, leaves links alone, and points at nothing outside."""
    whose = admitting(token, new, change.letter, after)
    if "everybody" in whose:
        return ""
    for path in TYPES[change.kind].get("primary", ()):
        for value in values_at(new, path.split(".")):
            if not isinstance(value, dict) or not value.keys() <= PLAIN:
                return f"{path} says more than a reference"
    if change.kind == "Patient" and _links(change.old, before) != _links(new, after):
        return "the links of a patient are not what they were"
    strays = [_strays(new, patients, after) for patients in whose]
    return "" if [] in strays else f"it points outside: {strays[0]}"


def _links(resource: Resource | None, state: State) -> list[Any]:
    found = []
    for link in (resource or {}).get("link") or []:
        other = link.get("other") or {}
        meant = whom(other, state)
        told = {name: value for name, value in other.items() if name != "reference"}
        rest = {name: value for name, value in link.items() if name != "other"}
        found.append((other.get("reference") if meant == "unclear" else meant, told, rest))
    return found


def _strays(resource: Resource, patients: set[str], state: State) -> list[str]:
    """Return what the resource points at, links of a patient apart, that these patients' writers may not point at."""
    seen = {name: value for name, value in resource.items() if (resource["resourceType"], name) != ("Patient", "link")}
    return [text for name, text in _texts(seen) if not _may_point(_target(name, text, state), patients, state)]


def _texts(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for inner, one in value.items():
            if inner != "div":
                yield from _texts(one, inner)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one, name)
    elif isinstance(value, str):
        yield name, value


def _target(name: str, text: str, state: State) -> str:
    """Return Type/id of what a text points at here, "unclear", or an empty text when it points at nothing of ours."""
    text, is_url = text.strip(), name.lower().endswith(("url", "uri", "canonical"))
    plain = re.split(r"[|?#]", text)[0]
    if "://" in text:
        rest = below_base(plain, state)
        if rest == "nowhere":
            return ""
        return whom({"reference": text}, state) if name == "reference" else _named(rest, rest.split("/"), state)
    if name == "reference":
        return "" if text.startswith("#") or text.lower().startswith("urn:") else whom({"reference": text}, state)
    return _named(plain, plain.split("/")[:-1], state) if is_url else ""


def _named(url: str, decisive: list[str], state: State) -> str:
    """A URL is of a resource when it can be read as one, or when a type stands where it decides."""
    found = whom({"reference": url}, state)
    return found if found != "unclear" or any(part in TYPES for part in decisive) else ""


def _may_point(target: str, patients: set[str], state: State) -> bool:
    kind, _, resource_id = target.partition("/")
    if not target or (kind in TYPES and TYPES[kind]["class"] == "shared"):
        return True
    if kind == "Patient":
        return resource_id in patients
    return target in state.resources and inside(state.resources[target], patients, state)
