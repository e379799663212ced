"""A request and an answer without a framework: what the pipeline takes and gives."""

from collections.abc import Generator
from dataclasses import dataclass
from enum import Enum
from typing import Literal

from fhirproxy.policy.headers import RawHeaders
from fhirproxy.policy.shaping import Shaped
from smartauth.context import RequestContext

FHIR_JSON = "application/fhir+json"
LARGEST_BODY = 10 * 1024 * 1024  # bytes


class Unreadable(Enum):
    """Why there is no body although one was sent."""

    BROKEN = "it ended before its Content-Length"
    WITHOUT_LENGTH = "it has no Content-Length"
    TOO_LARGE = "it is larger than LARGEST_BODY"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """One HTTP request below a tenant's FHIR base.

    target: path and query in origin form, still percent-encoded.  prefix: the path of the FHIR base within it.
    body: empty when none was sent.  place: the tenant's FHIR API, or the base beside it where apps keep state.
    """

    method: str
    target: str
    prefix: str
    tenant: str
    headers: RawHeaders
    body: bytes | Unreadable
    context: RequestContext
    place: Literal["r4", "app-state"] = "r4"


@dataclass(frozen=True, slots=True)
class RawResponse:
    """One HTTP answer. For HEAD the body is already gone and Content-Length tells what it was.

    stream: the body piece by piece, in place of `body`; whoever takes it closes it.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""
    stream: Generator[bytes, None, None] | None = None
    value: Shaped | None = None  # what the body says, for an answer that becomes part of another
