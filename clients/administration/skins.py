"""Skins of tenants in the admin site: how their pages look, tried before it is stored, and taken off again."""

from typing import Any

from django.contrib import admin, messages
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.urls import URLPattern, reverse

from clients.administration import skin_preview
from clients.models import Skin
from clients.skin_form import SkinForm, text_fieldsets
from clients.traced_admin import TracedAdmin, leave_trace
from smartauth.administration.pages import routes, staff_page


@admin.register(Skin)
class SkinAdmin(TracedAdmin):
    """A skin that is taken off stays here, so that it can be put on again."""

    form = SkinForm
    change_form_template = "admin/clients/skin.html"
    list_display = ("tenant", "name", "is_active", "changed_at")
    list_filter = ("is_active",)
    list_select_related = ("tenant",)
    search_fields = ("tenant__slug", "name")
    ordering = ("tenant__slug",)
    actions = ("use_our_look",)
    fieldsets = (
        (None, {"fields": ("tenant", "is_active", "name")}),
        ("Picture", {"fields": ("picture", "logo_alt", "logo_says_name")}),
        ("Colours", {"fields": ("accent_light", "accent_dark")}),
        *text_fieldsets(),
    )
    to_look_at = ((None, {"fields": ("tenant", "is_active", "name", "logo_alt", "accent_light", "accent_dark")}),)

    def get_fieldsets(self, request: HttpRequest, obj: Skin | None = None) -> Any:
        may = self.has_change_permission(request, obj) if obj else self.has_add_permission(request)
        return self.fieldsets if may else self.to_look_at

    def get_readonly_fields(self, request: HttpRequest, obj: Skin | None = None) -> tuple[str, ...]:
        return ("tenant",) if obj else ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Skin]:
        return super().get_queryset(request).select_related("tenant")

    def get_urls(self) -> list[URLPattern]:
        pages = [
            ("preview/", skin_preview.try_form, "clients_skin_try"),
            ("preview.css", skin_preview.colours, "clients_skin_colours"),
            ("<int:pk>/preview/", skin_preview.show_stored, "clients_skin_preview"),
            ("<int:pk>/preview/changed/", skin_preview.try_form, "clients_skin_try_changed"),
            ("<int:pk>/our-look/", take_off, "clients_skin_take_off"),
        ]
        return [*routes(self.admin_site, pages), *super().get_urls()]

    @admin.action(description="Use our look again", permissions=["change"])
    def use_our_look(self, request: HttpRequest, queryset: QuerySet[Skin]) -> None:
        """Take skins off, and keep them."""
        count = sum(_take_off(request, row) for row in queryset)
        messages.success(request, f"Pages of {count} tenants have our look again.")


@staff_page("clients.change_skin", "POST")
def take_off(request: HttpRequest, pk: int) -> HttpResponse:
    """Give the pages of a tenant our look again."""
    row = get_object_or_404(Skin.objects.select_related("tenant"), pk=pk)
    _take_off(request, row)
    messages.success(request, "Its pages have our look again. The skin is kept: tick “pages wear it” to put it on.")
    return HttpResponseRedirect(reverse("admin:clients_skin_change", args=[row.pk]))


def _take_off(request: HttpRequest, row: Skin) -> bool:
    """Take a skin off and leave a trace; return False for one that no page wears."""
    with transaction.atomic():
        if not Skin.objects.filter(pk=row.pk, is_active=True).update(is_active=False):
            return False
        leave_trace(request, "changed", row, details={"fields": "is_active", "is_active": "False"})
    return True
