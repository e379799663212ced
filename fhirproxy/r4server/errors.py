"""What this server says when it cannot do what was asked: an HTTP status and an OperationOutcome."""

from fhirproxy.r4server.encoding import JsonObject


class FhirError(Exception):
    """A request that cannot be answered. `code` is an IssueType.  Source: FHIR R4 http.html#Status-Codes."""

    def __init__(self, status: int, code: str, diagnostics: str) -> None:
        super().__init__(diagnostics)
        self.status = status
        self.code = code
        self.diagnostics = diagnostics


def operation_outcome(code: str, diagnostics: str) -> JsonObject:
    """Return an OperationOutcome with one error issue."""
    issue = {"severity": "error", "code": code, "diagnostics": diagnostics}
    return {"resourceType": "OperationOutcome", "issue": [issue]}
