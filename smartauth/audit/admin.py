"""The audit trail in the admin, to read."""

from django.contrib import admin

from smartauth.audit.models import AuditRecord
from smartauth.readonly_admin import ReadOnlyAdmin


@admin.register(AuditRecord)
class AuditRecordAdmin(ReadOnlyAdmin):
    """Who did what to which record."""

    list_display = ("at", "action", "rule", "client_id", "tenant", "user_id", "patient", "resource_type", "resource_id")
    list_filter = ("action", "tenant", "at")
    search_fields = ("=trace_id", "client_id", "patient", "resource_id")
    show_full_result_count = False
