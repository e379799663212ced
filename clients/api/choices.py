"""What there is to choose from: kinds of app, scopes, tenants."""

from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients.api.base import ApiView, answer
from clients.api.describing import describes
from clients.app_kinds import KINDS
from clients.models import Tenant
from smartauth import endpoints
from smartauth.policy.advertising import US_CORE_TYPES

# SMART 2.2 scopes-and-launch-context.
LEVELS = {
    "patient": "the records of the patient in context",
    "user": "what the person signed in may see",
    "system": "what a backend service may see, with nobody signed in",
}
LETTERS = {
    "c": "create",
    "r": "read and read of versions",
    "u": "update and patch",
    "d": "delete",
    "s": "search and history of a type",
}
NAMED = {
    "launch": "the app is opened from an EHR, with its context",
    "launch/patient": "a patient is chosen when the app starts by itself",
    "launch/encounter": "an encounter is chosen when the app starts by itself",
    "openid": "an ID token that says who signed in",
    "fhirUser": "the FHIR resource of who signed in",
    "profile": "the same, in older clients",
    "offline_access": "a refresh token that outlives the session",
    "online_access": "a refresh token for as long as the session lasts",
}


class KindSerializer(serializers.Serializer[Any]):
    """A kind of app."""

    name = serializers.ChoiceField([*KINDS])
    title = serializers.CharField()
    description = serializers.CharField()
    level = serializers.ChoiceField([*LEVELS], help_text="Of its resource scopes")
    preset = serializers.DictField(help_text="Answers that a draft begins with")
    hidden = serializers.ListField(child=serializers.CharField(), help_text="Members that mean nothing for it")
    launch_scopes = serializers.ListField(child=serializers.CharField(), help_text="Those it may choose among")
    us_core_scope = serializers.CharField(help_text="The scopes of the US Core types, to read and search")


class KindsSerializer(serializers.Serializer[Any]):
    """The kinds of app."""

    kinds = KindSerializer(many=True)


class MeaningSerializer(serializers.Serializer[Any]):
    """A word of the grammar of scopes."""

    name = serializers.CharField()
    meaning = serializers.CharField()


class ScopesSerializer(serializers.Serializer[Any]):
    """How scopes are written."""

    form = serializers.CharField()
    examples = serializers.ListField(child=serializers.CharField())
    levels = MeaningSerializer(many=True)
    letters = MeaningSerializer(many=True)
    named = MeaningSerializer(many=True)
    us_core_types = serializers.ListField(child=serializers.CharField())


class TenantSerializer(serializers.Serializer[Any]):
    """A FHIR server where apps may work."""

    slug = serializers.CharField()
    name = serializers.CharField()
    fhir_base = serializers.CharField()


class TenantsSerializer(serializers.Serializer[Any]):
    """The tenants that are active."""

    tenants = TenantSerializer(many=True)


class Kinds(ApiView):
    """Kinds of app."""

    @describes("list_kinds", KindsSerializer)
    def get(self, request: Request) -> Response:
        """List the kinds of app, with what each presets and leaves out."""
        kinds = [
            {
                "name": str(kind.name),
                "title": kind.title,
                "description": kind.description,
                "level": kind.level,
                "preset": dict(kind.preset),
                "hidden": sorted(kind.hidden),
                "launch_scopes": kind.launch_scopes,
                "us_core_scope": kind.us_core_scope(),
            }
            for kind in KINDS.values()
        ]
        return answer(KindsSerializer, {"kinds": kinds})


class Scopes(ApiView):
    """The grammar of scopes."""

    @describes("describe_scopes", ScopesSerializer)
    def get(self, request: Request) -> Response:
        """Say how scopes are written, and which resource types US Core has."""
        return answer(
            ScopesSerializer,
            {
                "form": "LEVEL/TYPE.LETTERS, with ?PARAMETER=VALUE where only some resources are wanted",
                "examples": [
                    "patient/Observation.rs",
                    "user/Encounter.r",
                    "system/Patient.rs",
                    "patient/Observation.rs?category=http://terminology.hl7.org/CodeSystem/observation-category|laboratory",
                ],
                "levels": _meanings(LEVELS),
                "letters": _meanings(LETTERS),
                "named": _meanings(NAMED),
                "us_core_types": US_CORE_TYPES,
            },
        )


class Tenants(ApiView):
    """Where apps may work."""

    @describes("list_tenants", TenantsSerializer)
    def get(self, request: Request) -> Response:
        """List the active tenants."""
        rows = Tenant.objects.filter(is_active=True).order_by("slug").values_list("slug", "name")
        tenants = [{"slug": slug, "name": name or slug, "fhir_base": endpoints.fhir_base(slug)} for slug, name in rows]
        return answer(TenantsSerializer, {"tenants": tenants})


def _meanings(words: dict[str, str]) -> list[dict[str, str]]:
    return [{"name": name, "meaning": meaning} for name, meaning in words.items()]
