"""How a client is told what else is in context, in the words of the SMART version it was written for. Pure.

Source: SMART 2.2 and SMART 2.0 scopes-and-launch-context, "fhirContext"; SMART 1.0 scopes and launch context.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, assert_never

# "2.2" also stands for 2.1, which has the same shape.
SmartVersion = Literal["1.0", "2.0", "2.2"]
MEMBER = "fhirContext"
# What a launch is mainly about; an entry without a role has this one.
MAIN_ROLE = "launch"
# In SMART 2.0 these two are told as `patient` and `encounter`, and nowhere else.
TOP_LEVEL = ("Patient/", "Encounter/")


def told(context: Mapping[str, Any], version: SmartVersion) -> dict[str, Any]:
    """Return launch context as a client of `version` is told it: every member as it is but for fhirContext.

    context: members as SMART 2.2 has them; fhirContext is an array of objects, or absent.
    An empty fhirContext is left out; so is what the version has no word for.
    """
    rest = {name: value for name, value in context.items() if name != MEMBER}
    shaped = _shaped(context.get(MEMBER) or (), version)
    return rest | ({MEMBER: shaped} if shaped else {})


def _shaped(entries: Sequence[Mapping[str, Any]], version: SmartVersion) -> list[Any]:
    match version:
        case "2.2":
            return list(entries)
        case "2.0":
            return list(dict.fromkeys(one["reference"] for one in entries if _is_a_plain_reference(one)))
        case "1.0":
            return []
    assert_never(version)


def _is_a_plain_reference(entry: Mapping[str, Any]) -> bool:
    """Return True when a reference alone says all of `entry`: without its role it would be taken for the main thing."""
    reference = entry.get("reference")
    return (
        isinstance(reference, str) and entry.get("role", MAIN_ROLE) == MAIN_ROLE and not reference.startswith(TOP_LEVEL)
    )
