"""A request and an answer without a transport."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from urllib.parse import parse_qsl

from fhirproxy.r4server.encoding import JsonObject, decode, encode
from fhirproxy.r4server.errors import FhirError, operation_outcome

FHIR_JSON = "application/fhir+json; charset=utf-8"
_JSON_TYPES = frozenset({"application/fhir+json", "application/json", "text/json"})
_FORM_TYPE = "application/x-www-form-urlencoded"


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `path` and `query` are still percent-encoded; header names keep the case they came in."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return the first value of a header, or None."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def query_pairs(self) -> list[tuple[str, str]]:
        """Return the decoded parameters of the query string, empty ones included."""
        return _pairs(self.query)

    def form_pairs(self) -> list[tuple[str, str]]:
        """Return the decoded parameters of a form body. Raises FhirError 415 for another content type."""
        if self._content_type() != _FORM_TYPE:
            raise FhirError(415, "not-supported", f"the body must be {_FORM_TYPE}")
        try:
            return _pairs(self.body.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise FhirError(400, "invalid", "the form is not UTF-8") from error

    def json_body(self) -> object:
        """Return the decoded JSON body. Raises FhirError 415 or 400."""
        if self._content_type() not in _JSON_TYPES:
            raise FhirError(415, "not-supported", "the body must be application/fhir+json")
        try:
            return decode(self.body)
        except ValueError as error:
            raise FhirError(400, "structure", "the body is not JSON") from error

    def _content_type(self) -> str:
        return (self.header("Content-Type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Response:
    """One answer; `headers` without Content-Type and Content-Length."""

    status: int
    body: bytes = b""
    content_type: str = FHIR_JSON
    headers: Sequence[tuple[str, str]] = ()


def json_response(document: JsonObject | list[JsonObject], *, status: int = 200) -> Response:
    """Return a JSON answer that is not FHIR: what the control URLs say."""
    return Response(status, encode(document), "application/json")


def error_response(error: FhirError) -> Response:
    """Return an OperationOutcome for an error, with the challenge that a 401 owes (RFC 6750 §3)."""
    headers = [("WWW-Authenticate", 'Bearer realm="r4server"')] if error.status == 401 else []
    return Response(error.status, encode(operation_outcome(error.code, error.diagnostics)), FHIR_JSON, headers)


def http_date(at: datetime) -> str:
    """Return an IMF-fixdate (RFC 9110 §5.6.7)."""
    return format_datetime(at.replace(microsecond=0), usegmt=True)


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=1000)
    except (UnicodeDecodeError, ValueError) as error:
        raise FhirError(400, "invalid", "the parameters cannot be read") from error
