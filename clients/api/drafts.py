"""Registrations being filled in."""

from typing import Any

from django.db import transaction
from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients import drafts
from clients.api import errors
from clients.api.base import ApiView, answer
from clients.api.clients import ChangeSerializer, ClientSerializer, change_json, client_json
from clients.api.describing import FindingSerializer, describes
from clients.api.inputs import AnyObject, Input
from clients.app_kinds import KINDS
from clients.draft_trials import try_keys_of
from clients.findings import TENANTS
from clients.models import Draft
from clients.serializers import ClientMetadataSerializer, TextList


class Answers(Input):
    """Members of client metadata (RFC 7591 §2), with `tenants`: where the app shall work. null takes one out.

    Values may be wrong in any way while a draft is filled in; only their JSON types are those of RFC 7591.
    """

    def get_fields(self) -> dict[str, Any]:
        known = ClientMetadataSerializer().get_fields()
        found = {name: field for name, field in known.items() if name in drafts.MEMBERS} | {TENANTS: TextList(of=32)}
        found["jwks"] = AnyObject(required=False)
        for field in found.values():
            field.allow_null = True
        return found


EXAMPLE = {
    "kind": "patient",
    "answers": {
        "client_name": "Growth Chart",
        "publisher": "Example Health",
        "purpose": "Shows how a child has grown.",
        "contacts": ["developers@example.org"],
        "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://growth.example.org/callback"],
        "scope": "launch/patient openid fhirUser patient/Patient.rs patient/Observation.rs",
        "tenants": ["sandbox"],
    },
}


class NewDraft(Input):
    """A draft to begin."""

    kind = serializers.ChoiceField([*KINDS], help_text="Of app; it decides what else is asked")
    answers = Answers(required=False)


class Changes(Input):
    """Answers to keep."""

    answers = Answers()


class DraftSummarySerializer(serializers.Serializer[Any]):
    """A draft in a list."""

    id = serializers.IntegerField()
    kind = serializers.ChoiceField([*KINDS])
    client_id = serializers.CharField(allow_null=True, help_text="Of the client it changes; null for a new one")
    client_name = serializers.CharField()
    created_at = serializers.DateTimeField()
    changed_at = serializers.DateTimeField()


class DraftSerializer(DraftSummarySerializer):
    """A draft."""

    answers = serializers.DictField(help_text="Members of client metadata, as they were given")
    findings = FindingSerializer(many=True, help_text="What keeps it from being submitted")


class DraftsSerializer(serializers.Serializer[Any]):
    """The drafts there are."""

    drafts = DraftSummarySerializer(many=True)


class SubmittedSerializer(serializers.Serializer[Any]):
    """What became of a draft."""

    client = ClientSerializer()
    client_secret = serializers.CharField(required=False, help_text="Shown now and never again")
    change = ChangeSerializer(
        allow_null=True, help_text="What waits for the operator, where the client was approved before"
    )
    jwks_uri_problems = serializers.ListField(
        child=serializers.DictField(), required=False, help_text="What is to be mended in the key set, which was tried"
    )


class Drafts(ApiView):
    """Drafts."""

    @describes("list_drafts", DraftsSerializer)
    def get(self, request: Request) -> Response:
        """List the drafts, those changed last first."""
        rows = Draft.objects.filter(owner=request.user.pk).select_related("client").order_by("-changed_at", "-pk")
        return answer(DraftsSerializer, {"drafts": [_summary(row) for row in rows]})

    @describes("begin_draft", DraftSerializer, takes=NewDraft, status=201, also=(409,), example=EXAMPLE)
    def post(self, request: Request) -> Response:
        """Begin a registration with what its kind presets, and with answers where some are given."""
        wanted = self.read(NewDraft)
        with transaction.atomic():
            draft = drafts.begin(request.user.pk, wanted["kind"])
            found = _save(draft, wanted.get("answers", {}), whole=False)
        location = f"/developers/api/drafts/{draft.pk}"
        return answer(DraftSerializer, _in_full(draft, found), 201, Location=location)


class OneDraft(ApiView):
    """One draft."""

    @describes("get_draft", DraftSerializer, also=(404,))
    def get(self, request: Request, pk: int) -> Response:
        """Return a draft with everything that keeps it from being submitted."""
        draft = _own(request, pk)
        return answer(DraftSerializer, _in_full(draft, drafts.problems_of(draft)))

    @describes("replace_answers", DraftSerializer, takes=Changes, also=(404, 409))
    def put(self, request: Request, pk: int) -> Response:
        """Keep these answers and no others, and return what is wrong with the draft now."""
        return self._keep(request, pk, whole=True)

    @describes("change_answers", DraftSerializer, takes=Changes, also=(404, 409))
    def patch(self, request: Request, pk: int) -> Response:
        """Keep these answers beside those that are there, and return what is wrong with the draft now."""
        return self._keep(request, pk, whole=False)

    @describes("delete_draft", None, status=204, also=(404,))
    def delete(self, request: Request, pk: int) -> Response:
        """Delete a draft. A client it would have changed stays as it is."""
        _own(request, pk).delete()
        return Response(status=204)

    def _keep(self, request: Request, pk: int, *, whole: bool) -> Response:
        draft = _own(request, pk)  # Whether there is one is said before anything about the body.
        found = _save(draft, self.read(Changes)["answers"], whole=whole)
        return answer(DraftSerializer, _in_full(draft, found))


class Submit(ApiView):
    """Submitting a draft."""

    @describes("submit_draft", SubmittedSerializer, also=(201, 404, 409))
    def post(self, request: Request, pk: int) -> Response:
        """Make a draft a client (201), or a change of one (200). The draft is gone then.

        A draft with findings is refused with them. A client that has a secret is told it here, this once.
        """
        self.read_nothing()
        draft = _own(request, pk)
        is_new = draft.client_id is None
        told = try_keys_of(draft, request.user.pk, now=timezone.now())
        done = drafts.submit(draft, user=request.user.pk, context=self.context)
        body = {
            "client": client_json(done.client),
            "change": change_json(done.change) if done.change else None,
            **({"client_secret": done.secret} if done.secret else {}),
            **({"jwks_uri_problems": list(told)} if told else {}),
        }
        location = f"/developers/api/clients/{done.client.client_id}"
        return answer(SubmittedSerializer, body, 201 if is_new else 200, Location=location)


def _own(request: Request, pk: int) -> Draft:
    draft = Draft.objects.filter(owner=request.user.pk, pk=pk).select_related("client").first()
    if draft is None:
        raise errors.no_such("draft")
    return draft


def _save(draft: Draft, answers: dict[str, Any], *, whole: bool) -> tuple[Any, ...]:
    if not answers and not whole:
        return drafts.problems_of(draft)
    return drafts.save_answers(draft, answers, whole=whole)


def _summary(draft: Draft) -> dict[str, Any]:
    return {
        "id": draft.pk,
        "kind": draft.kind,
        "client_id": draft.client.client_id if draft.client else None,
        "client_name": str(draft.answers.get("client_name") or ""),
        "created_at": draft.created_at,
        "changed_at": draft.changed_at,
    }


def _in_full(draft: Draft, findings: tuple[Any, ...]) -> dict[str, Any]:
    return {**_summary(draft), "answers": draft.answers, "findings": [one.as_json() for one in findings]}
