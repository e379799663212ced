"""Revocation endpoint."""

from django.http import HttpRequest
from django.utils import timezone

from clients.authentication import authenticate_client
from clients.origins import REGISTERED_ORIGINS
from smartauth import endpoints, tokens
from smartauth.context import context_of
from smartauth.errors import Refusal, UnsupportedTokenType
from smartauth.forms import form, require_param
from smartauth.hints import read_hint
from smartauth.responses import oauth_json
from smartauth.views.audience import addressed_tenant, tenant_or_default


@oauth_json("POST", endpoint="revoke", origins=REGISTERED_ORIGINS)
def revoke(request: HttpRequest, tenant: str | None = None) -> None:
    """Revocation endpoint: 200 with an empty body, also for tokens nobody knows.  Source: RFC 7009 §2.

    An ID token says once and for all who signed in: whoever wants it revoked should hear that this is no way.
    `token_type_hint` is only a hint, and digests are found as fast without it.
    """
    context = context_of(request)
    params = form(request)
    named = tenant_or_default(addressed_tenant(tenant))
    context.tenant = named.slug if named else ""
    now = timezone.now()
    client = authenticate_client(
        request.headers,
        params,
        audiences=lambda _: endpoints.assertion_audiences(named.slug if named else None),
        context=context,
        now=now,
    )
    token = require_param(params, "token")
    if not tokens.revoke_for_client(token, client_pk=client.pk, context=context, now=now) and read_hint(token):
        raise UnsupportedTokenType(
            Refusal("revoke.id_token", "the token is an ID token", fix="Revoke the access token or the refresh token.")
        )
