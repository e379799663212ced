"""Receipts in the admin, in the officer's view. Reading one is audited."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.readonly_admin import ReadOnlyAdmin
from smartauth.receipts.models import Receipt, RefusalCount


@admin.register(Receipt)
class ReceiptAdmin(ReadOnlyAdmin):
    """Why requests were refused, found by trace id, client, rule or endpoint."""

    list_display = ("at", "endpoint", "status", "error", "rule", "client_id", "tenant", "trace_id")
    list_filter = ("endpoint", "error", "rule", "tenant", "at")
    search_fields = ("=trace_id", "client_id", "rule", "correlation_id")
    date_hierarchy = "at"

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        record_now(
            context_of(request),
            AuditEvent("receipt.read", rule="admin", user=request.user.pk, details={"receipt": object_id[:64]}),
        )
        return super().change_view(request, object_id, *args, **kwargs)


@admin.register(RefusalCount)
class RefusalCountAdmin(ReadOnlyAdmin):
    """Refusals that were only counted, during a flood."""

    list_display = ("minute", "source", "rule", "count")
    list_filter = ("rule",)
