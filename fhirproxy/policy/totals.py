"""When an upstream's total may be told under restricted authority: where narrowing alone decides what is visible.

Source: FHIR R4 search, "Bundle.total".
"""

from fhirproxy.policy.authority import Grant
from fhirproxy.policy.parameters import Criterion
from smartauth.policy import r4

# Their one path to those they are about holds several references, so a match may be about somebody else, too.
ABOUT_SEVERAL = frozenset({"Account", "Contract"})


def is_exact(resource_type: str, via: tuple[Grant, ...], criteria: tuple[Criterion, ...] | None) -> bool:
    """Return True when a server that honours the narrowing parameter finds exactly what the check would admit.

    So it is for types about one patient, narrowed by our parameter, when no grant has a filter of its own.
    """
    facts = r4.memberships()[resource_type]
    is_about_one = (
        facts.cls == "compartment"
        and len(facts.primary) == 1
        and "." not in facts.primary[0]
        and resource_type not in ABOUT_SEVERAL
    )
    is_narrowed = any(criterion.name == facts.narrow for criterion in criteria or ())
    return is_about_one and is_narrowed and not any(grant.filters or grant.instance for grant in via)
