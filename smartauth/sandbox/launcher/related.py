"""What else a launch can be about: resources of the chosen patient, for fhirContext, as the EHR itself sees them.

Source: SMART 2.2 scopes-and-launch-context, "fhirContext".
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from smartauth import endpoints
from smartauth.sandbox.launcher import ehr, outgoing
from smartauth.sandbox.launcher.outgoing import NotReached
from smartauth.sandbox.seed import TENANT

TYPES = (
    "DiagnosticReport",
    "DocumentReference",
    "ServiceRequest",
    "MedicationRequest",
    "CarePlan",
    "Condition",
    "ImagingStudy",
)
MOST_FOUND = 20
LONGEST = 120  # characters of what is shown
DAYS = ("effectiveDateTime", "authoredOn", "date", "started", "issued", "recordedDate", "onsetDateTime", "created")


class NotFound(Exception):
    """The FHIR server gave no answer that could be read. The text is for the page."""


@dataclass(frozen=True, slots=True)
class Related:
    """A resource that a launch can name. Texts are as the record has them and may hold anything; "" is unknown."""

    reference: str
    text: str
    day: str


def find(resource_type: str, patient_id: str, now: datetime) -> tuple[Related, ...]:
    """Return resources of a type about a patient, the newest first, a bounded number. Raises NotFound."""
    try:
        token = ehr.reader_token(f"system/{resource_type}.rs", now)
        query = urlencode({"patient": patient_id, "_count": MOST_FOUND})
        answer = outgoing.get(f"{endpoints.fhir_base(TENANT)}/{resource_type}?{query}", bearer=token)
    except (ehr.NotBegun, NotReached) as error:
        raise NotFound(str(error)) from None
    if answer.status != 200:
        raise NotFound(f"The FHIR server answers {answer.status} to a search for {resource_type}.")
    found = [_related(one) for one in _resources(answer.body) if one.get("resourceType") == resource_type]
    return tuple(sorted(found, key=lambda one: one.day, reverse=True))


def added(fhir_context: str, reference: str) -> str:
    """Return a fhirContext, as it stands in the form, with a reference more. Raises ValueError if it is no array."""
    try:
        entries = json.loads(fhir_context) if fhir_context.strip() else []
    except RecursionError:
        raise ValueError("nested too deeply") from None
    if not isinstance(entries, list):
        raise ValueError("not an array")
    entry = {"reference": reference}
    return json.dumps([*entries, *([] if entry in entries else [entry])], ensure_ascii=False)


def _resources(bundle: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for entry in bundle.get("entry") or []:
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield entry["resource"]


def _related(resource: dict[str, Any]) -> Related:
    concepts = [resource.get(name) for name in ("code", "type", "medicationCodeableConcept")]
    texts = [text for one in concepts if isinstance(one, dict) for text in _texts(one)]
    texts += [resource[name] for name in ("title", "description") if isinstance(resource.get(name), str)]
    day = next((resource[name] for name in DAYS if isinstance(resource.get(name), str)), "")
    kind = resource["resourceType"]
    return Related(f"{kind}/{resource.get('id', '')}", (texts or [kind])[0][:LONGEST], day[:10])


def _texts(concept: dict[str, Any]) -> Iterator[str]:
    codings = concept.get("coding")
    for one in (concept.get("text"), *(coding.get("display") for coding in codings or [] if isinstance(coding, dict))):
        if isinstance(one, str) and one:
            yield one
