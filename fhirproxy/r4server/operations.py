"""Operations that gather: everything about a patient, and documents of one.

As permissive as everything here: parameters it does not know are ignored, and nobody is asked for permission.
Source: FHIR R4 patient-operation-everything.html; US Core, docref.
"""

from typing import Any

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.errors import FhirError
from fhirproxy.r4server.facts import patient_parameters
from fhirproxy.r4server.search.dates import intervals_of, parse_date
from fhirproxy.r4server.search.parameters import find_parameter
from fhirproxy.r4server.search.values import values_of
from fhirproxy.r4server.store import Store, Version


def everything_about(store: Store, patient_id: str, pairs: list[tuple[str, str]]) -> list[Version]:
    """Return the patient, what is in the compartment, and what that refers to. Raises FhirError 404 or 410."""
    patient = store.find("Patient", patient_id)
    if patient is None or patient.resource is None:
        raise FhirError(410 if patient else 404, "deleted" if patient else "not-found", "there is no such patient")
    asked = dict(pairs)
    wanted = set(asked["_type"].split(",")) if "_type" in asked else None
    inside = {patient.key: patient}
    for resource_type in patient_parameters():
        for version in store.all_of(resource_type):
            if _names(version, patient.key):
                inside.setdefault(version.key, version)
    for version in list(inside.values()):
        for key in _references(version.resource):
            found = store.find_current(key)
            if found is not None and found.resource_type not in ("Patient", *patient_parameters()):
                inside.setdefault(key, found)
    return [version for version in inside.values() if _is_kept(version, asked, wanted)]


def documents_of(store: Store, pairs: list[tuple[str, str]]) -> list[Version]:
    """Return the documents of the patient named. Raises FhirError 400."""
    asked = dict(pairs)
    if "patient" not in asked:
        raise FhirError(400, "invalid", "the operation needs a patient")
    key = f"Patient/{asked['patient'].removeprefix('Patient/')}"
    return [
        version
        for version in store.all_of("DocumentReference")
        if (version.resource or {}).get("subject", {}).get("reference") == key
        and all(_overlaps(version, name, asked[name]) for name in ("start", "end") if name in asked)
    ]


def overview_of(store: Store, patient_id: str) -> JsonObject:
    """Return how many Observations there are around a patient, and each of them. An operation of this server's own."""
    found = everything_about(store, patient_id, [("_type", "Observation")])
    patient = store.find("Patient", patient_id)
    parts = [{"name": "observation", "resource": one.resource} for one in found]
    return {
        "resourceType": "Parameters",
        "parameter": [
            {"name": "count", "valueInteger": len(found)},
            {"name": "patient", "resource": patient.resource if patient else None},
            {"name": "around", "part": parts},
        ],
    }


def _overlaps(version: Version, name: str, text: str) -> bool:
    try:
        bound = parse_date(text)
    except ValueError as error:
        raise FhirError(400, "invalid", "a date of the operation is none") from error
    found = intervals_of((version.resource or {}).get("date"))
    return any(one.high > bound.low if name == "start" else one.low < bound.high for one in found)


def _names(version: Version, key: str) -> bool:
    found = (find_parameter(version.resource_type, name) for name in patient_parameters()[version.resource_type])
    return any(link.key == key for each in found if each is not None for link in values_of(version, each))


def _is_kept(version: Version, asked: dict[str, str], wanted: set[str] | None) -> bool:
    if wanted is not None and version.resource_type not in wanted:
        return False
    return "_since" not in asked or version.updated_at >= parse_date(asked["_since"]).low


def _references(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        own = [tree["reference"]] if isinstance(tree.get("reference"), str) else []
        return own + [key for value in tree.values() for key in _references(value)]
    return [key for value in tree for key in _references(value)] if isinstance(tree, list) else []
