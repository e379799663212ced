"""What is known about one HTTP request while it is being decided; receipts and audit records are written from it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import UUID, uuid4

from django.http import HttpRequest


class Explains(Protocol):
    """What a decision tells of itself, for the officer alone."""

    @property
    def switches(self) -> tuple[str, ...]:
        """Return the loosened policy switches the decision consulted."""
        ...

    @property
    def patients(self) -> frozenset[str]:
        """Return the logical ids of the patients whose data leaves."""
        ...

    def as_json(self) -> Mapping[str, Any]:
        """Return the steps of the decision as JSON: names, ids and numbers."""
        ...


@dataclass(slots=True)
class RequestContext:
    """Facts that accumulate as a request is read. Only `trace_id` is ours from the start; clients never choose it."""

    trace_id: UUID
    method: str = ""
    endpoint: str = ""  # "token", "introspect", "fhir", …
    remote_address: str = ""
    correlation_id: str = ""  # the caller's own X-Request-ID, when well-formed; it opens nothing
    client_id: str = ""  # as claimed until authenticated; empty when nobody was named
    is_proven: bool = False  # whether the client has proved who it is
    tenant: str = ""
    explanation: Explains | None = None


def new_context(**facts: str) -> RequestContext:
    """Return a context with a fresh random trace id."""
    return RequestContext(uuid4(), **facts)


def context_of(request: HttpRequest) -> RequestContext:
    """Return the context the tracing middleware attached to `request`."""
    context: RequestContext = request.context  # type: ignore[attr-defined]
    return context
