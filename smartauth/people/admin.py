"""Users with what they are at each tenant. A change leaves a mark, so that it reaches every worker."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.db import transaction
from django.db.models import QuerySet
from django.forms import ModelForm
from django.http import HttpRequest

from smartauth.marks import mark, user_mark
from smartauth.people.models import FhirUser, ProxyRelation, User


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

    @transaction.atomic
    def save_related(self, request: HttpRequest, form: ModelForm, formsets: Any, change: bool) -> None:
        super().save_related(request, form, formsets, change)
        mark(user_mark(form.instance.pk))

    @transaction.atomic
    def save_model(self, request: HttpRequest, obj: User, form: ModelForm, change: bool) -> None:
        super().save_model(request, obj, form, change)
        mark(user_mark(obj.pk))

    @transaction.atomic
    def delete_model(self, request: HttpRequest, obj: User) -> None:
        mark(user_mark(obj.pk))
        super().delete_model(request, obj)

    @transaction.atomic
    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        mark(*(user_mark(pk) for pk in queryset.values_list("pk", flat=True)))
        super().delete_queryset(request, queryset)
