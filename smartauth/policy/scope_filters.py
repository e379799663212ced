"""When one filter of a scope lets through no more than another: tokens compare as in FHIR, not as text. Pure.

Source: FHIR R4 search, "token" and "Escaping Search Parameters".
"""

from collections.abc import Iterable
from functools import cache

from smartauth.policy import r4

Filter = tuple[str, str]  # search parameter, decoded value: one, or several separated by commas, of which one must hold


def implies(resource: str, narrow: Filter, wide: Filter) -> bool:
    """Return True when whatever matches `narrow` matches `wide`, too. `resource`: a FHIR resource type, or "*".

    Anything but a plain token is only compared as a whole.
    """
    if narrow == wide:
        return True
    name, value = narrow
    if name != wide[0] or not _is_token(resource, name) or not (_is_plain(value) and _is_plain(wide[1])):
        return False
    return all(any(_is_within(one, other) for other in wide[1].split(",")) for one in value.split(","))


def simplest(resource: str, filters: Iterable[Filter]) -> tuple[Filter, ...]:
    """Return filters that let through the same, sorted, without those that another one of them implies."""
    kept: list[Filter] = []
    for one in sorted(set(filters)):
        if not any(implies(resource, other, one) for other in kept):
            kept = [other for other in kept if not implies(resource, one, other)]
            kept.append(one)
    return tuple(sorted(kept))


@cache
def _is_token(resource: str, name: str) -> bool:
    parameter = r4.search_parameters("Parameters" if resource == "*" else resource).get(name)
    return parameter is not None and parameter.type == "token"


def _is_plain(value: str) -> bool:
    """Return True for tokens without escapes, each of which says something: the others have no meaning to compare."""
    return "\\" not in value and all(one.strip("|") and one.count("|") <= 1 for one in value.split(","))


def _is_within(narrow: str, wide: str) -> bool:
    """Compare `code`, `|code`, `system|` and `system|code`."""
    if narrow == wide:
        return True
    system, has_system, code = narrow.partition("|")
    wide_system, wide_has_system, wide_code = wide.partition("|")
    if not wide_has_system:  # The code in any system, or in none.
        return bool(has_system) and code == wide
    return bool(has_system) and not wide_code and system == wide_system  # Every code of the system.
