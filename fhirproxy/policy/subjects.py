"""Whose data a resource is, for the audit trail: the patients it is about, else those who have another role in it."""

from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.paths import STEPS
from fhirproxy.policy.references import Bases, Local, classify, values_at
from smartauth.policy import r4


def patients_of(checked: Checked, bases: Bases) -> frozenset[str]:
    """Return the logical ids of the patients in a resource that leaves."""
    if checked.type == "Patient":
        return frozenset({checked.id})
    facts = r4.memberships()[checked.type]
    return _at(checked, facts.primary, bases) or _at(checked, facts.secondary, bases)


def _at(checked: Checked, paths: list[str], bases: Bases) -> frozenset[str]:
    found = (classify(value, bases) for path in paths for value in values_at(checked.resource, STEPS[path]))
    return frozenset(who.id for who in found if isinstance(who, Local))
