"""The audit trail in the admin, to read."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from smartauth.audit.models import AuditRecord


@admin.register(AuditRecord)
class AuditRecordAdmin(admin.ModelAdmin):
    """Who did what to which record."""

    list_display = ("at", "action", "rule", "client_id", "tenant", "user_id", "patient", "resource_type", "resource_id")
    list_filter = ("action", "tenant", "at")
    search_fields = ("=trace_id", "client_id", "patient", "resource_id")
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False
