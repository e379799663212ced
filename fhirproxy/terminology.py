"""Questions about codes, carried out: one call upstream, and what of the answer is about codes.

Source: FHIR R4 terminology-service.
"""

from fhirproxy.answers import answer
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.shaping import expansion, primitive_parameters
from fhirproxy.policy.terminology import TerminologyPlan


def ask_about_codes(plan: TerminologyPlan, exchange: Exchange) -> RawResponse:
    """Return the answer. Raises FhirRefusal (404 for what is unknown, 400 for what is refused) or UpstreamError."""
    tree = exchange.result(plan.request, plan.result)
    bases = exchange.info.bases
    shaped = expansion(tree, bases) if plan.result == "ValueSet" else primitive_parameters(tree, bases)
    return answer(200, shaped, pretty=plan.shape.pretty)
