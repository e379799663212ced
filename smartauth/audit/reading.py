"""Reading the audit trail: by patient, client, user and time, as rows or as FHIR AuditEvents.

What was refused at the FHIR API is in receipts; both together are every decision.
"""

import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Q, QuerySet

from smartauth import endpoints
from smartauth.audit.models import AuditRecord
from smartauth.policy.audit_events import Outcome, Recorded, audit_events
from smartauth.receipts.models import Receipt

CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which facts are meant; "" and None do not narrow. `since` counts, `until` does not."""

    tenant: str = ""
    patient: str = ""
    client_id: str = ""
    user: int | None = None
    since: datetime | None = None
    until: datetime | None = None

    def as_details(self) -> dict[str, str | int]:
        """Return what was asked for, as the audit record of the reading keeps it."""
        said = {
            "tenant": self.tenant,
            "patient": self.patient,
            "client": self.client_id,
            "user": "" if self.user is None else self.user,
            "since": self.since.isoformat() if self.since else "",
            "until": self.until.isoformat() if self.until else "",
        }
        return {name: value for name, value in said.items() if value != ""}


def records_of_patient(tenant: str, patient: str, *, limit: int, before: datetime | None = None) -> list[AuditRecord]:
    """Return the newest facts about one patient's data at a tenant, for the patient or whoever acts for them.

    before: only what is older, for the next page.
    """
    found = _records(AuditFilter(tenant=tenant, patient=patient, until=before))
    return list(found.order_by("-at", "-pk")[:limit])


def tokens_of_client(client_id: str, *, limit: int) -> list[AuditRecord]:
    """Return the newest records of tokens issued to a client. They name people, so its owner may not see all of it."""
    return list(AuditRecord.objects.filter(client_id=client_id, action="token").order_by("-at")[:limit])


def decisions(wanted: AuditFilter) -> Iterator[Recorded]:
    """Yield every fact of the audit trail and every refusal of the FHIR API that is meant, oldest first."""
    allowed = _in_chunks(_records(wanted), recorded_of)
    refused = _in_chunks(_receipts(wanted), refused_of)
    yield from heapq.merge(allowed, refused, key=lambda one: one.at)


def as_fhir(recorded: Recorded) -> tuple[dict[str, Any], ...]:
    """Return a fact as FHIR R4 AuditEvents, one for each patient."""
    fhir_base = endpoints.fhir_base(recorded.tenant) if recorded.tenant else ""
    return audit_events(recorded, issuer=endpoints.issuer(), fhir_base=fhir_base)


def recorded_of(rows: list[AuditRecord]) -> list[Recorded]:
    """Return rows of the audit trail as values."""
    subjects = _subjects({row.user_id for row in rows})
    return [
        Recorded(
            key=f"audit-{row.pk}",
            at=row.at,
            trace_id=str(row.trace_id or ""),
            action=row.action,
            rule=row.rule,
            client_id=row.client_id,
            tenant=row.tenant,
            subject=subjects.get(row.user_id, ""),
            patients=tuple(row.patients or filter(None, [row.patient])),
            interaction=str(row.details.get("interaction", "")),
            resource_type=row.resource_type,
            resource_id=row.resource_id,
            query=row.query,
            remote_address=row.remote_address,
            details={name: value for name, value in row.details.items() if name != "interaction"},
        )
        for row in rows
    ]


def refused_of(rows: list[Receipt]) -> list[Recorded]:
    """Return receipts of the FHIR API as values."""
    subjects = _subjects({row.decision.get("user") for row in rows})
    return [_refused(row, subjects) for row in rows]


def _refused(row: Receipt, subjects: dict[int | None, str]) -> Recorded:
    asked = row.decision.get("parse") or {}
    outcome: Outcome = "8" if row.status >= 500 else "4"
    counts = {name: row.decision[name] for name in ("upstream_calls", "checked", "removed") if name in row.decision}
    switches = ",".join(row.decision.get("switches") or ())
    named = asked.get("id") if asked.get("type") == "Patient" else None
    return Recorded(
        key=f"receipt-{row.trace_id}",
        at=row.at,
        trace_id=str(row.trace_id),
        action="refuse",
        rule=row.rule,
        client_id=row.client_id,
        tenant=row.tenant,
        subject=subjects.get(row.decision.get("user"), ""),
        patients=tuple(sorted(filter(None, {row.decision.get("patient"), named}))),
        interaction=str(asked.get("interaction", "")),
        resource_type=str(asked.get("type", "")),
        resource_id=str(asked.get("id", "")),
        remote_address=row.remote_address,
        outcome=outcome,
        reason=row.reason,
        details={"status": row.status, **counts, "switches": switches},
    )


def _records(wanted: AuditFilter) -> QuerySet[AuditRecord]:
    rows = AuditRecord.objects.filter(_between(wanted))
    if wanted.patient:
        rows = rows.filter(Q(patients__contains=[wanted.patient]) | Q(patient=wanted.patient))
    return rows if wanted.user is None else rows.filter(user_id=wanted.user)


def _receipts(wanted: AuditFilter) -> QuerySet[Receipt]:
    rows = Receipt.objects.filter(_between(wanted), endpoint="fhir")
    if wanted.patient:
        named = Q(decision__parse__type="Patient", decision__parse__id=wanted.patient)
        rows = rows.filter(Q(decision__patient=wanted.patient) | named)
    return rows if wanted.user is None else rows.filter(decision__user=wanted.user)


def _between(wanted: AuditFilter) -> Q:
    condition = Q()
    if wanted.tenant:
        condition &= Q(tenant=wanted.tenant)
    if wanted.client_id:
        condition &= Q(client_id=wanted.client_id)
    if wanted.since:
        condition &= Q(at__gte=wanted.since)
    if wanted.until:
        condition &= Q(at__lt=wanted.until)
    return condition


def _in_chunks(rows: QuerySet[Any], read: Any) -> Iterator[Recorded]:
    chunk: list[Any] = []
    for row in rows.order_by("at", "pk").iterator(chunk_size=CHUNK):
        chunk.append(row)
        if len(chunk) == CHUNK:
            yield from read(chunk)
            chunk = []
    yield from read(chunk)


def _subjects(users: set[int | None]) -> dict[int | None, str]:
    """Return the `sub` of users by primary key: the name of a person that apps know too."""
    found = get_user_model().objects.filter(pk__in=[one for one in users if one is not None])
    return {pk: str(subject) for pk, subject in found.values_list("pk", "subject")}
