"""Requests for $validate, and for the operations and the search parameter that the tenant adds (ADDED, `world.py`)."""

import json
from typing import Any
from urllib.parse import urlencode

from hypothesis import strategies as st

from smartauth.policy import r4
from tests.proxy.proof.population import CATEGORIES, CATEGORY_SYSTEM, CODES, LOINC, coded, put_at
from tests.proxy.proof.world import Request

FHIR = (("Content-Type", "application/fhir+json"),)
VALIDATED = ("Observation", "Observation", "Observation", "Condition", "DocumentReference", "Encounter", "Task")
ABOUT = (
    "Patient/ana", "Patient/ana", "Patient/ana", "Patient/ben", "Patient/ANA", "Patient/nobody", "Group/cohort",
    "https://elsewhere.example/Patient/ana", "Patient/ana/_history/1", "#p", "",
)  # fmt: skip
POINTING_AT = (
    "", "", "Encounter/ana-encounter", "Encounter/ben-encounter", "Encounter/ben-gone", "Encounter/missing",
    "Observation/ben-observation", "Binary/of-ben", "Patient/ben", "Practitioner/practitioner",
)  # fmt: skip


@st.composite
def validations(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """A question whether a resource may be written: the resource itself, or Parameters that hold it."""
    kind = draw(st.sampled_from((*VALIDATED, draw(st.sampled_from(kinds)))))
    low = kind.lower()
    resource_id = draw(
        st.sampled_from(("", "", f"ana-{low}", f"ana-{low}", f"ben-{low}", f"ben-{low}", "ana-gone", "ben-gone",
                         "absent", "was-ana", "was-ben", f"ana-{low}-2"))
    )  # fmt: skip
    mode = draw(st.sampled_from(("", "", "", "create", "update", "delete", "delete", "profile")))
    resource = draw(_resources(kind, draw(st.sampled_from((resource_id, resource_id, resource_id, "ben-observation")))))
    path = f"/{kind}{f'/{resource_id}' if resource_id else ''}/$validate"
    match draw(st.sampled_from(("resource", "resource", "parameters", "parameters", "nothing"))):
        case "parameters":
            given = [{"name": "mode", "valueCode": mode}] if mode else []
            held = [] if mode == "delete" else [{"name": "resource", "resource": resource}]
            return Request("validate", path, "POST", FHIR, _json({"resourceType": "Parameters",
                                                                 "parameter": [*given, *held]}))  # fmt: skip
        case "nothing":
            return Request("validate", f"{path}?mode=delete", "POST", FHIR)
    query = f"?mode={mode}" if mode else ""
    return Request("validate", path + query, "POST", FHIR, _json(resource))


@st.composite
def _resources(draw: st.DrawFn, kind: str, resource_id: str) -> dict[str, Any]:
    """A resource as an app would write it: about somebody, pointing somewhere."""
    resource: dict[str, Any] = {"resourceType": kind} | ({"id": resource_id} if resource_id else {})
    elements, primary = r4.elements(kind), r4.memberships()[kind].primary
    if "status" in elements.elements:
        resource["status"] = "final"
    if kind in ("Observation", "Condition"):
        resource["code"] = coded(LOINC, draw(st.sampled_from(CODES)))
        resource["category"] = [coded(CATEGORY_SYSTEM, draw(st.sampled_from(CATEGORIES)))]
    about, pointed_at = draw(st.sampled_from(ABOUT)), draw(st.sampled_from(POINTING_AT))
    if about and primary:
        put_at(resource, primary[0].split("."), {"reference": about})
    if pointed_at and "encounter" in elements.refs:
        resource["encounter"] = {"reference": pointed_at}
    return resource


@st.composite
def own_operations(draw: st.DrawFn, kinds: tuple[str, ...]) -> Request:
    """An operation that the tenant has added, or one that looks like it, by GET or by POST; or its own parameter."""
    whose = draw(st.sampled_from(("ana", "ana", "ana", "ben", "ANA", "nobody")))
    path = draw(
        st.sampled_from(("/Observation/$noted",) * 5 + (f"/Patient/{whose}/$overview",) * 5
                        + ("/Condition/$noted", "/Observation/ana-observation/$noted", "/$noted", "/Patient/$overview"))
    )  # fmt: skip
    given = draw(
        st.sampled_from(((), (), (("mood", "good"),), (("subject", "Patient/ana"),), (("subject", "Patient/ben"),),
                         (("_elements", "id"),), (("_has", "x"),)))
    )  # fmt: skip
    match draw(st.sampled_from(("get", "get", "post", "parameter", "parameter"))):
        case "post":
            parameters = [{"name": name, "valueString": value} for name, value in given]
            body = {"resourceType": "Parameters"} | ({"parameter": parameters} if parameters else {})
            return Request("own operation", path, "POST", FHIR, _json(body))
        case "parameter":
            kind = draw(st.sampled_from(("Observation",) * 6 + (draw(st.sampled_from(kinds)),)))
            name = draw(st.sampled_from((*("remark",) * 3, "remark:exact", "remark:not", "_sort", "x.remark")))
            word = "remark" if name == "_sort" else draw(st.sampled_from(("cheerful", "gloomy", "cheer", "ana", "x,y")))
            more = draw(st.sampled_from(((), (("patient", f"Patient/{whose}"),), (("_count", "2"),))))
            where = draw(st.sampled_from((f"/{kind}", f"/{kind}", f"/{kind}", f"/Patient/{whose}/{kind}")))
            return Request("own parameter", f"{where}?{urlencode([(name, word), *more])}")
    return Request("own operation", f"{path}?{urlencode(given)}".rstrip("?"))


def _json(tree: object) -> bytes:
    return json.dumps(tree).encode()
