"""Pushed authorization requests: an app posts the request itself, and the browser carries a reference to it."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from clients.authentication import authenticate_client, claim_client
from clients.origins import REGISTERED_ORIGINS
from clients.registered import RegisteredClient
from smartauth import endpoints, pending, proofs, pushed
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.digests import digest
from smartauth.errors import InvalidDpopProof, InvalidRequest, Refusal
from smartauth.forms import form_fields, single_valued
from smartauth.policy.authorization_requests import AuthorizationRequest
from smartauth.responses import oauth_json
from smartauth.views.audience import addressed_tenant
from smartauth.views.authorize import examine, require_one_target
from smartauth.views.standing import redirect_uri_refusal


@oauth_json("POST", endpoint="par", origins=REGISTERED_ORIGINS, status=201)
def par(request: HttpRequest, tenant: str | None = None) -> dict[str, Any]:
    """Pushed authorization request endpoint: what authorize would refuse later is refused here, at once and to the app.

    Source: RFC 9126 §2.
    """
    context = context_of(request)
    addressed = addressed_tenant(tenant)
    fields = form_fields(request)
    claim_client(context, fields.get("client_id", ""))  # So that a page of its origin can read every refusal.
    if fields.get("request_uri"):
        raise InvalidRequest(
            Refusal("par.request_uri", "a pushed request cannot refer to another one", fix="Leave request_uri out."),
            "request_uri cannot be pushed",
        )
    require_one_target(fields)
    params = single_valued(fields)
    now = timezone.now()
    base = params.get("aud", params.get("resource", ""))
    named = addressed.slug if addressed else endpoints.tenant_of_fhir_base(base)
    client = authenticate_client(
        request.headers,
        params,
        # The URL of this endpoint is an audience here and nowhere else.
        audiences=lambda _: endpoints.assertion_audiences(named) | {endpoints.oauth(tenant, "par")},
        context=context,
        now=now,
    )
    redirect_uri = params.get("redirect_uri", "")
    refusal = redirect_uri_refusal(client, redirect_uri)
    if refusal is not None:
        raise InvalidRequest(refusal, "redirect_uri is not registered for this client")
    examined = examine(fields, client, addressed, context)
    wanted = _with_key(examined.wanted, client, request, endpoints.oauth(tenant, "par"), now)
    request_uri = pushed.new_request_uri()
    pending.start(
        wanted,
        client=client,
        tenant=examined.tenant,
        redirect_uri=redirect_uri,
        screened=examined.screened,
        launch=examined.launch,
        now=now,
        pushed_as=digest(request_uri),
    )
    return {"request_uri": request_uri, "expires_in": config().pushed_lifetime // timedelta(seconds=1)}


def _with_key(
    wanted: AuthorizationRequest, client: RegisteredClient, request: HttpRequest, url: str, now: datetime
) -> AuthorizationRequest:
    """Return the request bound to the key of the proof it came with, if it came with one (RFC 9449 §10.1)."""
    if "DPoP" not in request.headers:
        return wanted
    key = proofs.key_of(client, request.headers, url=url, now=now) or ""
    if wanted.dpop_jkt and wanted.dpop_jkt != key:
        reason = "dpop_jkt is not the thumbprint of the key in the proof"
        raise InvalidDpopProof(Refusal("dpop.jkt", reason, expected=key, seen=wanted.dpop_jkt))
    return replace(wanted, dpop_jkt=key)
