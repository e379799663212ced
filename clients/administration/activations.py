"""Where clients work and wait to work, in the admin site; each row leads to the page where that is decided."""

from collections.abc import Iterable
from typing import Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import reverse

from clients.administration.waiting import waiting_activations
from clients.models import Activation
from smartauth.readonly_admin import ReadOnlyAdmin


class StateFilter(admin.SimpleListFilter):
    """Which ones somebody has to decide about, and what was decided about the others."""

    title = "state"
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Iterable[tuple[str, str]]:
        """Return the states."""
        return (("waiting", "waiting"), ("on", "on"), ("off", "off"))

    def queryset(self, request: HttpRequest, queryset: QuerySet[Activation]) -> QuerySet[Activation]:
        """Narrow the list to a state."""
        match self.value():
            case "waiting":
                return queryset.filter(pk__in=waiting_activations().values("pk"))
            case "on":
                return queryset.filter(is_active=True)
            case "off":
                return queryset.filter(is_active=False, decided_at__isnull=False)
        return queryset


def page_of(row: Activation) -> str:
    """Return the URL where an activation is looked at and decided about."""
    return reverse("admin:clients_client_at", args=[row.client_id, row.tenant.slug])


class ActivationList(ChangeList):
    """The list, whose rows lead to where they are decided about."""

    def url_for_result(self, result: Activation) -> str:
        """Return the page of the client at the tenant."""
        return page_of(result)


@admin.register(Activation)
class ActivationAdmin(ReadOnlyAdmin):
    """Every client at every tenant where somebody asked for it."""

    list_display = (
        "client_name",
        "tenant",
        "state",
        "client_state",
        "allowed_scope",
        "skips_consent",
        "activated_at",
        "decided_at",
    )
    list_filter = (StateFilter, "tenant")
    search_fields = ("client__client_id", "client__name", "tenant__slug")
    list_select_related = ("client", "tenant")
    ordering = ("activated_at",)

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The site asks here too before it deletes a tenant, whose activations go along with it.
        match = request.resolver_match
        return match is not None and "clients_activation" not in (match.url_name or "")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return ActivationList

    def change_view(self, request: HttpRequest, object_id: str, *args: Any, **kwargs: Any) -> HttpResponse:
        """Lead on to the page of the client at the tenant."""
        row = get_object_or_404(Activation.objects.select_related("tenant"), pk=object_id)
        return HttpResponseRedirect(page_of(row))

    @admin.display(description="client", ordering="client__name")
    def client_name(self, row: Activation) -> str:
        return row.client.name or row.client.client_id

    @admin.display(description="state")
    def state(self, row: Activation) -> str:
        if row.is_active:
            return "on"
        return "off" if row.decided_at else "waiting"

    @admin.display(description="of the client", ordering="client__status")
    def client_state(self, row: Activation) -> str:
        return row.client.status
