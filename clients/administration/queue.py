"""The review queue: submitted clients and changes that wait, oldest first, with how much there is to look at twice."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta

from django.core.paginator import Paginator
from django.db.models import F, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from clients.app_kinds import KINDS, kind_of
from clients.models import ChangeRequest, Client, ClientEvent, KeyFinding
from clients.registration import describe_metadata
from clients.reviews import SUBMISSIONS
from clients.risk_hints import Hint, Neighbours, hints_of
from smartauth.administration.pages import page, staff_page

PER_PAGE = 50
# 45 CFR §170.404(b)(1): who asks is verified within ten business days.
BUSINESS_DAYS = 10
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the queue."""

    client: Client
    change: ChangeRequest | None
    kind: str
    since: datetime
    business_days: int
    hints: tuple[Hint, ...]

    @property
    def is_overdue(self) -> bool:
        return self.business_days > BUSINESS_DAYS

    @property
    def grave(self) -> int:
        """Return how many hints want to be looked at first."""
        return sum(one.is_grave for one in self.hints)


def waiting_clients() -> QuerySet[Client]:
    """Return submitted clients with `since`, when each was submitted."""
    began = ClientEvent.objects.filter(client=OuterRef("pk"), act__in=SUBMISSIONS).order_by("-at").values("at")[:1]
    submitted = Client.objects.filter(status=Client.Status.SUBMITTED)
    return submitted.annotate(since=Coalesce(Subquery(began), F("created"))).order_by("since", "pk")


def waiting_changes() -> QuerySet[ChangeRequest]:
    """Return open change requests of clients that are still there."""
    alive = (Client.Status.APPROVED, Client.Status.SUSPENDED)
    found = ChangeRequest.objects.filter(state=ChangeRequest.State.OPEN, client__status__in=alive)
    return found.order_by("requested_at", "pk")


def business_days(since: datetime, now: datetime) -> int:
    """Return how many weekdays have begun after the day of `since`; holidays count."""
    first: date = since.date()
    days = (now.date() - first).days
    weeks, rest = divmod(days, 7)
    return weeks * 5 + sum((first + timedelta(one)).weekday() < SATURDAY for one in range(1, rest + 1))


@staff_page("clients.view_client", "GET")
def queue(request: HttpRequest) -> HttpResponse:
    """Show what waits for a review."""
    now = timezone.now()
    # Keys and dates first: of a long queue only one page is read in full.
    waiting = [(since, "client", pk) for since, pk in waiting_clients().values_list("since", "pk")]
    waiting += [(since, "change", pk) for since, pk in waiting_changes().values_list("requested_at", "pk")]
    shown = Paginator(sorted(waiting), PER_PAGE).get_page(request.GET.get("p"))
    rows = _rows([(what, pk) for _, what, pk in shown], now)
    return page(request, "admin/clients/queue.html", "Review queue", rows=rows, shown=shown)


def _rows(keys: list[tuple[str, int]], now: datetime) -> list[Row]:
    clients = waiting_clients().select_related("user").in_bulk([pk for what, pk in keys if what == "client"])
    changes = waiting_changes().select_related("client__user").in_bulk([pk for what, pk in keys if what == "change"])
    about = [*clients.values(), *(one.client for one in changes.values())]
    findings: dict[int, list[KeyFinding]] = {}
    for one in KeyFinding.objects.filter(client__in=about, resolved_at__isnull=True):
        findings.setdefault(one.client_id, []).append(one)
    neighbours = Neighbours.load()
    rows = []
    for what, pk in keys:
        change = changes.get(pk) if what == "change" else None
        client = clients.get(pk) if what == "client" else change and change.client
        if client is None:
            continue  # Decided about while the page was made.
        since = change.requested_at if change else client.since  # type: ignore[attr-defined]
        asked = change.wanted if change else describe_metadata(client)
        hints = hints_of(client, asked, neighbours, findings.get(client.pk, ()))
        rows.append(Row(client, change, KINDS[kind_of(client)].title, since, business_days(since, now), hints))
    return rows
