"""What the upstream said about a write, reduced to what may be told: where in the body, never about other resources.

Source: FHIR R4 operationoutcome; FHIR R4 http, "Status Codes".
"""

import re

from fhirproxy.policy.bodies import Json, Resource
from fhirproxy.policy.outcomes import FhirRefusal
from smartauth.errors import Refusal

MAX_ISSUES = 20
EXPRESSION = re.compile(r"[A-Z][A-Za-z]{1,40}(?:\.[a-z][A-Za-z0-9]{0,60}(?:\[[0-9]{1,5}\])?){0,12}")
SEVERITIES = frozenset({"fatal", "error", "warning", "information"})
# Codes about the body itself. Others (duplicate, conflict, not-found, …) are about what else is stored.
CODES = frozenset(
    {
        "invalid", "structure", "required", "value", "invariant", "code-invalid", "extension", "business-rule",
        "too-long", "informational",
    }
)  # fmt: skip


def refusal_of(status: int, outcome: Resource | None) -> FhirRefusal:
    """Return the refusal for an answer that is no success. Credentials of ours and whatever is unexpected are 502."""
    match status:
        case 400 | 422:
            refusal = Refusal("upstream.refused_write", "the FHIR server does not take this resource")
            return FhirRefusal(422, "invalid", refusal, more=issues_of(outcome))
        case 409:
            refusal = Refusal("upstream.conflict", "the FHIR server says that this conflicts with what it has")
            return FhirRefusal(409, "conflict", refusal)
        case 412:
            refusal = Refusal(
                "write.version", "the resource was changed in the meantime", fix="Read it again and repeat."
            )
            return FhirRefusal(412, "conflict", refusal)
    refusal = Refusal(
        "upstream.failed", "the FHIR server gave no usable answer", officer=f"status {status} for a write"
    )
    return FhirRefusal(502, "transient", refusal, public="The FHIR server behind this one gave no usable answer.")


def issues_of(outcome: Resource | None) -> tuple[Resource, ...]:
    """Return severity, code and element paths of an OperationOutcome's issues; never its texts."""
    issues = outcome.get("issue") if outcome and outcome.get("resourceType") == "OperationOutcome" else None
    listed = issues[:MAX_ISSUES] if isinstance(issues, list) else []
    return tuple(_issue(one) for one in listed if isinstance(one, dict))


def _issue(issue: Resource) -> Resource:
    severity, code = issue.get("severity"), issue.get("code")
    reduced: Resource = {
        "severity": severity if isinstance(severity, str) and severity in SEVERITIES else "error",
        "code": code if isinstance(code, str) and code in CODES else "processing",
    }
    paths: list[Json] = [path for path in _texts(issue.get("expression")) if EXPRESSION.fullmatch(path)]
    return {**reduced, "expression": paths} if paths else reduced


def _texts(value: Json) -> list[str]:
    return [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
