"""Writes, drawn as recipes: what to write where, about whom, with which references planted in it."""

import json
from typing import Any, NamedTuple

from hypothesis import strategies as st

from smartauth.policy import r4
from tests.proxy.oracle import Token
from tests.proxy.proof.generators import instances, tokens
from tests.proxy.proof.population import CATEGORY_SYSTEM, LOINC, coded, odd_references, put_at
from tests.proxy.proof.vocabulary import GOOD_SUFFIXES, KINDS
from tests.proxy.proof.world import Request, World

OWN = 900_000  # markers of what a case writes begin here
EVERYTHING = Token(("system/*.cruds",), client="service")
FHIR = (("Content-Type", "application/fhir+json"),)
# What a write aims at as often as at anything: somebody's own, plainly, and what is nobody's in particular.
TARGETS = (
    *(
        f"{kind}/{whose}-{kind.lower()}"
        for kind in ("Observation", "Condition", "DocumentReference", "Encounter", "Task")
        for whose in ("ana", "ben")
    ),
    "Patient/ana", "Patient/ben", "Practitioner/practitioner", "Organization/organization",
)  # fmt: skip
PLANTED = (
    "", "", "", "Observation/ben-observation", "Binary/of-ben", "Binary/attached-ben", "Patient/ben",
    "Encounter/ben-encounter", "Observation/missing", "Observation/ana-observation", "Binary/attached-ana",
    "Practitioner/practitioner", "https://elsewhere.example/Observation/1", "Observation?subject=Patient/ben",
    "urn:uuid:6f1c1b0e-0000-4000-8000-000000000000",
)  # fmt: skip
CRITERIA = (
    "_id=ana-observation", "_id=ben-observation", "patient=Patient/ana&code=718-7", "patient=Patient/ben",
    "status=final", "patient.name=x", "code=718-7",
)  # fmt: skip


class Recipe(NamedTuple):
    """One write. `about` picks a subject: 0 ana, 1 ben, further ones odd; -1 leaves it out."""

    verb: str
    where: str  # Type/id
    about: int
    planted: str
    if_match: str
    criteria: str
    tamper: str


@st.composite
def recipes(draw: st.DrawFn) -> Recipe:
    """A write, most often of an ordinary resource about ana."""
    return Recipe(
        verb=draw(st.sampled_from(("create", "create", "update", "update", "update", "patch", "delete",
        "conditional-create",
                                   "conditional-update", "conditional-delete", "transaction", "transaction"))),
        where=draw(
            st.one_of(
                st.sampled_from(TARGETS),
                instances(("Observation", "Observation", "Observation", "DocumentReference", "Provenance", *KINDS)),
            )
        ),
        about=draw(st.one_of(st.sampled_from((0, 1)), st.sampled_from((0, 1)), st.integers(-1, 49))),
        planted=draw(st.one_of(st.just(""), st.sampled_from(PLANTED))),
        if_match=draw(st.sampled_from(("", "", "", 'W/"1"', 'W/"7"'))),
        criteria=draw(st.sampled_from(CRITERIA)),
        tamper=draw(st.one_of(st.just(""), st.sampled_from(("", "security", "id", "type", "twice", "link")))),
    )  # fmt: skip


@st.composite
def writers(draw: st.DrawFn) -> Token:
    """A token that may write something."""
    if draw(st.integers(0, 3)) == 3:
        return draw(tokens)
    level = draw(st.sampled_from(("patient", "patient", "user")))
    kind = draw(st.sampled_from(("*", "*", "Observation", "DocumentReference")))
    suffix = draw(st.sampled_from(("cruds", "cruds", "*", "cu", "write", "rd", "cd", *GOOD_SUFFIXES)))
    query = draw(st.sampled_from(("", "", f"?category={CATEGORY_SYSTEM}|laboratory"))) if kind == "Observation" else ""
    return Token((f"{level}/{kind}.{suffix}{query}",), patient="ana", fhir_user="Patient/ana", client="app")


def cook(recipe: Recipe, world: World, number: int = 0) -> Request:
    """Return the request of a recipe; what it writes carries the marker OWN + number."""
    kind, _, resource_id = recipe.where.partition("/")
    body = _body(recipe, kind, resource_id, world, number)
    encoded = json.dumps(body).encode()
    if recipe.tamper == "twice":
        encoded = b'{"subject":{"reference":"Patient/ana"},' + encoded[1:]
    matching = (("If-Match", recipe.if_match),) if recipe.if_match else ()
    match recipe.verb:
        case "create":
            return Request("create", f"/{kind}", "POST", FHIR, encoded)
        case "conditional-create":
            return Request(
                "conditional create", f"/{kind}", "POST", (*FHIR, ("If-None-Exist", recipe.criteria)), encoded
            )
        case "update":
            return Request("update", f"/{recipe.where}", "PUT", (*FHIR, *matching), encoded)
        case "conditional-update":
            return Request("conditional update", f"/{kind}?{recipe.criteria}", "PUT", FHIR, encoded)
        case "delete":
            return Request("delete", f"/{recipe.where}", "DELETE", matching)
        case "conditional-delete":
            return Request("conditional delete", f"/{kind}?{recipe.criteria}", "DELETE")
        case "patch":
            path = r4.memberships()[kind].primary
            operations = [
                {"op": "add", "path": "/note", "value": [{"text": "x"}]},
                {
                    "op": "replace",
                    "path": f"/{path[0].replace('.', '/')}" if path else "/id",
                    "value": _about(recipe, world),
                },
            ][recipe.about < 1 :]
            headers = (("Content-Type", "application/json-patch+json"), *matching)
            return Request("patch", f"/{recipe.where}", "PATCH", headers, json.dumps(operations[:1]).encode())
    entry = [
        {"resource": body, "request": {"method": "PUT", "url": recipe.where}},
        {"fullUrl": "urn:uuid:6f1c1b0e-0000-4000-8000-000000000001", "resource": body, "request": {"method": "POST",
        "url": kind}},
    ]  # fmt: skip
    bundle = {"resourceType": "Bundle", "type": "transaction", "entry": entry[: 1 + (recipe.about == 0)]}
    return Request("transaction", "", "POST", FHIR, json.dumps(bundle).encode())


def _about(recipe: Recipe, world: World) -> Any:
    plain = ({"reference": "Patient/ana"}, {"reference": "Patient/ben"})
    odd = odd_references("ben", world.upstream)
    return plain[recipe.about] if recipe.about < 2 else odd[(recipe.about - 2) % len(odd)]


def _body(recipe: Recipe, kind: str, resource_id: str, world: World, number: int) -> dict[str, Any]:
    body: dict[str, Any] = {
        "resourceType": "Patient" if recipe.tamper == "type" else kind,
        "id": "ben-observation" if recipe.tamper == "id" else resource_id,
        "meta": {"tag": [{"system": "urn:marker", "code": f"mRk{OWN + number:06d}Z"}]},
    }
    if recipe.tamper == "security":
        body["meta"]["security"] = [{"code": "N"}]
    elements = r4.elements(kind)
    if "status" in elements.elements:
        body["status"] = "final"
    if kind in ("Observation", "Condition", "Procedure"):
        body["code"] = coded(LOINC, "718-7")
    if kind == "Observation":
        body["category"] = [coded(CATEGORY_SYSTEM, "laboratory")]
    primary = r4.memberships()[kind].primary
    if primary and recipe.about >= 0:
        put_at(body, primary[0].split("."), _about(recipe, world))
    if recipe.planted and kind == "DocumentReference":
        body["content"] = [{"attachment": {"url": f"{world.upstream}/{recipe.planted}"}}]
    elif recipe.planted and (others := [path for path in elements.refs if path not in primary]):
        put_at(body, others[0].split("."), {"reference": recipe.planted})
    elif recipe.planted:
        body["extension"] = [{"url": "urn:x", "valueReference": {"reference": recipe.planted}}]
    if recipe.tamper == "link" and kind == "Patient":
        body["link"] = [{"other": {"reference": "Patient/ben"}, "type": "seealso"}]
    return body


def lacks_writes(world: World) -> str:
    """Return a sentence when the proxy refuses every write as something it does not offer."""
    recipe, before = Recipe("create", "Observation/x", 0, "", "", "", ""), world.shelf
    app = Token(("patient/*.cruds",), patient="ana", fhir_user="Patient/ana", client="app")
    world.put(world.stock(before.steps), "faithful")
    try:
        statuses = {world.ask(token, cook(recipe, world)).status for token in (EVERYTHING, app)}
    finally:
        world.put(before, "faithful")  # What was written here is in no property's books.
    return "the proxy does not offer writing" if statuses <= {403, 405} else ""
