"""What a client asked for lately and what came of it: refusals from the receipts, tokens from the audit trail.

For the owner of the client, so it is the partner view of both: nothing of patients, users or the server behind.
"""

import heapq
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import islice
from typing import Any
from uuid import UUID

from smartauth.audit.models import AuditRecord
from smartauth.audit.reading import tokens_of_client
from smartauth.receipts.models import Receipt
from smartauth.receipts.views import describe, receipts_of_client

# Where a client itself asks. What people do on our pages on the way is theirs.
ENDPOINTS = ("authorize", "fhir", "introspect", "launch", "par", "registration", "revoke", "token", "userinfo")
MOST = 200


@dataclass(frozen=True, slots=True)
class RecentRequest:
    """One request and its outcome. `rule` names the check that refused it, or the grant a token was issued by; the
    texts are for the owner of the client, "" where there is nothing to say."""

    at: datetime
    endpoint: str
    is_ok: bool
    status: int
    error: str
    rule: str
    reason: str
    expected: str
    seen: str
    fix: str
    trace_id: UUID | None
    tenant: str

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"at": self.at.isoformat(), "trace_id": str(self.trace_id) if self.trace_id else None}


def recent_requests(client_id: str, *, limit: int = 50) -> tuple[RecentRequest, ...]:
    """Return the latest requests in the name of a client, the newest first, as far as they left a trace.

    A token that was issued and a request that was refused do; one that was allowed at the FHIR API does not. Refused
    requests may come from somebody who only claimed to be the client.    limit: at most 200 count.
    Two statements.
    """
    limit = max(0, min(limit, MOST))
    issued = map(_issued, tokens_of_client(client_id, limit=limit))
    refused = map(_refused, receipts_of_client(client_id, endpoints=ENDPOINTS, limit=limit))
    newest_first = heapq.merge(issued, refused, key=lambda one: one.at, reverse=True)
    return tuple(islice(newest_first, limit))


def _refused(row: Receipt) -> RecentRequest:
    told = describe(row, "partner")
    del told["client_id"]
    return RecentRequest(is_ok=False, **told | {"at": row.at, "trace_id": row.trace_id})


def _issued(row: AuditRecord) -> RecentRequest:
    scope, dropped = row.details.get("scope", ""), row.details.get("dropped", "")
    return RecentRequest(
        at=row.at,
        endpoint="token",
        is_ok=True,
        status=200,
        error="",
        rule=row.rule,
        reason=f"a token was issued for {scope}" + (f"; not granted: {dropped}" if dropped else ""),
        expected="",
        seen="",
        fix="",
        trace_id=row.trace_id,
        tenant=row.tenant,
    )
