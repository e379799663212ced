"""Texts out of checked resources, as our pages show them: on one line, of bearable length, and touching nothing else.

Source: Unicode Standard Annex #9, "Explicit Directional Formatting Characters".
"""

import re
import unicodedata

from fhirproxy.policy.bodies import Json
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.references import values_at

LONGEST = 200  # characters of a text that is shown

# What is no text, and what turns around or hides the text that stands after it. The joiners some scripts need stay.
UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff]")

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
    """Return a text on one line and of bearable length; "" for anything that is none, or that shows nothing."""
    if not isinstance(value, str):
        return ""
    text = UNSHOWABLE.sub("", " ".join(value.split()))[:LONGEST]
    return text if any(unicodedata.category(one)[0] not in "CZ" for one in text) else ""
