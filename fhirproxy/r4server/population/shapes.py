"""The shapes resources are made of: concepts, references, quantities, and the frame every resource has."""

from datetime import date, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from fhirproxy.r4server.encoding import JsonObject

US_CORE = "http://hl7.org/fhir/us/core/StructureDefinition/"
US_CORE_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/us-core-category"
US_CORE_CONDITION_CATEGORY = "http://hl7.org/fhir/us/core/CodeSystem/condition-category"
LOINC = "http://loinc.org"
SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
ICD10 = "http://hl7.org/fhir/sid/icd-10-cm"
CVX = "http://hl7.org/fhir/sid/cvx"
UCUM = "http://unitsofmeasure.org"
V3 = "http://terminology.hl7.org/CodeSystem/v3-"
HL7 = "http://terminology.hl7.org/CodeSystem/"
EXAMPLE = "http://example.org/"

Reference = dict[str, str]


def seeded(*names: str) -> Random:
    """Return a generator whose numbers depend on the names only, so that one patient never shifts another."""
    return Random("/".join(names))  # noqa: S311  the data must repeat; nothing here is a secret


def resource(resource_type: str, resource_id: str, at: date, *, profile: str = "", **elements: Any) -> JsonObject:
    """Return a resource last updated on the day `at`; elements that are None are left out.

    profile: the name of a US Core profile, e.g. "us-core-patient".
    """
    meta: JsonObject = {"lastUpdated": _instant(at, resource_id)}
    if profile:
        meta["profile"] = [US_CORE + profile]
    present = {name: value for name, value in elements.items() if value is not None}
    return {"resourceType": resource_type, "id": resource_id, "meta": meta, **present}


def concept(system: str, code: str, display: str) -> JsonObject:
    """Return a CodeableConcept with one coding and its display as text."""
    return {"coding": [coding(system, code, display)], "text": display}


def coding(system: str, code: str, display: str) -> JsonObject:
    """Return a Coding."""
    return {"system": system, "code": code, "display": display}


def category(system: str, code: str, display: str) -> list[JsonObject]:
    """Return a `category` element with one concept."""
    return [{"coding": [coding(system, code, display)]}]


def refer(resource_type: str, resource_id: str, display: str | None = None) -> Reference:
    """Return a relative literal Reference."""
    reference = {"reference": f"{resource_type}/{resource_id}"}
    return reference if display is None else reference | {"display": display}


def quantity(value: str, unit: str, code: str) -> JsonObject:
    """Return a Quantity in UCUM whose decimal has exactly the digits of `value`."""
    return {"value": Decimal(value), "unit": unit, "system": UCUM, "code": code}


def narrative(text: str) -> JsonObject:
    """Return a generated narrative of one line; `text` has no markup characters."""
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{text}</div>'}


def moment(day: date, hour: int, minute: int = 0) -> str:
    """Return a dateTime on the US east coast in winter time."""
    return f"{day.isoformat()}T{hour:02d}:{minute:02d}:00-05:00"


def _instant(day: date, salt: str) -> str:
    """Return an instant on `day`; the salt spreads resources of one day over its working hours."""
    seconds = sum(position * ord(letter) for position, letter in enumerate(salt, start=1)) % (9 * 3600)
    at = datetime(day.year, day.month, day.day, 15) + timedelta(seconds=seconds)  # noqa: DTZ001  written as UTC below
    return f"{at.isoformat()}.000Z"
