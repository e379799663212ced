"""What a CapabilityStatement says about writing, batches and transactions.

Source: FHIR R4 capabilitystatement.
"""

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.switches import WriteSwitches
from smartauth.policy import r4

# A patch is computed here and sent as an update, so it needs no more of the upstream than that.
NEEDED = {"create": "create", "update": "update", "patch": "update", "delete": "delete"}


def written_interactions(kind: str, offered: set[Json], switches: WriteSwitches) -> list[str]:
    """Return the writes of a type that some client may be allowed. `offered`: the upstream's interactions."""
    if not switches.levels or r4.memberships()[kind].cls == "operator":
        return []
    return [code for code, needed in NEEDED.items() if needed in offered]


def write_details(codes: list[str], offered: set[Json], switches: WriteSwitches) -> Resource:
    """Return what else is said about a type that can be written. Conditions are resolved here, by searches."""
    is_searched = "search-type" in offered
    return {
        "updateCreate": switches.update_as_create and {"create", "update"} <= set(codes),
        "conditionalCreate": is_searched and "create" in codes,
        "conditionalUpdate": is_searched and "update" in codes,
        "conditionalDelete": "single" if is_searched and "delete" in codes else "not-supported",
    }


def system_interactions(offered: set[Json], switches: WriteSwitches) -> list[Json]:
    """Return the interactions at the base: batches are taken apart here, transactions are the upstream's to keep."""
    codes = ["batch"]
    if switches.levels and "transaction" in offered:
        codes.append("transaction")
    return [{"code": code} for code in codes]
