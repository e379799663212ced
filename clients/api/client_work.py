"""A client at work: its secrets, whether it works at a tenant, and what it asked for lately."""

from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients import client_secrets
from clients.acting import owner
from clients.api import errors
from clients.api.base import MOST_LISTED, ApiView, answer
from clients.api.describing import describes, query
from clients.api.inputs import Input, Whole
from clients.api.key_tests import KeyReportSerializer
from clients.key_card import key_card
from clients.probes import probe
from clients.recent_requests import recent_requests
from clients.snippets import snippets
from clients.tenants import find_tenant

MOST_DAYS = client_secrets.OWNERS_LIFETIME.days
MOST_OVERLAP = client_secrets.LONGEST_OVERLAP.days


class NewSecret(Input):
    """How long the new secret is good, and the one before beside it."""

    days = Whole(required=False, min_value=1, max_value=MOST_DAYS, help_text=f"{MOST_DAYS} unless sent")
    overlap_days = Whole(
        required=False,
        min_value=0,
        max_value=MOST_OVERLAP,
        help_text=f"How long the one before stays good, 0 after it leaked; {MOST_OVERLAP} unless sent",
    )


class IssuedSecretSerializer(serializers.Serializer[Any]):
    """A secret just made."""

    client_secret = serializers.CharField(source="secret", help_text="Shown now and never again")
    expires_at = serializers.DateTimeField(allow_null=True)
    previous_expires_at = serializers.DateTimeField(
        allow_null=True, help_text="Until when the one before is good; null where there is none"
    )


class CardKeySerializer(KeyReportSerializer):
    """One key of a client, published or registered."""

    last_used_at = serializers.DateTimeField(allow_null=True)
    last_used = serializers.CharField(help_text="The same in words")
    first_seen_at = serializers.DateTimeField(allow_null=True)


class CardFindingSerializer(serializers.Serializer[Any]):
    """Something wrong with a key set, in words."""

    kind = serializers.CharField()
    title = serializers.CharField()
    explanation = serializers.CharField()
    fix = serializers.CharField()
    details = serializers.CharField()
    first_seen_at = serializers.DateTimeField()
    last_seen_at = serializers.DateTimeField()
    resolved_at = serializers.DateTimeField(allow_null=True)


class KeyCardSerializer(serializers.Serializer[Any]):
    """What there is to say about the keys of a client."""

    client_id = serializers.CharField()
    source = serializers.ChoiceField(["url", "value", "none"])
    jwks_uri = serializers.CharField()
    keys = CardKeySerializer(many=True)
    copy = serializers.CharField(help_text="How old the copy is that we hold")
    lifetime = serializers.CharField(help_text="How long it is kept")
    next = serializers.CharField(help_text="When we look again")
    fetched_at = serializers.DateTimeField(allow_null=True)
    expires_at = serializers.DateTimeField(allow_null=True)
    looked_at = serializers.DateTimeField(allow_null=True)
    certificate_ends_at = serializers.DateTimeField(allow_null=True)
    findings = CardFindingSerializer(many=True)
    resolved = CardFindingSerializer(many=True)


class ProbeCheckSerializer(serializers.Serializer[Any]):
    """One condition."""

    name = serializers.CharField()
    title = serializers.CharField()
    passed = serializers.BooleanField()
    detail = serializers.CharField()
    fix = serializers.CharField()


class ProbeSerializer(serializers.Serializer[Any]):
    """Whether a client works at a tenant now."""

    client_id = serializers.CharField()
    tenant = serializers.CharField()
    at = serializers.CharField()
    works = serializers.BooleanField()
    checks = ProbeCheckSerializer(many=True)


class RecentRequestSerializer(serializers.Serializer[Any]):
    """One request and its outcome."""

    at = serializers.CharField()
    endpoint = serializers.CharField()
    is_ok = serializers.BooleanField()
    status = serializers.IntegerField()
    error = serializers.CharField()
    rule = serializers.CharField()
    reason = serializers.CharField()
    expected = serializers.CharField()
    seen = serializers.CharField()
    fix = serializers.CharField()
    trace_id = serializers.UUIDField(allow_null=True)
    tenant = serializers.CharField()


class RecentRequestsSerializer(serializers.Serializer[Any]):
    """What was asked in the name of a client lately, the newest first."""

    requests = RecentRequestSerializer(many=True)


class SnippetSerializer(serializers.Serializer[Any]):
    """Code to paste."""

    tenant = serializers.CharField()
    language = serializers.CharField()
    title = serializers.CharField()
    code = serializers.CharField()


class SnippetsSerializer(serializers.Serializer[Any]):
    """Code to paste, for each tenant of the client in each language."""

    snippets = SnippetSerializer(many=True)


class Secrets(ApiView):
    """The secrets of a client."""

    @describes("rotate_secret", IssuedSecretSerializer, takes=NewSecret, status=201, also=(404, 409))
    def post(self, request: Request, client_id: str) -> Response:
        """Make a new secret and tell it, this once. The one before stays good for a while."""
        self.own_client(client_id)
        wanted = self.read(NewSecret)
        issued = client_secrets.issue_secret(
            client_id,
            by=owner(request.user.pk),
            context=self.context,
            now=timezone.now(),
            lifetime=timedelta(days=wanted.get("days", MOST_DAYS)),
            overlap=timedelta(days=wanted.get("overlap_days", MOST_OVERLAP)),
        )
        return answer(IssuedSecretSerializer, issued, 201)


class PreviousSecret(ApiView):
    """The secret before the current one."""

    @describes("withdraw_previous_secret", None, status=204, also=(404, 409))
    def delete(self, request: Request, client_id: str) -> Response:
        """End the secret before the current one now."""
        self.own_client(client_id)
        client_secrets.withdraw_previous(client_id, by=owner(request.user.pk), context=self.context)
        return Response(status=204)


class Keys(ApiView):
    """The keys of a client."""

    @describes("get_keys", KeyCardSerializer, also=(404,))
    def get(self, request: Request, client_id: str) -> Response:
        """Describe the keys of a client: each key, the copy we hold, what is wrong and since when. Fetches nothing."""
        return answer(KeyCardSerializer, asdict(key_card(self.own_client(client_id))))


class Probe(ApiView):
    """Whether a client works at a tenant."""

    @describes("probe_activation", ProbeSerializer, also=(404,))
    def get(self, request: Request, client_id: str, tenant: str) -> Response:
        """Say whether a client works at a tenant now, condition by condition, each with its fix."""
        self.own_client(client_id)
        found = find_tenant(tenant)
        if found is None:
            raise errors.no_such("tenant")
        return answer(ProbeSerializer, probe(client_id, found, now=timezone.now()).as_json())


class RecentRequests(ApiView):
    """What a client asked for lately."""

    parameters = ("limit",)

    @describes(
        "list_recent_requests",
        RecentRequestsSerializer,
        also=(404,),
        parameters=(
            query("limit", "How many at most", type={"type": "integer", "minimum": 1, "maximum": MOST_LISTED}),
        ),
    )
    def get(self, request: Request, client_id: str) -> Response:
        """List what was asked in the name of a client lately and what came of it: tokens issued, requests refused."""
        self.own_client(client_id)
        limit = self.number("limit", 50, least=1, most=MOST_LISTED)
        found = [one.as_json() for one in recent_requests(client_id, limit=limit)]
        return answer(RecentRequestsSerializer, {"requests": found})


class Snippets(ApiView):
    """Code for a client."""

    @describes("list_snippets", SnippetsSerializer, also=(404,))
    def get(self, request: Request, client_id: str) -> Response:
        """Return code to paste, in several languages, for each tenant at which the client is active or waits.

        It gets a token and reads a first resource. No secret and no private key is in it.
        """
        client = self.own_client(client_id)
        slugs = client.activations.order_by("tenant__slug").values_list("tenant__slug", flat=True)
        found = [
            {"tenant": tenant.slug, **asdict(one)}
            for slug in slugs
            if (tenant := find_tenant(slug)) is not None
            for one in snippets(client, tenant)
        ]
        return answer(SnippetsSerializer, {"snippets": found})
