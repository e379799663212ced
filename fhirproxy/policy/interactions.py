"""What can be asked, as one sum type; what it has no member for cannot be asked.

Source: FHIR R4 http.
"""

from dataclasses import dataclass, field

from fhirproxy.policy.bulk_requests import BulkCancel, BulkExport, BulkFile, BulkStatus
from fhirproxy.policy.history import HistoryQuery
from fhirproxy.policy.operations import ReadingOperation
from fhirproxy.policy.own_operations import OwnOperation
from fhirproxy.policy.parameters import SearchQuery
from fhirproxy.policy.results import Shape
from fhirproxy.policy.sent import Sent
from fhirproxy.policy.validation import Validate
from fhirproxy.policy.wider_searches import SystemQuery


@dataclass(frozen=True, slots=True)
class Capabilities:
    """GET /metadata: public."""

    shape: Shape


@dataclass(frozen=True, slots=True)
class Read:
    """GET /Type/id."""

    type: str
    id: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class SearchType:
    """GET /Type?… or POST /Type/_search: the same value for both."""

    type: str
    query: SearchQuery


@dataclass(frozen=True, slots=True)
class Page:
    """GET /_page?c=…: the next page of a search, by our own sealed cursor."""

    cursor: str


@dataclass(frozen=True, slots=True)
class VRead:
    """GET /Type/id/_history/version."""

    type: str
    id: str
    version: str
    shape: Shape


@dataclass(frozen=True, slots=True)
class History:
    """GET /Type/id/_history, /Type/_history or /_history."""

    type: str | None
    id: str | None
    query: HistoryQuery


@dataclass(frozen=True, slots=True)
class SearchSystem:
    """GET /?…, or GET or POST /_search."""

    wanted: SystemQuery


@dataclass(frozen=True, slots=True)
class SearchCompartment:
    """GET /Patient/id/Type, or POST /Patient/id/Type/_search; `type` "*", for all of them, is refused."""

    compartment: str
    id: str
    type: str
    query: SearchQuery


@dataclass(frozen=True, slots=True)
class Create:
    """POST /Type, conditional when If-None-Exist is present."""

    type: str
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Update:
    """PUT /Type/id, or PUT /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Patch:
    """PATCH /Type/id, or PATCH /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Delete:
    """DELETE /Type/id, or DELETE /Type?… with `id` None."""

    type: str
    id: str | None
    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Bundled:
    """POST / : batch or transaction."""

    sent: Sent = field(default_factory=Sent)


@dataclass(frozen=True, slots=True)
class Operation:
    """$name at the base, on a type or on an instance, where no operation that reads has this name."""

    name: str
    type: str | None = None
    id: str | None = None


Interaction = (
    Capabilities | Read | SearchType | Page | VRead | History | SearchSystem | SearchCompartment
    | Create | Update | Patch | Delete | Bundled | Operation | ReadingOperation | OwnOperation | Validate
    | BulkExport | BulkStatus | BulkCancel | BulkFile
)  # fmt: skip
