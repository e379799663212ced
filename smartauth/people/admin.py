"""Users with what they are at each tenant."""

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin

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
