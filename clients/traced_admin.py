"""What an operator's change of the registry leaves behind: a record of who did it.

It is written in the transaction of the change, so that there is never one without the other.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.contrib import admin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.forms import BaseModelFormSet, ModelForm
from django.http import HttpRequest

from clients.models import Activation, ApiToken, Brand, Client, InitialAccessToken, KeySet, Skin, Tenant
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of

# States whose new value is worth recording. Of every other field a record holds the name only.
STATES = ("status", "is_active", "is_operator_verified", "is_published")


@dataclass(frozen=True, slots=True)
class Subject:
    """What a row of the registry is called in audit records."""

    kind: str
    client_id: str = ""
    tenant: str = ""
    details: Mapping[str, str | int] = field(default_factory=dict)


def subject_of(row: Model) -> Subject:
    """Name a row of the registry. Raises LookupError for a row that is not traced here."""
    match row:
        case Client():
            return Subject("client", client_id=row.client_id)
        case Tenant():
            return Subject("tenant", tenant=row.slug)
        case Brand():
            return Subject("brand", tenant=row.tenant.slug)
        case Skin():
            return Subject("skin", tenant=row.tenant.slug)
        case Activation():
            return Subject("activation", client_id=row.client.client_id, tenant=row.tenant.slug)
        case KeySet():
            return Subject("key_set", details={"jwks_uri": row.jwks_uri})
        case ApiToken():
            return Subject("api_token", details={"label": row.label, "of": row.user_id})
        case InitialAccessToken():
            return Subject("initial_access_token", details={"label": row.label})
    raise LookupError(f"{type(row).__name__} is not traced here")


def leave_trace(
    request: HttpRequest, act: str, *rows: Model | Subject, details: Mapping[str, str | int] | None = None
) -> None:
    """Leave one audit record for each row, called `<kind>.<act>`. Call it inside the change's transaction.

    details: names of changed fields and new states; values of anything else never enter.
    """
    subjects = [row if isinstance(row, Subject) else subject_of(row) for row in rows]
    for one in subjects:
        event = AuditEvent(
            "administer",
            rule=f"{one.kind}.{act}",
            client_id=one.client_id,
            tenant=one.tenant,
            user=request.user.pk,
            details={**one.details, **(details or {})},
        )
        record_now(context_of(request), event)


class TracedAdmin(admin.ModelAdmin):
    """Leaves a trace of whatever the forms and delete pages of the site change. `subject` names a row of it."""

    subject: Callable[[Any], Subject] = staticmethod(subject_of)

    def save_model(self, request: HttpRequest, obj: Any, form: ModelForm, change: bool) -> None:
        with transaction.atomic():
            super().save_model(request, obj, form, change)
            row = self.subject(obj)
            leave_trace(request, "changed" if change else "added", row, details=_what_changed(obj, form.changed_data))

    def save_formset(self, request: HttpRequest, form: ModelForm, formset: BaseModelFormSet, change: bool) -> None:
        with transaction.atomic():
            super().save_formset(request, form, formset, change)
            leave_trace(request, "added", *map(self.subject, formset.new_objects))
            leave_trace(request, "deleted", *map(self.subject, formset.deleted_objects))
            for row, fields in formset.changed_objects:
                leave_trace(request, "changed", self.subject(row), details=_what_changed(row, fields))

    def delete_model(self, request: HttpRequest, obj: Model) -> None:
        self._delete(request, [obj], lambda: super(TracedAdmin, self).delete_model(request, obj))

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        self._delete(request, queryset, lambda: super(TracedAdmin, self).delete_queryset(request, queryset))

    def _delete(self, request: HttpRequest, rows: Iterable[Model], delete: Callable[[], None]) -> None:
        with transaction.atomic():
            subjects = [self.subject(row) for row in rows]  # Named before they are gone.
            delete()
            leave_trace(request, "deleted", *subjects)


def _what_changed(row: Model, fields: Iterable[str]) -> dict[str, str | int]:
    names = sorted(fields)
    return {"fields": ", ".join(names), **{name: str(getattr(row, name)) for name in STATES if name in names}}
