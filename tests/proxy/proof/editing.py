"""Writes that begin with what is there: a stored resource, changed in a few places, as an app would send it.

What is not changed of it would be accepted, so that what becomes of the write hangs on the change alone.
"""

import base64
import json
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from fhirproxy.r4server.store import Version
from smartauth.policy import r4
from tests.proxy.oracle import PUBLIC, TYPES
from tests.proxy.proof.population import CATEGORY_SYSTEM, LABEL_SYSTEM, LOINC, coded, marker
from tests.proxy.proof.world import MARKER, Request, World
from tests.proxy.proof.writing import FHIR, OWN

URN = "urn:uuid:6f1c1b0e-0000-4000-8000-00000000000"  # and the number of an entry
JSON_PATCH = "application/json-patch+json"
LISTS = {"Schedule": "actor"}  # what R4 lets repeat and the population says once

Resource = dict[str, Any]


class Edit(NamedTuple):
    """One write. `changes` are names in CHANGES; `pick`, `target` and `subject` are what they put there.

    `seen`: the version its sender says to have seen, as an entity tag, or empty.
    """

    verb: str
    where: str  # Type/id of what is written, or of what a new resource is made like
    changes: tuple[str, ...] = ()
    pick: int = 0
    target: str = ""
    subject: int = 0
    criteria: str = ""
    seen: str = ""


class Several(NamedTuple):
    """Some writes sent as one Bundle. Each goes by a name that the others may refer to, a urn as a rule."""

    kind: str  # batch or transaction
    edits: tuple[Edit, ...]
    names: tuple[str, ...]


def subjects(patient: str, world: World) -> tuple[Any, ...]:
    """Return ways to say whom something is about: plain ones, and such as say more or less than that."""
    here, other = f"Patient/{patient}", {"system": "urn:mrn", "value": "ben"}
    return (
        {"reference": here}, {"reference": here, "display": "x"}, {"reference": here, "type": "Patient"},
        {"reference": f"{PUBLIC}/{here}"}, {"reference": f"{world.upstream}/{here}"},
        {"reference": f"{here}/_history/1"}, {"reference": here, "identifier": other},
        {"reference": here, "extension": [{"url": "urn:x", "valueReference": {"reference": here}}]},
        {"reference": here, "_reference": {"extension": [{"url": "urn:x", "valueString": "Patient/ben"}]}},
        {"reference": here, "id": "x", "identifier": other},
        {"reference": "#p"}, {"identifier": other}, {"identifier": other, "type": "Patient"}, {"display": patient},
        {"reference": f"https://elsewhere.example/r4/{here}"}, {"reference": f"Patient?identifier={patient}"},
        {"reference": "Group/cohort"}, {"reference": f"{URN}0"}, {"reference": f"{URN}1"}, None,
    )  # fmt: skip


def _subject(body: Resource, edit: Edit, world: World) -> None:
    ways = subjects("ben", world) if edit.subject < 0 else subjects("ana", world)
    for path in r4.memberships()[body["resourceType"]].primary:
        _replace(body, path.split("."), ways[abs(edit.subject) % len(ways)])


def _plant(body: Resource, edit: Edit, world: World) -> None:
    """Point at the target, somewhere in the resource and in one of the ways in which it can be written."""
    url = (
        edit.target, f"{PUBLIC}/{edit.target}", f"{world.upstream}/{edit.target}", f"{edit.target}/_history/1"
    )[edit.pick % 4] if r4.is_resource_type(edit.target.partition("/")[0]) else edit.target  # fmt: skip
    kind = body["resourceType"]
    facts = r4.memberships()[kind]
    others = [path for path in r4.elements(kind).refs if path not in (*facts.primary, *facts.secondary)]
    places = ["reference", "uri", "contained", "attachment" if "content" in r4.elements(kind).elements else "path"]
    match places[edit.pick // 4 % 4]:
        case _ if kind == "Binary":  # It has no other place.
            body["securityContext"] = {"reference": url}
        case "path" if others and kind != "Patient":
            _replace(body, others[edit.pick % len(others)].split("."), {"reference": url})
        case "attachment" if kind == "DocumentReference":
            body["content"] = [{"attachment": {"url": url}}]
        case "uri":
            body["extension"] = [{"url": "urn:x", "valueUri": url}]
        case "contained":
            body["contained"] = [{"resourceType": "Basic", "id": "c", "subject": {"reference": url}}]
        case _:
            body["extension"] = [{"url": "urn:x", "valueReference": {"reference": url}}]


def _label(body: Resource, edit: Edit, world: World) -> None:
    """Security labels: others, more, none, or none said."""
    labels = body["meta"].pop("security", [])
    code = ("N", "R", "V")[edit.pick % 3]
    said = ([{"system": LABEL_SYSTEM, "code": code}], [*labels, {"code": "HIV"}], [], None)[edit.pick // 3 % 4]
    if said is not None:
        body["meta"]["security"] = said


def _tag(body: Resource, edit: Edit, world: World) -> None:
    body["meta"]["tag"] = [*body["meta"]["tag"], {"system": "urn:marker", "code": "more"}][edit.pick % 2 :]


def _profile(body: Resource, edit: Edit, world: World) -> None:
    body["meta"]["profile"] = ["urn:profile:1", "urn:profile:2"][edit.pick % 2 :]


def _link(body: Resource, edit: Edit, world: World) -> None:
    """Links between patients: others, more, another kind of link, none, or the same said in another way."""
    if body["resourceType"] != "Patient":
        return
    links = body.get("link") or []
    one = {"other": {"reference": "Patient/ben"}, "type": ("seealso", "replaced-by", "replaces")[edit.pick % 3]}
    same = [{**link, "other": {"reference": f"{PUBLIC}/{link['other']['reference']}"}} for link in links]
    body["link"] = ([one], [*links, one], [{**link, "type": "refer"} for link in links], [], same)[edit.pick // 3 % 5]


def _code(body: Resource, edit: Edit, world: World) -> None:
    """What the filters of scopes look at."""
    elements = r4.elements(body["resourceType"]).elements
    if "code" in elements and body["resourceType"] in ("Observation", "Condition"):
        body["code"] = coded(LOINC, ("718-7", "29463-7")[edit.pick % 2])
        body["category"] = [coded(CATEGORY_SYSTEM, ("laboratory", "social-history")[edit.pick // 2 % 2])]


def _note(body: Resource, edit: Edit, world: World) -> None:
    """What no rule is about."""
    body["language"] = ("en", "de", "fr")[edit.pick % 3]


def _identity(body: Resource, edit: Edit, world: World) -> None:
    body["id"] = ("ben", "ben-observation", "ana")[edit.pick % 3]


CHANGES: dict[str, Callable[[Resource, Edit, World], None]] = {
    "note": _note, "subject": _subject, "plant": _plant, "label": _label, "tag": _tag, "profile": _profile,
    "link": _link, "code": _code, "identity": _identity,
}  # fmt: skip


def write_of(what: Edit | Several, world: World, number: int = 0) -> Request:
    """Return the request of a write; what it writes carries the marker OWN + number."""
    if isinstance(what, Edit):
        return _single(what, world, number)
    entry = [_entry(_single(edit, world, number), name) for edit, name in zip(what.edits, what.names, strict=False)]
    bundle = {"resourceType": "Bundle", "type": what.kind, "entry": entry}
    return Request(what.kind, "", "POST", FHIR, json.dumps(bundle).encode())


def _single(edit: Edit, world: World, number: int) -> Request:
    kind, body = edit.where.partition("/")[0], body_of(edit, world, number)
    where, query = f"/{edit.where}", f"/{kind}?{edit.criteria}"
    encoded = json.dumps(body).encode()
    patch_headers, seen = (("Content-Type", JSON_PATCH),), (("If-Match", edit.seen),) if edit.seen else ()
    without_id = json.dumps({name: value for name, value in body.items() if name != "id"}).encode()
    requests: dict[str, Callable[[], Request]] = {
        "create": lambda: Request("create", f"/{kind}", "POST", FHIR, encoded),
        "update": lambda: Request("update", where, "PUT", (*FHIR, *seen), encoded),
        "patch": lambda: Request("patch", where, "PATCH", (*patch_headers, *seen), patch_of(edit, body, world)),
        "delete": lambda: Request("delete", where, "DELETE", seen),
        "validate": lambda: _validation(edit, body),
        "conditional create": lambda: Request(
            "conditional create", f"/{kind}", "POST", (*FHIR, ("If-None-Exist", edit.criteria)), encoded
        ),
        "conditional update": lambda: Request("conditional update", query, "PUT", FHIR, without_id),
        "conditional patch": lambda: Request(
            "conditional patch", query, "PATCH", patch_headers, patch_of(edit, body, world)
        ),
        "conditional delete": lambda: Request("conditional delete", query, "DELETE"),
    }
    return requests[edit.verb]()


def _validation(edit: Edit, body: Resource) -> Request:
    mode = _mode(edit)
    path = f"/{body['resourceType']}/$validate" if mode == "create" else f"/{edit.where}/$validate?mode={mode}"
    parameters = [] if mode == "delete" else [{"name": "resource", "resource": body}]
    sent = {"resourceType": "Parameters", "parameter": parameters}
    return Request("validate", path, "POST", FHIR, json.dumps(sent).encode())


def _mode(edit: Edit) -> str:
    return ("create", "update", "delete")[edit.pick % 3]


def _entry(request: Request, name: str) -> Resource:
    asked = {"method": request.method, "url": request.path[1:]}
    for header, member in (("If-None-Exist", "ifNoneExist"), ("If-Match", "ifMatch")):
        if header in dict(request.headers):
            asked[member] = dict(request.headers)[header]
    entry: Resource = {"request": asked}
    if request.method == "PATCH":
        data = base64.b64encode(request.body).decode()
        entry["resource"] = {"resourceType": "Binary", "contentType": JSON_PATCH, "data": data}
    elif request.body:
        entry["resource"] = json.loads(request.body)
    if request.method in ("POST", "PUT"):
        entry["fullUrl"] = name
    return entry


def body_of(edit: Edit, world: World, number: int) -> Resource:
    """Return the stored resource with the changes made and nothing in it that points at others."""
    kind, _, resource_id = edit.where.partition("/")
    body = acceptable(world.shelf.store.find_current(edit.where), kind, number)
    body["id"] = resource_id
    if edit.verb in ("create", "conditional create") or (edit.verb == "validate" and _mode(edit) == "create"):
        del body["id"]
        body["meta"].pop("security", None)
    if edit.verb in ("update", "patch", "validate"):
        _keep_tags(body, world.shelf.store.find_current(edit.where))
    for change in edit.changes:
        CHANGES[change](body, edit, world)
    return body


def acceptable(stored: Version | None, kind: str, number: int) -> Resource:
    """Return a copy of what is stored, of our own marker and about the same patient, pointing at nothing else."""
    code = marker(OWN + number)
    text = MARKER.sub(code, json.dumps(stored.resource if stored else {"resourceType": kind, "meta": {}}))
    body: Resource = json.loads(text)
    primary = {path.partition(".")[0] for path in TYPES[kind].get("primary", ())}
    for path in r4.elements(kind).refs:
        if (top := path.partition(".")[0]) not in primary and (kind, top) != ("Patient", "link"):
            body.pop(top, None)
    if kind == "DocumentReference":
        body.pop("content", None)
    if kind == "Binary":
        body["data"] = base64.b64encode(code.encode()).decode()
    if kind in LISTS and isinstance(body.get(LISTS[kind]), dict):
        body[LISTS[kind]] = [body[LISTS[kind]]]
    security = body["meta"].get("security")
    body["meta"] = {"tag": [{"system": "urn:marker", "code": code}]} | ({"security": security} if security else {})
    return body


def _keep_tags(body: Resource, stored: Version | None) -> None:
    if stored is not None and stored.resource is not None:
        body["meta"]["tag"] = stored.resource["meta"].get("tag", [])


def patch_of(edit: Edit, body: Resource, world: World) -> bytes:
    """Return the JSON Patch that makes `body` of what is stored, as its reader sees it."""
    stored = world.shelf.store.find_current(edit.where)
    seen = json.dumps(stored.resource if stored else {}).replace(world.upstream + "/", PUBLIC + "/")
    meta = ("versionId", "lastUpdated", "source")
    old = json.loads(seen)
    kept = {name: one for name, one in old.get("meta", {}).items() if name in meta}
    wanted = {**body, "meta": body["meta"] | kept}
    operations = list(_differences(old, wanted))
    return json.dumps(operations or [{"op": "add", "path": "/language", "value": "en"}]).encode()


def _differences(old: Resource, new: Resource, path: str = "") -> Iterator[Resource]:
    """Give operations on single elements; a list is replaced as a whole."""
    for name in old.keys() - new.keys():
        yield {"op": "remove", "path": f"{path}/{name}"}
    for name, value in new.items():
        if name not in old:
            yield {"op": "add", "path": f"{path}/{name}", "value": value}
        elif isinstance(value, dict) and isinstance(old[name], dict):
            yield from _differences(old[name], value, f"{path}/{name}")
        elif value != old[name]:
            yield {"op": "replace", "path": f"{path}/{name}", "value": value}


def _replace(tree: Any, path: list[str], value: Any) -> None:
    """Put a value where a path leads, in the first of each list on the way; None takes away what is there."""
    if isinstance(tree, list):
        tree = tree[0] if tree and isinstance(tree[0], dict) else {}
    name = path[0]
    if len(path) > 1:
        _replace(tree.setdefault(name, {}), path[1:], value)
    elif value is None:
        tree.pop(name, None)
    elif isinstance(tree.get(name), list):
        tree[name] = [value, *tree[name][1:]]
    else:
        tree[name] = value
