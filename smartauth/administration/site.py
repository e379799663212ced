"""The administration: for staff, and outside the sandbox only with a second factor shown in the same session."""

from django.contrib.admin import AdminSite
from django.http import HttpRequest

from smartauth import second_factors


class Administration(AdminSite):
    """Django's own, behind one more question."""

    def has_permission(self, request: HttpRequest) -> bool:
        """Return True for active staff who have proven who they are well enough."""
        return super().has_permission(request) and second_factors.admits_staff(request)
