"""Trying things before anything depends on them: a key set, and a client assertion."""

import json
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients.api import errors
from clients.api.base import ApiView, answer
from clients.api.describing import describes
from clients.api.inputs import AnyObject, Input, Said
from clients.clinic import diagnose
from clients.jwks_fetch import FetchedJwks
from clients.jwks_report import JwksReport, make_report
from clients.key_sets import FORCED_EVERY
from clients.portal.fetch_room import room
from clients.registered import find_client
from clients.tenants import find_tenant
from clients.trial_fetch import trial
from smartauth import endpoints
from smartauth.conf import config

LONGEST_ASSERTION = 16_000  # characters


class KeySetToTry(Input):
    """A key set: where it is, or what it is."""

    exactly_one = True
    jwks_uri = Said(max_length=2_000)
    jwks = AnyObject(required=False)

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        fields["jwks_uri"].required = False
        return fields


class ProblemSerializer(serializers.Serializer[Any]):
    """One thing to mend."""

    rule = serializers.CharField()
    reason = serializers.CharField()
    seen = serializers.CharField()
    fix = serializers.CharField()


class KeyReportSerializer(serializers.Serializer[Any]):
    """One key, in the order published."""

    kid = serializers.CharField()
    kty = serializers.CharField()
    alg = serializers.CharField()
    use = serializers.CharField()
    size = serializers.CharField(help_text="2048 bits, or P-384")
    problems = ProblemSerializer(many=True)


class JwksReportSerializer(serializers.Serializer[Any]):
    """What a look at a key set found, as `check_jwks --json` tells it."""

    healthy = serializers.BooleanField()
    findings = ProblemSerializer(many=True, help_text="About the answer as a whole")
    keys = KeyReportSerializer(many=True)
    content_type = serializers.CharField()
    cache_control = serializers.CharField()
    kept_for = serializers.IntegerField(allow_null=True, help_text="Seconds a copy is kept")
    rotation = serializers.CharField(help_text="What the caching headers mean for a change of keys")
    certificate_ends_at = serializers.DateTimeField(allow_null=True)


class AssertionToTry(Input):
    """An assertion, and the client it is for."""

    client_id = Said(max_length=255)
    assertion = Said(max_length=LONGEST_ASSERTION, help_text="It is not spent, and not kept")
    tenant = Said(max_length=32, help_text="At which it would be shown; at any where the client is active unless sent")

    def get_fields(self) -> dict[str, Any]:
        fields: dict[str, Any] = super().get_fields()
        fields["tenant"].required = False
        return fields


class CheckSerializer(serializers.Serializer[Any]):
    """What one check found."""

    name = serializers.CharField()
    title = serializers.CharField()
    outcome = serializers.ChoiceField(["passed", "failed", "not reached", "note"])
    rule = serializers.CharField()
    reason = serializers.CharField()
    expected = serializers.CharField()
    seen = serializers.CharField()
    fix = serializers.CharField()


class ClockSerializer(serializers.Serializer[Any]):
    """The times of the assertion beside ours."""

    now = serializers.CharField()
    iat = serializers.CharField(allow_null=True)
    exp = serializers.CharField(allow_null=True)
    ahead = serializers.IntegerField(allow_null=True, help_text="Seconds by which its clock is ahead of ours")
    words = serializers.CharField()


class KeysSerializer(serializers.Serializer[Any]):
    """The key set it is checked against."""

    jwks_uri = serializers.CharField()
    kids = serializers.ListField(child=serializers.CharField())
    count = serializers.IntegerField()
    age = serializers.IntegerField(allow_null=True, help_text="Of the copy, in seconds")
    is_current = serializers.BooleanField()


class DiagnosisSerializer(serializers.Serializer[Any]):
    """An assertion under every check that it could be put to."""

    client_id = serializers.CharField()
    at = serializers.CharField()
    accepted = serializers.BooleanField()
    refused_by = CheckSerializer(allow_null=True, help_text="Where the token endpoint would stop")
    header = serializers.DictField(allow_null=True)
    claims = serializers.DictField(allow_null=True)
    clock = ClockSerializer(allow_null=True)
    keys = KeysSerializer(allow_null=True)
    checks = CheckSerializer(many=True)


class TestJwks(ApiView):
    """A look at a key set."""

    endpoint = "developers.jwks"

    @describes("test_jwks", JwksReportSerializer, takes=KeySetToTry)
    def post(self, request: Request) -> Response:
        """Say everything that is wrong with a key set, key by key. Exactly one of the two members is sent.

        A URL is fetched once, under the rules by which the server fetches it later. Nothing is kept.
        """
        wanted = self.read(KeySetToTry)
        if "jwks" in wanted:
            report = _report_on(wanted["jwks"])
        else:
            with room(int(request.user.pk)):
                report = trial(wanted["jwks_uri"], timezone.now())
        return answer(JwksReportSerializer, {"healthy": report.is_healthy, **asdict(report)})


class Diagnose(ApiView):
    """The assertion clinic."""

    endpoint = "developers.diagnose"

    @describes("diagnose_assertion", DiagnosisSerializer, takes=AssertionToTry, also=(404,))
    def post(self, request: Request) -> Response:
        """Say what the token endpoint would say to an assertion of your client, and what else is wrong with it."""
        wanted = self.read(AssertionToTry)
        client_id = self.own_client(wanted["client_id"]).client_id
        client = find_client(client_id)
        if client is None:
            raise errors.no_such("client")
        tenants = [wanted["tenant"]] if "tenant" in wanted else [*client.activations]
        if "tenant" in wanted and find_tenant(wanted["tenant"]) is None:
            raise errors.no_such("tenant")
        audiences = endpoints.assertion_audiences(None).union(*map(endpoints.assertion_audiences, tenants))
        with room(int(request.user.pk)):
            diagnosis = diagnose(wanted["assertion"], client, audiences=audiences, now=timezone.now())
        return answer(DiagnosisSerializer, diagnosis.as_json())


def _report_on(jwks: dict[str, Any]) -> JwksReport:
    body = FetchedJwks(json.dumps(jwks).encode(), timedelta(0), (("content-type", "application/json"),))
    found = make_report(body, algorithms=config().assertion_algorithms, forced_every=FORCED_EVERY, now=timezone.now())
    return JwksReport(found.findings, found.keys)  # Of what is registered by value nothing is cached.
