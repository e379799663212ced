"""Hold a decision against the search parameters the upstream says it has, before anything is sent.

It comes after the authority: what is refused anyway costs no call. Its outcome depends on the request and on how the
tenant is set up, never on data.
"""

from typing import TypeVar

from fhirproxy.exchange import Exchange
from fhirproxy.policy.bulk_decisions import ExportPlan
from fhirproxy.policy.extras import NO_EXTRAS, Extras
from fhirproxy.policy.plans import Deny
from fhirproxy.policy.supported import asked_by, deny_unsupported
from fhirproxy.statement import supported_parameters

P = TypeVar("P")


def as_supported(plan: P, exchange: Exchange, extras: Extras = NO_EXTRAS) -> P | Deny:
    """Return the plan, or why a search in it, or a filter of its export, cannot be made here.

    Asks the upstream for its CapabilityStatement when there is no copy of the last ten minutes; no plan depends on
    its answering.
    """
    asked = plan.asked if isinstance(plan, ExportPlan) else asked_by(plan)
    if not asked:
        return plan
    return deny_unsupported(asked, supported_parameters(exchange), extras) or plan
