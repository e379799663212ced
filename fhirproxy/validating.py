"""A validation, carried out: judged like the write it stands for, then the upstream looks at the body.

What the upstream finds is reduced to what is about the body itself. Source: FHIR R4 resource-operation-validate.
"""

from fhirproxy.answers import answer
from fhirproxy.exchange import Exchange
from fhirproxy.messages import RawResponse
from fhirproxy.policy.authority import Authority
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.decisions import validation_request
from fhirproxy.policy.outcomes import FhirRefusal, not_found
from fhirproxy.policy.shaping import written_by_us
from fhirproxy.policy.validation_plans import ValidationPlan
from fhirproxy.policy.write_outcomes import issues_of
from fhirproxy.upstream import UpstreamMalformed
from fhirproxy.writing import prepare
from smartauth.errors import Refusal

# Servers answer what is wrong with 200, as the operation says, or with the status the write would have had.
TOLD = frozenset({200, 400, 412, 422})
NOTHING_WRONG: Resource = {
    "severity": "information",
    "code": "informational",
    "details": {"text": "Nothing was found wrong."},
}


def validate(plan: ValidationPlan, authority: Authority, exchange: Exchange) -> RawResponse:
    """Return what is wrong with a write that may be made.

    Raises FhirRefusal, the same as the write would, or UpstreamError.
    """
    prepared = prepare(plan.write, authority, exchange)
    if isinstance(prepared, Checked):
        raise AssertionError(plan)  # Only a conditional create finds something, and a validation has no criteria.
    found, outcome = exchange.write(validation_request(plan, prepared.checked))
    if plan.mode == "delete" and found.status in (404, 410):
        raise not_found("the upstream knows no such resource, or does not validate deletes")
    if found.status in (404, 405, 501):
        raise FhirRefusal(501, "not-supported", Refusal("validate.unsupported", "the FHIR server does not validate"))
    if found.status not in TOLD or outcome is None or outcome.get("resourceType") != "OperationOutcome":
        raise UpstreamMalformed(f"status {found.status} for a validation, or no OperationOutcome")
    issues = issues_of(outcome) or (NOTHING_WRONG,)
    told = written_by_us({"resourceType": "OperationOutcome", "issue": [*issues]})
    return answer(200, told, pretty=plan.shape.pretty)
