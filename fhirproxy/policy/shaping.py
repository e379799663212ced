"""From checked resources to what leaves: subsets, our URLs, searchset Bundles. Only a Shaped value can be an answer.

Source: FHIR R4 search, "Summary" and "Elements"; FHIR R4 bundle, "Search Result".
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from fhirproxy.policy.bodies import Json, Resource, write_json
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.references import Bases
from fhirproxy.policy.results import Shape
from fhirproxy.policy.rewriting import localise
from smartauth.policy import r4

ALWAYS = frozenset({"resourceType", "id", "meta", "implicitRules"})
SUBSETTED: Json = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
_SEAL = object()


@dataclass(frozen=True, slots=True)
class Shaped:
    """What may leave: a checked resource in our words, or a document we wrote ourselves."""

    tree: Resource
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only shaping makes a shaped value")

    def encode(self, *, pretty: bool = False) -> bytes:
        """Return the value as JSON."""
        return write_json(self.tree, pretty=pretty)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a search result."""

    full_url: str
    resource: Shaped
    mode: Literal["match", "include"]


def shape(checked: Checked, wanted: Shape, bases: Bases) -> Shaped:
    """Return a checked resource with the elements wanted and our URLs. The checked value is used up."""
    tree = checked.resource
    keep = _kept(checked.type, wanted)
    if keep is not None:
        tree = {name: value for name, value in tree.items() if name.removeprefix("_") in keep}
        tree["meta"] = _subsetted(tree.get("meta"))
    elif wanted.summary == "data":
        tree = {name: value for name, value in tree.items() if name != "text"}
        tree["meta"] = _subsetted(tree.get("meta"))
    if checked.type == "Bundle":
        tree.pop("link", None)  # Links of a stored Bundle lead around us.
    localise(tree, bases)
    return Shaped(tree, _SEAL)


def entry(checked: Checked, wanted: Shape, bases: Bases, mode: Literal["match", "include"]) -> Entry:
    """Return a checked resource as an entry; `_elements` is about the type searched, not about what it brings along."""
    if mode == "include" and wanted.elements:
        wanted = Shape(summary=wanted.summary)
    return Entry(f"{bases.public_url}/{checked.type}/{checked.id}", shape(checked, wanted, bases), mode)


def searchset(entries: list[Entry], *, total: int | None, links: dict[str, str]) -> Shaped:
    """Return a searchset Bundle. `links`: relation to absolute URL. `total` None: not told."""
    told: list[Json] = [
        {"fullUrl": one.full_url, "resource": one.resource.tree, "search": {"mode": one.mode}} for one in entries
    ]
    return _bundle("searchset", told, total, links)


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a history: a version, or a deletion, which has no resource."""

    type: str
    id: str
    method: Literal["POST", "PUT", "DELETE"]
    resource: Shaped | None = None
    version: str = ""
    at: str = ""  # an instant


def history(events: list[Event], bases: Bases, *, total: int | None, links: dict[str, str]) -> Shaped:
    """Return a history Bundle. Source: FHIR R4 http, "history"."""
    return _bundle("history", [_event(one, bases) for one in events], total, links)


def _bundle(kind: str, entries: list[Json], total: int | None, links: dict[str, str]) -> Shaped:
    tree: Resource = {"resourceType": "Bundle", "type": kind}
    if total is not None:
        tree["total"] = total
    tree["link"] = [{"relation": relation, "url": url} for relation, url in links.items()]
    if entries:
        tree["entry"] = entries
    return Shaped(tree, _SEAL)


def _event(event: Event, bases: Bases) -> Json:
    response: Resource = {"status": {"POST": "201", "PUT": "200", "DELETE": "204"}[event.method]}
    if event.version:
        response["etag"] = f'W/"{event.version}"'
    if event.at:
        response["lastModified"] = event.at
    name = f"{event.type}/{event.id}"
    found: Resource = {"fullUrl": f"{bases.public_url}/{name}"}
    if event.resource is not None:
        found["resource"] = event.resource.tree
    found["request"] = {"method": event.method, "url": event.type if event.method == "POST" else name}
    return {**found, "response": response}


def meta_parameters(checked: Checked, bases: Bases) -> Shaped:
    """Return the meta of a checked resource as the $meta operation gives it."""
    meta = checked.resource.get("meta")
    value: Json = dict(meta) if isinstance(meta, dict) else {}
    localise(value, bases)
    return Shaped({"resourceType": "Parameters", "parameter": [{"name": "return", "valueMeta": value}]}, _SEAL)


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer to one entry of a batch or transaction. `etag` and the like are empty where there is none."""

    status: int
    value: Shaped | None
    location: str = ""
    etag: str = ""
    last_modified: str = ""  # an instant


def bundle_response(kind: Literal["batch", "transaction"], answers: list[Answered]) -> Shaped:
    """Return a batch-response or transaction-response of answers that have each been checked and shaped."""
    tree: Resource = {"resourceType": "Bundle", "type": f"{kind}-response"}
    if answers:
        tree["entry"] = [_answered(one) for one in answers]
    return Shaped(tree, _SEAL)


def _answered(one: Answered) -> Resource:
    told = {"location": one.location, "etag": one.etag, "lastModified": one.last_modified}
    response: Resource = {"status": str(one.status), **{name: text for name, text in told.items() if text}}
    if one.value is None:
        return {"response": response}
    if one.status >= 400:
        return {"response": {**response, "outcome": one.value.tree}}
    return {"resource": one.value.tree, "response": response}


# The kinds of value an answer about codes is made of.
CODE_VALUES = frozenset(
    {
        "valueString", "valueCode", "valueUri", "valueUrl", "valueCanonical", "valueBoolean", "valueInteger",
        "valueDecimal", "valueDate", "valueDateTime", "valueCoding", "valueCodeableConcept",
    }
)  # fmt: skip


def expansion(tree: Resource, bases: Bases) -> Shaped:
    """Return an expanded value set: its known elements, and nothing contained in it."""
    known = {"resourceType", "id", *r4.elements("ValueSet").elements} - {"contained", "extension"}
    kept = {name: value for name, value in tree.items() if name.removeprefix("_") in known}
    localise(kept, bases)
    return Shaped(kept, _SEAL)


def primitive_parameters(tree: Resource, bases: Bases) -> Shaped:
    """Return an answer about codes, written anew from its names and values; a resource in it is left out."""
    written: Resource = {"resourceType": "Parameters"}
    parts = _parts(tree.get("parameter"))
    if parts:
        written["parameter"] = parts
    localise(written, bases)
    return Shaped(written, _SEAL)


def parameters(tree: Resource, inside: Callable[[Json], Shaped | None], bases: Bases, *, with_values: bool) -> Shaped:
    """Return Parameters written anew, with the resources in them that `inside` admits and shapes.

    with_values: also what is no resource. Without, a part in which nothing is left is left out with its name.
    """
    written: Resource = {"resourceType": "Parameters"}
    parts = _parts(tree.get("parameter"), inside, with_values=with_values)
    if parts:
        written["parameter"] = parts
    localise(written, bases)
    return Shaped(written, _SEAL)


def _parts(
    values: Json, inside: Callable[[Json], Shaped | None] = lambda _: None, *, with_values: bool = True
) -> list[Json]:
    written: list[Json] = []
    for one in values if isinstance(values, list) else []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str):
            continue
        part: Resource = {"name": one["name"]}
        if with_values:
            part.update({name: value for name, value in one.items() if name in CODE_VALUES})
        found = inside(one["resource"]) if "resource" in one else None
        if found is not None:
            part["resource"] = found.tree
        inner = _parts(one.get("part"), inside, with_values=with_values)
        if inner:
            part["part"] = inner
        if with_values or len(part) > 1:
            written.append(part)
    return written


def written_by_us(tree: Resource) -> Shaped:
    """Return a document that holds nothing the upstream said about patients: an outcome, the capabilities."""
    return Shaped(tree, _SEAL)


def _kept(resource_type: str, wanted: Shape) -> frozenset[str] | None:
    facts = r4.elements(resource_type)
    mandatory = {
        name for element in facts.mandatory for name in facts.choices.get(element, [element])
    }  # fmt: skip
    if wanted.elements:
        return ALWAYS | mandatory | wanted.elements
    match wanted.summary:
        case "true":
            return ALWAYS | mandatory | set(facts.summary)
        case "text":
            return ALWAYS | mandatory | {"text"}
    return None


def _subsetted(meta: Json) -> Json:
    base = dict(meta) if isinstance(meta, dict) else {}
    tags = base.get("tag")
    return {**base, "tag": [*(tags if isinstance(tags, list) else []), SUBSETTED]}
