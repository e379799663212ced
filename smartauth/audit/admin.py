"""The audit trail in the admin, to read, also as FHIR AuditEvents. Reading it is audited."""

import json
from collections.abc import Iterator
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.contrib.auth import get_user_model
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from smartauth.audit.models import AuditRecord
from smartauth.audit.reading import as_fhir, recorded_of
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.readonly_admin import ReadOnlyAdmin

CHUNK = 1_000


class AuditList(ChangeList):
    """The list, with the names of users, which records do not have."""

    def get_results(self, request: HttpRequest) -> None:
        """Read the names of everybody on the page at once."""
        super().get_results(request)
        users = {row.user_id for row in self.result_list if row.user_id is not None}
        names = dict(get_user_model().objects.filter(pk__in=users).values_list("pk", "username"))
        for row in self.result_list:
            row.username = names.get(row.user_id, "")


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnlyAdmin):
    """Who did what to which record."""

    list_display = ("at", "action", "who", "client_id", "patient", "rule", "tenant", "resource_type", "resource_id")
    list_filter = ("action", "tenant", "at")
    search_fields = ("=trace_id", "client_id", "patient", "=user_id", "resource_id")
    search_help_text = "A trace id, client id, user name or number, logical id of a patient or of a resource"
    date_hierarchy = "at"
    show_full_result_count = False
    readonly_fields = ("as_fhir_audit_events",)
    actions = ("export_as_fhir",)

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """Return the list with names."""
        return AuditList

    @admin.display(description="user", ordering="user_id")
    def who(self, row: AuditRecord) -> str:
        """Return the name of the user, with the number that records keep."""
        if row.user_id is None:
            return ""
        return f"{getattr(row, 'username', '')} ({row.user_id})".strip()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[AuditRecord], search_term: str
    ) -> tuple[QuerySet[AuditRecord], bool]:
        """Also find records of a patient who is not the one in context, and of a user by name."""
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if search_term.strip():
            found = found | queryset.filter(patients__contains=[search_term.strip()[:64]])
            named = get_user_model().objects.filter(username=search_term.strip())
            found = found | queryset.filter(user_id__in=list(named.values_list("pk", flat=True)))
        return found, may_repeat

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Show one record, and record who looked at it."""
        _record_reading(request, {"record": object_id[:64]})
        return super().change_view(request, object_id, *args, **kwargs)

    @admin.display(description="As FHIR AuditEvents")
    def as_fhir_audit_events(self, row: AuditRecord) -> SafeString:
        """Return the record as the AuditEvents it is, one for each patient."""
        (recorded,) = recorded_of([row])
        return format_html("<pre>{}</pre>", json.dumps(as_fhir(recorded), indent=2, ensure_ascii=False))

    @admin.action(description="Download the selected records as FHIR AuditEvents (NDJSON)", permissions=["view"])
    def export_as_fhir(self, request: HttpRequest, queryset: QuerySet[AuditRecord]) -> StreamingHttpResponse:
        """Stream the selected records, one AuditEvent a line."""
        rows = queryset.order_by("at", "pk")
        _record_reading(request, {"records": rows.count()})
        answer = StreamingHttpResponse(_lines(rows), content_type="application/fhir+ndjson")
        answer["Content-Disposition"] = 'attachment; filename="audit.ndjson"'
        answer["Cache-Control"] = "no-store"
        return answer


def _record_reading(request: HttpRequest, details: dict[str, str | int]) -> None:
    record_now(context_of(request), AuditEvent("audit.read", rule="admin", user=request.user.pk, details=details))


def _lines(rows: QuerySet[AuditRecord]) -> Iterator[str]:
    for row in rows.iterator(chunk_size=CHUNK):
        for recorded in recorded_of([row]):
            for event in as_fhir(recorded):
                yield json.dumps(event, ensure_ascii=False, separators=(",", ":")) + "\n"
