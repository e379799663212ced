"""Receipts in the admin: by trace id, client, rule and time. Reading one is audited."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Sum
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, reverse
from django.utils import timezone

from smartauth.administration.pages import routes
from smartauth.administration.waiting import Waiting, tells_what_waits
from smartauth.readonly_admin import ReadOnlyAdmin
from smartauth.receipts.models import Receipt, RefusalCount
from smartauth.receipts.page import show, trace

LATELY = timedelta(hours=1)
# Refusals that stand for a FHIR server that is away, slow, or does not know us any more.
DOWN = ("upstream.failed", "upstream.timeout", "upstream.resting")


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    """Why requests were refused, found by trace id, client, rule or endpoint."""

    list_display = ("at", "endpoint", "status", "error", "rule", "client_id", "tenant", "trace_id")
    list_filter = ("endpoint", "error", "rule", "tenant", "at")
    search_fields = ("=trace_id", "client_id", "rule", "correlation_id")
    date_hierarchy = "at"

    def get_urls(self) -> list[URLPattern]:
        """Add the page that is looked up by trace id."""
        return [*routes(self.admin_site, [("trace/", trace, "receipts_trace")]), *super().get_urls()]

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one receipt, and record who looked at it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        receipt = self.get_object(request, object_id)
        if receipt is None:
            return HttpResponseRedirect(f"{reverse('admin:receipts_trace')}?{urlencode({'trace': object_id})}")
        return show(request, receipt, "officer")


@admin.register(RefusalCount)
class RefusalCountAdmin(ReadOnlyAdmin):
    """Refusals that were only counted, during a flood."""

    list_display = ("minute", "source", "rule", "count")
    list_filter = ("rule",)


@tells_what_waits
def trouble(request: HttpRequest) -> Iterator[Waiting]:
    """Say which FHIR servers do not answer, and where somebody guesses or floods, as far as refusals show it."""
    since, may = timezone.now() - LATELY, request.user.has_perm
    receipts, upstreams = (reverse(f"admin:{name}_changelist") for name in ("receipts_receipt", "fhirproxy_upstream"))
    is_officer = may("receipts.view_receipt")
    if is_officer or may("fhirproxy.view_upstream"):
        failed = Receipt.objects.filter(at__gte=since, endpoint="fhir", rule__in=DOWN)
        for tenant, count in failed.order_by("tenant").values_list("tenant").annotate(Count("pk")):
            chosen = f"{receipts}?{urlencode({'endpoint': 'fhir', 'tenant': tenant})}" if is_officer else upstreams
            title = f"Requests the FHIR server of {tenant} did not answer"
            yield Waiting(title, count, chosen, "in the last hour", is_urgent=True)
    if is_officer:
        guesses = Receipt.objects.filter(at__gte=since, rule="client.guessing").count()
        url = f"{receipts}?rule=client.guessing"
        yield Waiting("Guesses at a client's secret", guesses, url, "in the last hour", is_urgent=True)
        flood = RefusalCount.objects.filter(minute__gte=since).aggregate(total=Sum("count"))["total"] or 0
        url = reverse("admin:receipts_refusalcount_changelist")
        yield Waiting("Refusals of a flood, only counted", flood, url, "in the last hour", is_urgent=True)
