"""Tenants in the admin site, how they present themselves, and who may register clients by protocol."""

from urllib.parse import urlencode

from django.contrib import admin
from django.db.models import Count, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clients import switch_fields
from clients.admin_forms import BrandForm, TenantForm
from clients.administration.waiting import waiting_activations
from clients.models import Brand, InitialAccessToken, Tenant
from clients.tenants import parse_policy
from clients.traced_admin import TracedAdmin
from smartauth.readonly_admin import ReadOnlyAdmin


def _clients_at(tenant: Tenant, state: str, count: int) -> SafeString:
    chosen = urlencode({"state": state, "tenant__id__exact": tenant.pk})
    return format_html('<a href="{}?{}">{}</a>', reverse("admin:clients_activation_changelist"), chosen, count)


@admin.register(Tenant)
class TenantAdmin(TracedAdmin):
    form = TenantForm
    list_display = ("slug", "name", "is_active", "clients_on", "clients_waiting", "loosened", "created_at")
    list_filter = ("is_active",)
    search_fields = ("slug", "name")
    ordering = ("slug",)
    readonly_fields = ("created_at",)
    fieldsets = ((None, {"fields": ("slug", "name", "is_active", "created_at")}), *switch_fields.fieldsets())

    def get_readonly_fields(self, request: HttpRequest, obj: Tenant | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("slug",) if obj else ()))  # Part of public URLs, and of tokens.

    def get_queryset(self, request: HttpRequest) -> QuerySet[Tenant]:
        waiting = waiting_activations().filter(tenant=OuterRef("pk")).order_by().values("tenant")
        return (
            super()
            .get_queryset(request)
            .annotate(
                on=Count("activations", filter=Q(activations__is_active=True)),
                waiting=Coalesce(Subquery(waiting.annotate(count=Count("pk")).values("count")), 0),
            )
        )

    @admin.display(description="clients", ordering="on")
    def clients_on(self, tenant: Tenant) -> str:
        """Lead to the clients that are switched on here."""
        return _clients_at(tenant, "on", tenant.on)  # type: ignore[attr-defined]

    @admin.display(description="waiting", ordering="waiting")
    def clients_waiting(self, tenant: Tenant) -> str:
        """Lead to the clients that wait to be switched on here."""
        return _clients_at(tenant, "waiting", tenant.waiting)  # type: ignore[attr-defined]

    @admin.display(description="loosened switches")
    def loosened(self, tenant: Tenant) -> str:
        try:
            return ", ".join(parse_policy(tenant.policy).weakened)
        except ValueError as why:
            return f"not a policy: {why}"


@admin.register(Brand)
class BrandAdmin(TracedAdmin):
    """How tenants present themselves. A brand is withdrawn here, and goes for good with its tenant only."""

    form = BrandForm
    list_display = ("tenant", "brand_name", "is_published", "changed_at")
    list_filter = ("is_published",)
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "details__name")
    ordering = ("tenant__slug",)
    readonly_fields = ("changed_at",)

    def get_readonly_fields(self, request: HttpRequest, obj: Brand | None = None) -> tuple[str, ...]:
        return (*self.readonly_fields, *(("tenant",) if obj else ()))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        # The site asks here too before it deletes a tenant, whose brand goes along with it.
        match = request.resolver_match
        here = match is None or (match.url_name or "").startswith("clients_brand")
        return not here and super().has_delete_permission(request, obj)

    @admin.display(description="name")
    def brand_name(self, brand: Brand) -> str:
        return str(brand.details.get("name", ""))


@admin.register(InitialAccessToken)
class InitialAccessTokenAdmin(ReadOnlyAdmin, TracedAdmin):
    """Who may register clients by protocol. `create_initial_access_token` makes one; deleting it withdraws it."""

    list_display = ("__str__", "at", "expires_at", "uses_left", "created_at")
    search_fields = ("label",)
    ordering = ("-created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[InitialAccessToken]:
        return super().get_queryset(request).prefetch_related("tenants")

    @admin.display(description="tenants")
    def at(self, row: InitialAccessToken) -> str:
        return ", ".join(sorted(tenant.slug for tenant in row.tenants.all()))

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return admin.ModelAdmin.has_delete_permission(self, request, obj)
