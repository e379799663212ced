"""What of the registry waits for the hospital."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Min, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.timesince import timesince

from clients.administration.queue import waiting_changes, waiting_clients
from clients.models import Activation, Client, KeyFinding, KeyWatchRound
from smartauth.administration.waiting import Waiting, tells_what_waits

STANDS_STILL = timedelta(hours=1)  # since the last round of the watch over key sets
# A client that is stopped or declined is decided about first.
WORKING = (Client.Status.APPROVED, Client.Status.SUBMITTED)


@tells_what_waits
def registry(request: HttpRequest) -> Iterator[Waiting]:
    """Say what is to be reviewed and activated, and what is wrong with keys."""
    may, now = request.user.has_perm, timezone.now()
    if may("clients.view_client"):
        queue = reverse("admin:clients_review_queue")
        for title, rows, since in (
            ("New clients to review", waiting_clients(), "since"),
            ("Changes to review", waiting_changes(), "requested_at"),
        ):
            count, oldest = _counted(rows, since)
            yield Waiting(title, count, queue, _age(oldest, now))
    if may("clients.view_activation"):
        count, oldest = _counted(waiting_activations(), "activated_at")
        url = reverse("admin:clients_activation_changelist") + "?state=waiting"
        yield Waiting("Activations to decide about", count, url, _age(oldest, now))
    if may("clients.view_keyfinding"):
        count, oldest = _counted(KeyFinding.objects.filter(resolved_at__isnull=True), "first_seen_at")
        url = reverse("admin:clients_keyfinding_changelist") + "?resolved_at__isempty=1"
        yield Waiting("Problems with partners' keys", count, url, _age(oldest, now), is_urgent=True)
        yield _unwatched(now)


def _unwatched(now: datetime) -> Waiting:
    """Say how many clients have keys by URL that nobody watches, because the watch stands still."""
    ended_at = KeyWatchRound.objects.values_list("ended_at", flat=True).first()
    url = reverse("admin:clients_keyset_changelist")
    if ended_at is not None and now - ended_at < STANDS_STILL:
        return Waiting("Clients whose keys nobody watches", 0, url)
    count = Client.objects.filter(status=Client.Status.APPROVED).exclude(client_jwks_uri="").count()
    since = f"the watch ended {timesince(ended_at, now, depth=1)} ago" if ended_at else "the watch has never run"
    return Waiting("Clients whose keys nobody watches", count, url, since, is_urgent=True)


def waiting_activations() -> QuerySet[Activation]:
    """Return the activations nobody has decided about, of clients that may come to work."""
    undecided = Activation.objects.filter(is_active=False, decided_at__isnull=True)
    return undecided.filter(client__status__in=WORKING, tenant__is_active=True)


def _counted(rows: QuerySet[Any], since: str) -> tuple[int, datetime | None]:
    found = rows.order_by().aggregate(count=Count("pk"), oldest=Min(since))
    return found["count"], found["oldest"]


def _age(oldest: datetime | None, now: datetime) -> str:
    return f"the oldest for {timesince(oldest, now, depth=1)}" if oldest else ""
