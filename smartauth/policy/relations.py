"""Whether a person may still act for the patient of an earlier launch. Pure."""

from collections.abc import Collection


def may_act_for(patient: str | None, *, fhir_user: str | None, related: Collection[str]) -> bool:
    """Return False when nothing ties the user to the patient any more.

    patient: logical id, None for a launch without one.    fhir_user: "Type/id" or None.    related: logical ids of the
    patients the user may act for by relation now. What a clinician or a RelatedPerson may see only the FHIR server
    knows, and the proxy asks it each time.
    """
    kind, _, own = (fhir_user or "").partition("/")
    return patient is None or kind not in ("", "Patient") or patient == own or patient in related
