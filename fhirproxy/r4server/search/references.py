"""What a reference names, from its text alone.  Source: FHIR R4 references.html#literal."""

import re
from collections.abc import Mapping
from typing import Any

from fhirproxy.r4server.facts import resource_types

_LITERAL = re.compile(
    r"(?P<base>.*/)?(?P<type>[A-Za-z]+)/(?P<id>[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?"
)


def split_reference(text: str) -> tuple[str, str] | None:
    """Return (base or "", "Type/id") of a literal reference without its version, or None for anything else."""
    matched = _LITERAL.fullmatch(text)
    if matched is None or matched["type"] not in resource_types():
        return None
    return matched["base"] or "", f"{matched['type']}/{matched['id']}"


def referenced_type(reference: Any, container: Mapping[str, Any]) -> str | None:
    """Return the resource type a Reference points to: by its URL, by what `container` contains, by Reference.type."""
    if not isinstance(reference, Mapping):
        return None
    text = reference.get("reference")
    if isinstance(text, str) and text.startswith("#"):
        named = (
            inner.get("resourceType")
            for inner in container.get("contained", ())
            if isinstance(inner, Mapping) and f"#{inner.get('id')}" == text
        )
        return next(named, None)
    literal = split_reference(text) if isinstance(text, str) else None
    if literal:
        return literal[1].partition("/")[0]
    declared = reference.get("type")
    return declared if isinstance(declared, str) else None
