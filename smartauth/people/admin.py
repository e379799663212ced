"""Users with what they are at each tenant, and their second factors. Whatever is changed here leaves a trace.

Nobody can give out more than they have: who is staff, and in which role, is for superusers to say.
"""

from typing import Any

import allauth.mfa.admin  # noqa: F401 - Registers what is registered anew here.
from allauth.mfa.models import Authenticator
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, Permission
from django.db.models import DateTimeField, Model, QuerySet
from django.forms import CheckboxSelectMultiple, ModelMultipleChoiceField, SplitDateTimeField
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from clients.traced_admin import Subject, TracedAdmin, leave_trace
from smartauth.administration.widgets import DayAndTime
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.people.changes import PASSWORD
from smartauth.people.models import FhirUser, ProxyRelation, UpstreamIdentity, User
from smartauth.people.passwords import changed_by
from smartauth.readonly_admin import ReadOnlyAdmin
from smartauth.tokens import revoke_for_user

# Fields with boxes to tick: what each is called, and what is said about it.
TICKED = {
    "groups": ("Roles", "What each may do: docs/how-to/run-the-administration.md. A superuser needs none."),
    "user_permissions": ("Given once", "Beside any role. Untick what nobody remembers giving."),
}
RIGHTS = ("is_staff", "is_superuser", "groups", "user_permissions")

admin.site.unregister(Group)  # Roles are written by us: see roles.py.
admin.site.unregister(Authenticator)


def subject_of(row: Model) -> Subject:
    """Name a row of these pages in audit records. Raises LookupError for any other."""
    match row:
        case User():
            return Subject("user", details={"of": row.pk})
        case FhirUser():
            return Subject("fhir_user", tenant=row.tenant.slug, details={"of": row.user_id, "is": row.reference})
        case ProxyRelation():
            return Subject("relation", tenant=row.tenant.slug, details={"of": row.user_id, "patient": row.patient})
        case UpstreamIdentity():
            return Subject("upstream_identity", details={"of": row.user_id, "issuer": row.issuer})
        case Authenticator():
            return Subject("second_factor", details={"of": row.user_id, "type": row.type})
    raise LookupError(f"{type(row).__name__} is not traced here")


class FhirUserInline(admin.StackedInline):
    """One FHIR resource per tenant."""

    model = FhirUser
    extra = 0


class ProxyRelationInline(admin.StackedInline):
    """Whom else the user may act for, until when."""

    model = ProxyRelation
    extra = 0
    fields = ("tenant", "patient", "kind", "patient_born", "relation", "starts_at", "ends_at", "of_age_at")
    readonly_fields = ("of_age_at",)
    formfield_overrides = {DateTimeField: {"form_class": SplitDateTimeField, "widget": DayAndTime}}


class UpstreamIdentityInline(admin.StackedInline):
    """Who the user is at an identity provider."""

    model = UpstreamIdentity
    extra = 0


@admin.register(User)
class PersonAdmin(TracedAdmin, UserAdmin):
    """Someone who can sign in."""

    # Rights come with roles: single ones are a second way, which nobody looks through.
    fieldsets = (
        (None, {"fields": ("username", "password")}),
        ("Person", {"fields": ("first_name", "last_name", "email")}),
        ("Rights", {"fields": ("is_active", "is_staff", "is_superuser", "groups")}),
        ("Seen", {"fields": ("last_login", "date_joined")}),
    )
    filter_horizontal = ()
    readonly_fields = ("last_login", "date_joined")
    inlines = (FhirUserInline, ProxyRelationInline, UpstreamIdentityInline)
    subject = staticmethod(subject_of)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        """Show single rights where there are some, so that they can be taken back."""
        shown = super().get_fieldsets(request, obj)
        if obj is None or not obj.user_permissions.exists():
            return shown
        return (*shown, ("Single rights", {"fields": ("user_permissions",)}))

    def formfield_for_manytomany(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """Let roles be ticked, and single rights be unticked: no new ones are given."""
        if db_field.name == "user_permissions" and request.resolver_match:
            kwargs["queryset"] = Permission.objects.filter(user=request.resolver_match.kwargs.get("object_id"))
        found: ModelMultipleChoiceField = super().formfield_for_manytomany(db_field, request, **kwargs)
        if db_field.name in TICKED:
            found.label, found.help_text = TICKED[db_field.name]
            found.widget = CheckboxSelectMultiple(choices=found.choices)
        return found

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        """Leave who is staff, and in which role, to superusers."""
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, *RIGHTS)

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for staff but to superusers: whoever sets a password can sign in with it."""
        return super().has_change_permission(request, obj) and _may_touch(request, obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return False for staff but to superusers."""
        return super().has_delete_permission(request, obj) and _may_touch(request, obj)

    def user_change_password(self, request: HttpRequest, id: str, form_url: str = "") -> HttpResponse:  # noqa: A002
        """Change a password. What the user had granted before ends: whoever knew the old one may have granted it."""
        context, administrator = context_of(request), request.user.pk
        with changed_by(administrator, context):
            response: HttpResponse = super().user_change_password(request, id, form_url)
        if response.status_code == 302:  # Also where it was taken away: that is no new password to Django.
            revoke_for_user(int(id), by="password", now=timezone.now(), context=context, administrator=administrator)
            leave_trace(request, "password_changed", Subject("user", details={"of": int(id)}))
            record_now(context, AuditEvent(PASSWORD, user=int(id), details={"administrator": administrator}))
        return response


@admin.register(Authenticator)
class SecondFactorAdmin(ReadOnlyAdmin, TracedAdmin):
    """Second factors. Deleting one lets somebody who lost it set up another."""

    list_display = ("user", "type", "created_at", "last_used_at")
    list_filter = ("type",)
    search_fields = ("user__username",)
    list_select_related = ("user",)
    exclude = ("data",)
    subject = staticmethod(subject_of)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Return True for those who may, about people whom they may touch."""
        allowed: bool = admin.ModelAdmin.has_delete_permission(self, request, obj)
        return allowed and _may_touch(request, obj.user if obj else None)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Authenticator]:
        """Leave out those of staff but for superusers: in a list they could be deleted many at a time."""
        rows = super().get_queryset(request)
        return rows if request.user.is_superuser else rows.exclude(user__is_staff=True)


def _may_touch(request: HttpRequest, user: User | None) -> bool:
    return user is None or bool(request.user.is_superuser) or not (user.is_staff or user.is_superuser)
