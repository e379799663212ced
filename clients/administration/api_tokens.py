"""Tokens of the developer API in the admin site: who has some, and an end to one that leaked."""

from django.contrib import admin
from django.db.models import Model
from django.http import HttpRequest

from clients.models import ApiToken
from clients.traced_admin import TracedAdmin
from smartauth.readonly_admin import ReadOnlyAdmin


@admin.register(ApiToken)
class ApiTokenAdmin(ReadOnlyAdmin, TracedAdmin):
    """Partners make them in the portal; deleting one withdraws it."""

    list_display = ("label", "user", "created_at", "expires_at", "last_used_at")
    list_select_related = ("user",)
    search_fields = ("label", "user__username")
    ordering = ("-created_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
