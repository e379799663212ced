"""The tokens with which a partner's own programs use this interface."""

from datetime import timedelta
from typing import Any

from django.utils import timezone
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from clients import api_tokens
from clients.api import errors
from clients.api.base import ApiView, answer
from clients.api.describing import describes
from clients.api.inputs import Input, Said, Whole
from clients.models import ApiToken
from smartauth.errors import Refusal

USUAL_DAYS = api_tokens.USUAL_LIFETIME.days
MOST_DAYS = api_tokens.LONGEST_LIFETIME.days


class NewToken(Input):
    """A token to make."""

    label = Said(max_length=100, help_text="What uses it")
    days = Whole(
        required=False, min_value=1, max_value=MOST_DAYS, help_text=f"How long it is good; {USUAL_DAYS} unless sent"
    )


class TokenSerializer(serializers.Serializer[Any]):
    """A token, without what it is."""

    id = serializers.IntegerField()
    label = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    last_used_at = serializers.DateTimeField(allow_null=True)


class IssuedTokenSerializer(TokenSerializer):
    """A token just made."""

    token = serializers.CharField(help_text="Shown now and never again")


class TokensSerializer(serializers.Serializer[Any]):
    """The tokens there are, expired ones too until they are cleared away."""

    tokens = TokenSerializer(many=True)


class Tokens(ApiView):
    """Tokens."""

    @describes("list_tokens", TokensSerializer)
    def get(self, request: Request) -> Response:
        """List the tokens of whoever asks, the newest first."""
        rows = ApiToken.objects.filter(user=request.user.pk).order_by("-pk")
        return answer(TokensSerializer, {"tokens": list(rows)})

    @describes("issue_token", IssuedTokenSerializer, takes=NewToken, status=201, also=(409,), session_only=True)
    def post(self, request: Request) -> Response:
        """Make a token. It takes somebody who is signed in: a token that leaks must not beget others."""
        if request.auth is not None:
            raise errors.Forbidden(
                Refusal("api.token_by_token", "a token does not make tokens", fix="Sign in to the portal for that.")
            )
        wanted = self.read(NewToken)
        issued = api_tokens.issue_token(
            request.user.pk,
            wanted["label"],
            lifetime=timedelta(days=wanted.get("days", USUAL_DAYS)),
            context=self.context,
            now=timezone.now(),
        )
        issued.row.token = issued.token  # type: ignore[attr-defined]
        return answer(IssuedTokenSerializer, issued.row, 201, Location=f"/developers/api/tokens/{issued.row.pk}")


class OneToken(ApiView):
    """One token."""

    @describes("withdraw_token", None, status=204, also=(404,))
    def delete(self, request: Request, pk: int) -> Response:
        """Withdraw a token; from now on it opens nothing."""
        if not api_tokens.withdraw_token(request.user.pk, pk, context=self.context):
            raise errors.no_such("token")
        return Response(status=204)
