"""Every refusal of the proxy as a value, and the OperationOutcome it becomes.

Source: FHIR R4 operationoutcome; RFC 6750 §3.
"""

from typing import Literal

from fhirproxy.policy.bodies import Resource
from smartauth.errors import Refusal

Issue = Literal[
    "login", "expired", "forbidden", "security", "not-found", "deleted", "invalid", "not-supported", "too-long",
    "too-costly", "conflict", "throttled", "timeout", "transient", "exception",
]  # fmt: skip

NOT_FOUND = "There is no such resource, or it is outside what this token may see."


class FhirRefusal(Exception):
    """The proxy refuses a request. Becomes an OperationOutcome and a receipt.

    `public` is the sentence the client reads: fixed text that may echo parameter and type names, never values and
    nothing the upstream said. `scope`: the smallest scope that would help, for 403. `allow`: the Allow header, for 405.
    `retry_after`: seconds, for 429 and 503.
    `more`: further issues for the outcome, already reduced to what may be told.
    """

    def __init__(
        self,
        status: int,
        issue: Issue,
        refusal: Refusal,
        *,
        public: str = "",
        scope: str = "",
        allow: str = "",
        retry_after: int = 0,
        more: tuple[Resource, ...] = (),
    ) -> None:
        super().__init__(refusal.reason)
        self.status = status
        self.issue: Issue = issue
        self.refusal = refusal
        self.public = public or refusal.reason
        self.scope = scope
        self.allow = allow
        self.retry_after = retry_after
        self.more = more


def bad_request(rule: str, reason: str, *, expected: str = "", seen: str = "", fix: str = "") -> FhirRefusal:
    """Return the refusal of a request that cannot be read: 400. `reason` goes to the client."""
    return FhirRefusal(400, "invalid", Refusal(rule, reason, expected=expected, seen=seen, fix=fix))


def forbidden(rule: str, reason: str, *, scope: str = "", fix: str = "") -> FhirRefusal:
    """Return the refusal of a request the authority does not cover: 403."""
    return FhirRefusal(403, "forbidden", Refusal(rule, reason, fix=fix), scope=scope)


def not_found(officer: str = "") -> FhirRefusal:
    """Return the one 404 for absent, outside and deleted alike; only `officer` may say which (FHIR R4 security)."""
    refusal = Refusal(
        "read.absent_or_outside",
        "the resource is absent or outside the authority, which is not told apart",
        fix="Check the id, and whose record the token is for.",
        officer=officer,
    )
    return FhirRefusal(404, "not-found", refusal, public=NOT_FOUND)


def unprocessable(rule: str, reason: str, *, seen: str = "", fix: str = "") -> FhirRefusal:
    """Return the refusal of a body that is JSON but not what may be stored: 422. `reason` goes to the client."""
    return FhirRefusal(422, "invalid", Refusal(rule, reason, seen=seen, fix=fix))


def operation_outcome(issue: Issue, text: str, trace_id: str, more: tuple[Resource, ...] = ()) -> Resource:
    """Return an OperationOutcome with one error; its diagnostics is the trace id that opens the receipt.

    `more`: issues that say where in the body the error is.
    """
    return {
        "resourceType": "OperationOutcome",
        "issue": [
            {"severity": "error", "code": issue, "details": {"text": text}, "diagnostics": trace_id},
            *more,
        ],
    }
