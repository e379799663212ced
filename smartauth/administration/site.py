"""The administration: for staff, and outside the sandbox only with a second factor shown in the same session."""

from typing import Any

from django.contrib.admin import AdminSite
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect

from smartauth import second_factors
from smartauth.administration.waiting import what_waits


class Administration(AdminSite):
    """Django's own, behind one more question, with what waits today on its front page."""

    index_template = "admin/front.html"

    def has_permission(self, request: HttpRequest) -> bool:
        """Return True for active staff who have proven who they are well enough."""
        return super().has_permission(request) and second_factors.admits_staff(request)

    def index(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Show what waits, then everything there is."""
        facts = {"waiting": what_waits(request), "may_explain": may_explain(request)}
        return super().index(request, facts | (extra_context or {}))

    def password_change(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Lead to the one page where people change their own password."""
        return redirect("account_change_password")


def may_explain(request: HttpRequest) -> bool:
    """Return True for who may look up why a request was refused, in either view."""
    return request.user.has_perm("receipts.view_receipt") or request.user.has_perm("clients.view_client")
