"""Conditional writes: the criteria are searched for by us, within the authority, and never sent along.

What lies outside the authority does not exist for this purpose. Source: FHIR R4 http, "Conditional create" and others.
"""

from dataclasses import replace

from fhirproxy.exchange import Exchange
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.plans import SearchPlan
from fhirproxy.policy.write_plans import WritePlan
from fhirproxy.searching import Position, Sifter
from smartauth.errors import Refusal


def resolve(plan: WritePlan, criteria: SearchPlan, authority: Authority, exchange: Exchange) -> WritePlan | Checked:
    """Return the plan for one resource, or the resource when a create is not needed.

    Raises FhirRefusal: 404 for none, 412 for several; or UpstreamError.
    """
    found = _matches(criteria, authority, exchange)
    if len(found) > 1:
        refusal = Refusal("write.several", "the criteria find more than one resource", fix="Narrow the criteria.")
        raise FhirRefusal(412, "conflict", refusal)
    if plan.verb == "create":
        return found[0] if found else replace(plan, criteria=None)
    if found:
        return replace(plan, criteria=None, create_via=(), id=found[0].id)
    if plan.verb == "update" and plan.create_via:
        is_full = any(grant.is_full for grant in plan.create_via)
        return replace(plan, criteria=None, verb="create", via=plan.create_via, is_full=is_full)
    raise not_found("the criteria find nothing inside the authority")


def _matches(criteria: SearchPlan, authority: Authority, exchange: Exchange) -> tuple[Checked, ...]:
    sifter = Sifter(criteria, authority, exchange)
    if criteria.request is None or not sifter.all_members(criteria.resolve):
        return ()
    gathered = sifter.gather(Position(criteria.request), 2)
    if gathered.following is not None and len(gathered.matches) < 2:
        refusal = Refusal("write.costly", "the criteria look at too much; narrow them")
        raise FhirRefusal(412, "too-costly", refusal)
    return tuple(gathered.matches.values())
