"""Where clients work, in the admin site."""

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest

from clients.admin_forms import ActivationForm
from clients.models import Activation
from clients.traced_admin import TracedAdmin, leave_trace


@admin.register(Activation)
class ActivationAdmin(TracedAdmin):
    form = ActivationForm
    list_display = ("client", "tenant", "is_active", "allowed_scope", "activated_at")
    list_filter = ("is_active", "tenant")
    search_fields = ("client__client_id", "client__name", "tenant__slug")
    list_select_related = ("client", "tenant")
    raw_id_fields = ("client",)
    readonly_fields = ("activated_at",)
    actions = ("activate", "deactivate")

    def get_readonly_fields(self, request: HttpRequest, obj: Activation | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("client", "tenant") if obj else ()))

    @admin.action(description="Activate the selected clients", permissions=["change"])
    def activate(self, request: HttpRequest, queryset: QuerySet[Activation]) -> None:
        self._set_active(request, queryset, active=True)

    @admin.action(description="Deactivate the selected clients", permissions=["change"])
    def deactivate(self, request: HttpRequest, queryset: QuerySet[Activation]) -> None:
        self._set_active(request, queryset, active=False)

    def _set_active(self, request: HttpRequest, queryset: QuerySet[Activation], *, active: bool) -> None:
        with transaction.atomic():
            changed = list(queryset.exclude(is_active=active).select_related("client", "tenant"))
            Activation.objects.filter(pk__in=[row.pk for row in changed]).update(is_active=active)
            leave_trace(request, "activated" if active else "deactivated", *changed)
        self.message_user(request, f"{len(changed)} activations changed.", messages.SUCCESS)
