"""Users with what they are at each tenant."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from smartauth.context import context_of
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.people.passwords import changed_by
from smartauth.tokens import revoke_for_user


class FhirUserInline(admin.TabularInline):
    """One FHIR resource per tenant."""

    model = FhirUser
    extra = 0


class ProxyRelationInline(admin.TabularInline):
    """Whom else the user may act for."""

    model = ProxyRelation
    extra = 0


@admin.register(User)
class PersonAdmin(UserAdmin):
    """Someone who can sign in."""

    inlines = (FhirUserInline, ProxyRelationInline)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Change a password. What the user had granted before ends: whoever knew the old one may have granted it."""
        context, administrator = context_of(request), request.user.pk
        with changed_by(administrator, context):
            response: HttpResponse = super().user_change_password(request, id, form_url)
        if response.status_code == 302:  # Also where it was taken away: that is no new password to Django.
            revoke_for_user(int(id), by="password", now=timezone.now(), context=context, administrator=administrator)
        return response
