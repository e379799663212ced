"""A little terminology service: over the CodeSystems, ValueSets and ConceptMaps in the store, by exact code.

Source: FHIR R4 terminology-service.html.
"""

from typing import Any

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.store import Store

OPERATIONS = frozenset({"$expand", "$lookup", "$validate-code", "$subsumes", "$translate"})


def answer_about_codes(
    store: Store, resource_type: str, resource_id: str | None, name: str, pairs: list[tuple[str, str]]
) -> JsonObject:
    """Return the answer to a question about codes. Raises FhirError 400 or 404."""
    asked = dict(pairs)
    found = _find(store, resource_type, resource_id, asked)
    match name:
        case "$expand":
            contains = _members(found)
            return {"resourceType": "ValueSet", "status": "active", "expansion": {"contains": contains}}
        case "$lookup":
            concept = next((one for one in found.get("concept", []) if one["code"] == asked.get("code")), None)
            if concept is None:
                raise FhirError(404, "not-found", "there is no such code")
            return _parameters(name=("valueString", found.get("name")), display=("valueString", concept.get("display")))
        case "$validate-code":
            codes = [one["code"] for one in (_members(found) or found.get("concept", []))]
            return _parameters(result=("valueBoolean", asked.get("code") in codes))
        case "$subsumes":
            same = asked.get("codeA") == asked.get("codeB")
            return _parameters(outcome=("valueCode", "equivalent" if same else "not-subsumed"))
        case "$translate":
            return _parameters(result=("valueBoolean", _maps(found, asked.get("code"))))
    raise FhirError(405, "not-supported", "there is no such operation")


def _find(store: Store, resource_type: str, resource_id: str | None, asked: dict[str, str]) -> JsonObject:
    url = (asked.get("url") or asked.get("system") or "").partition("|")[0]
    for version in store.all_of(resource_type):
        if version.resource and (version.id == resource_id or (not resource_id and version.resource.get("url") == url)):
            return version.resource
    raise FhirError(404, "not-found", "nothing is known of this URL")


def _members(value_set: JsonObject) -> list[JsonObject]:
    return [
        {"system": part.get("system"), **concept}
        for part in value_set.get("compose", {}).get("include", [])
        for concept in part.get("concept", [])
    ]


def _maps(concept_map: JsonObject, code: str | None) -> bool:
    return any(one["code"] == code for group in concept_map.get("group", []) for one in group.get("element", []))


def _parameters(**values: tuple[str, Any]) -> JsonObject:
    given = [{"name": name, kind: value} for name, (kind, value) in values.items()]
    return {"resourceType": "Parameters", "parameter": given}
