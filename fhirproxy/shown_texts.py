"""Texts out of checked resources, as our pages show them: on one line and of bearable length."""

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.references import values_at

LONGEST = 200  # characters of a text that is shown

Tree = dict[str, Json]


def is_date(text: str) -> bool:
    """Return True for a FHIR date: YYYY, YYYY-MM or YYYY-MM-DD."""
    return find_interval(text) is not None and "T" not in text


def objects(tree: Tree, *path: str) -> list[Tree]:
    """Return the objects at a path, in order."""
    return [value for value in values_at(tree, path) if isinstance(value, dict)]


def texts(tree: Tree, *path: str) -> list[str]:
    """Return the texts at a path that say anything, in order."""
    return [text for value in values_at(tree, path) if (text := text_of(value))]


def text_of(value: Json) -> str:
    """Return a text on one line and of bearable length; "" for anything that is none."""
    return " ".join(value.split())[:LONGEST] if isinstance(value, str) else ""
