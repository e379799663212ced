"""Which grants an interaction rests on: asked when it is decided, and again whenever one of its pages is opened."""

from fhirproxy.policy.authority import Authority, Grant, reaches_all
from fhirproxy.policy.plans import Deny, deny_letter

Found = tuple[Grant, ...] | Deny


def grants_for(
    interaction: str,
    authority: Authority,
    *,
    resource_type: str = "",
    resource_id: str = "",
    types: frozenset[str] = frozenset(),
) -> Found:
    """Return the grants on which an interaction that is answered with a Bundle rests, or why there are none.

    interaction: a code of FHIR R4 system-restful-interaction, or the name of an operation.  types: of several at once.
    """
    match interaction:
        case "history-instance":
            return grants_on_instance(authority, resource_type, resource_id, "r")
        case "history-type":
            return _full(authority, resource_type, Deny("history.full_only", _FULL.format("the history of a type")))
        case "history-system":
            return _everything(authority)
        case "search-system":
            return _all_full(authority, types)
        case "$everything":
            of_patient = grants_on_instance(authority, resource_type, resource_id, "r")
            others = tuple(grant for one in sorted(types) for grant in authority.having("s", one))
            return of_patient if isinstance(of_patient, Deny) else tuple(dict.fromkeys((*of_patient, *others)))
    return authority.having("s", resource_type) or deny_letter(authority, "s", resource_type, "searching")


def grants_on_instance(authority: Authority, resource_type: str, resource_id: str, letter: str) -> Found:
    """Return the grants with `letter` that may reach one resource, or why there are none."""
    via = tuple(grant for grant in authority.having(letter, resource_type) if grant.instance in ("", resource_id))
    return via or deny_letter(authority, letter, resource_type, "reading")


_FULL = "{} is given to those alone whom neither patients nor filters confine"


def _full(authority: Authority, resource_type: str, otherwise: Deny) -> Found:
    via = authority.having("s", resource_type)
    if not via:
        return deny_letter(authority, "s", resource_type, "searching")
    return via if reaches_all(via, resource_type) else otherwise


def _all_full(authority: Authority, types: frozenset[str]) -> Found:
    if not types:
        return Deny("search.types", "a search across types names them in _type", fix="Add _type=Type,Type.")
    found: list[Grant] = []
    for one in sorted(types):
        via = _full(authority, one, Deny("search.full_only", _FULL.format("a search across types")))
        if isinstance(via, Deny):
            return via
        found.extend(via)
    return tuple(dict.fromkeys(found))


def _everything(authority: Authority) -> Found:
    via = tuple(grant for grant in authority.grants if grant.permits("s", "*"))
    if any(grant.is_full for grant in via):
        return via
    return Deny("history.full_only", _FULL.format("the history of everything"))
