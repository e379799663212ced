"""What apps have opened of the records a person let them into, out of the audit trail, as people would say it.

Only what an app opened for this person, and only of records they may act for now: what was opened of somebody else's
record while a relation lasted is none of their business afterwards. Where no record was in context, as for an app of a
clinician, only kinds are told, never of whom.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import parse_qsl

from django.db.models import Q

from smartauth.audit.models import AuditRecord
from smartauth.policy.wording import title_of_reading

PERIOD = timedelta(days=90)
MOST = 1_000  # audit records that are looked at for one page, the newest first
ACTIONS = ("read", "search")


@dataclass(frozen=True, slots=True, order=True)
class Opened:
    """What one app has of one record. `patient`: logical id at `tenant` (slug), "" where none was in context.

    `among`: the logical ids of the patients of whom may be told, None for all.
    """

    client_id: str
    tenant: str
    patient: str
    among: frozenset[str] | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Reading:
    """One kind of information: its name in English, how often it was opened, and when last."""

    title: str
    times: int
    last: datetime


def readings(user: int, records: Collection[Opened], *, now: datetime) -> Mapping[Opened, tuple[Reading, ...]]:
    """Return what each app opened for a user lately of each record, what was opened last first. One statement.

    records: those the user may act for now.
    """
    wanted = Q()
    for one in records:
        # What was in context need not be all that left: of others in it nothing is told.
        among = {one.patient} if one.patient else one.among
        told = Q() if among is None else Q(patients__contained_by=sorted(among))
        wanted |= told & Q(client_id=one.client_id, tenant=one.tenant, patient=one.patient)
    if not records:
        return {}
    rows = AuditRecord.objects.filter(
        wanted, at__gte=now - PERIOD, user_id=user, action__in=ACTIONS, authorization__isnull=False
    )
    values = rows.order_by("-at").values_list(
        "client_id", "tenant", "patient", "resource_type", "query", "details", "at"
    )
    found: dict[Opened, dict[str, Reading]] = {}
    for client_id, tenant, patient, kind, query, details, at in values[:MOST]:
        per_title = found.setdefault(Opened(client_id, tenant, patient), {})
        title = title_of_reading(kind, _values(query, "category"), whole=details.get("interaction") == "$everything")
        seen = per_title.get(title)
        per_title[title] = Reading(title, seen.times + 1 if seen else 1, seen.last if seen else at)
    return {one: tuple(per_title.values()) for one, per_title in found.items()}


def _values(query: str, name: str) -> tuple[str, ...]:
    return tuple(value for key, value in _pairs(query) if key == name)


def _pairs(query: str) -> Iterable[tuple[str, str]]:
    try:
        return parse_qsl(query.partition("?")[2], max_num_fields=200)
    except ValueError:
        return []
