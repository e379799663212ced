"""Receipts in the admin, in the officer's view. Reading one is audited."""

import json
from typing import Any

from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from smartauth.audit.reading import as_fhir, refused_of
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
    readonly_fields = ("as_fhir_audit_events",)

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        record_now(
            context_of(request),
            AuditEvent("receipt.read", rule="admin", user=request.user.pk, details={"receipt": object_id[:64]}),
        )
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description="As FHIR AuditEvents")
    def as_fhir_audit_events(self, row: Receipt) -> str | SafeString:
        """Return a refusal at the FHIR API as the AuditEvents it is, one for each patient."""
        if row.endpoint != "fhir":
            return "not a request to the FHIR API"
        (recorded,) = refused_of([row])
        return format_html("<pre>{}</pre>", json.dumps(as_fhir(recorded), indent=2, ensure_ascii=False))


@admin.register(RefusalCount)
class RefusalCountAdmin(ReadOnlyAdmin):
    """Refusals that were only counted, during a flood."""

    list_display = ("minute", "source", "rule", "count")
    list_filter = ("rule",)
