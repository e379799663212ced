"""A Task that asks somebody to open an app: what it says about the launch, or why it says nothing. Pure.

Source: SMART 2.2 task-launch, profiles task-ehr-launch and task-standalone-launch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smartauth.policy.launch import FHIR_ID

SYSTEM = "http://hl7.org/fhir/smart-app-launch/CodeSystem/smart-codes"
EHR_LAUNCH, STANDALONE = "launch-app-ehr", "launch-app-standalone"
APPLICATION, APP_CONTEXT = "smartonfhir-application", "smartonfhir-appcontext"
VALUES = {APPLICATION: "valueUrl", APP_CONTEXT: "valueString"}
ENDED = frozenset({"completed", "cancelled", "rejected", "failed", "entered-in-error"})
LONGEST_CONTEXT = 2_000  # characters; it is in every token of the launch


class InvalidTask(ValueError):
    """The Task asks for no launch that can be begun. The text is one sentence."""


@dataclass(frozen=True, slots=True)
class LaunchTask:
    """What a Task says: which URL to open, about whom, and what the app is told. Empty: not said."""

    url: str
    is_standalone: bool
    app_context: str = ""
    patient: str = ""  # logical id
    encounter: str = ""  # logical id


def read_task(task: object, fhir_base: str) -> LaunchTask:
    """Return what a Task says. fhir_base: on which absolute references in it are ours. Raises InvalidTask."""
    if not isinstance(task, dict) or task.get("resourceType") != "Task":
        raise InvalidTask("it is not a Task")
    if task.get("status") in ENDED:
        raise InvalidTask("the Task has ended")
    code = _code(task.get("code"))
    if code not in (EHR_LAUNCH, STANDALONE):
        raise InvalidTask(f"its code is neither {EHR_LAUNCH} nor {STANDALONE} of the SMART codes")
    inputs = _inputs(task.get("input"))
    url = inputs.get(APPLICATION, "")
    if not url:
        raise InvalidTask(f"it has no input {APPLICATION} with the URL of the app")
    if code == STANDALONE:
        if APP_CONTEXT in inputs:
            raise InvalidTask("an app that launches by itself is told no context")
        return LaunchTask(url, is_standalone=True)
    app_context = inputs.get(APP_CONTEXT, "")
    if len(app_context) > LONGEST_CONTEXT:
        raise InvalidTask(f"its context for the app has more than {LONGEST_CONTEXT} characters")
    patient, encounter = (
        _id_in(task.get(name), kind, fhir_base) for name, kind in (("for", "Patient"), ("encounter", "Encounter"))
    )
    return LaunchTask(url, False, app_context, patient, encounter)


def _inputs(values: object) -> dict[str, str]:
    """Return the text of each input by its code. An app must not miss in silence what somebody meant to tell it."""
    found: dict[str, str] = {}
    for one in values if isinstance(values, list) else []:
        code = _code(one.get("type")) if isinstance(one, dict) else ""
        if code not in VALUES:
            raise InvalidTask("it has an input that launches do not know")
        if code in found:
            raise InvalidTask(f"it has the input {code} twice")
        text = one.get(VALUES[code])
        if not isinstance(text, str) or not text:
            raise InvalidTask(f"its input {code} has no {VALUES[code]}")
        found[code] = text
    return found


def _code(concept: object) -> str:
    """Return the one SMART code of a concept, "" for none or several."""
    codings = concept.get("coding") if isinstance(concept, Mapping) else None
    found = [
        one.get("code")
        for one in (codings if isinstance(codings, list) else [])
        if isinstance(one, Mapping) and one.get("system") == SYSTEM
    ]
    return found[0] if len(found) == 1 and isinstance(found[0], str) else ""


def _id_in(reference: Any, kind: str, fhir_base: str) -> str:
    if reference is None:
        return ""
    literal = reference.get("reference") if isinstance(reference, dict) else None
    text = literal.removeprefix(f"{fhir_base.rstrip('/')}/") if isinstance(literal, str) else ""
    found = text.removeprefix(f"{kind}/")
    if not text.startswith(f"{kind}/") or FHIR_ID.fullmatch(found) is None:
        raise InvalidTask(f"it names something else than a {kind} of this FHIR server where a {kind} belongs")
    return found
