"""Clients that register themselves and look after their registration: the rules beyond those of all metadata.

Source: RFC 7591 §2, §3 and §5; RFC 7592 §2.
"""

from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from django.db import transaction

from clients.acting import BY_PROTOCOL
from clients.changes import withdraw_waiting
from clients.compact_jws import MalformedJwt, parse_compact_jws
from clients.initial_tokens import require_initial_token, take_initial_token
from clients.inline_keys import remind_of_new_keys
from clients.lifecycle import take_step
from clients.metadata import PAGES, ClientMetadata, InvalidClientMetadata
from clients.models import Activation, Client
from clients.registered import CLIENT_ID
from clients.registration import describe_client, register_client, rewrite_client
from clients.registration_trials import Problems, noted, told, try_keys
from clients.tenants import find_tenant
from clients.widening import require_no_less_proof, widened
from smartauth import endpoints, rates
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret
from smartauth.errors import AccessDenied, InvalidToken, Refusal
from smartauth.policy.scopes import NamedScope, find_scope, split_scope

Json = dict[str, Any]
NEVER_SENT = ("registration_access_token", "registration_client_uri", "client_secret_expires_at", "client_id_issued_at")
STOPPED = (Client.Status.SUSPENDED, Client.Status.DECLINED)


class InvalidSoftwareStatement(InvalidClientMetadata):
    """The software statement is none (RFC 7591 §3.2.2)."""

    code = "invalid_software_statement"


class UnapprovedSoftwareStatement(InvalidClientMetadata):
    """The software statement is of an issuer we do not trust (RFC 7591 §3.2.2)."""

    code = "unapproved_software_statement"


class UpdateForbidden(AccessDenied):
    """The client is who it says and may not do this (RFC 7592 §2.2)."""

    status = 403


def register(metadata: Json, *, initial_token: str, context: RequestContext, now: datetime) -> Json:
    """Register a client by protocol and return the answer: what is stored, and the secrets this once.

    In the sandbox it may act at once at the tenants of the token; elsewhere it waits for an operator, and so does its
    activation there. A key set by URL is tried first, so this must not be called inside a transaction.
    Raises InvalidToken, InvalidClientMetadata, TooManyRequests.
    """
    initial = require_initial_token(initial_token, now=now)
    who = f"initial access token {initial.pk}"
    rates.admit_client(context, who)
    _refuse_statement(metadata)
    _refuse_foreign_pages(metadata, None)
    jwks_uri = ClientMetadata.from_json(_with_fewer_scopes(metadata), operator=False).jwks_uri
    problems = try_keys(jwks_uri, who=who, context=context, now=now)
    with transaction.atomic():
        initial = take_initial_token(initial_token, now=now)
        at_once = config().is_sandbox
        found = [find_tenant(slug) for slug in initial.tenants.order_by("slug").values_list("slug", flat=True)]
        tenants = [tenant for tenant in found if tenant is not None]
        registered = register_client(
            _with_fewer_scopes(metadata),
            operator=False,
            approved=at_once,
            activate_at=tenants if at_once else (),
            propose_at=() if at_once else tenants,
        )
        client, token = registered.client, new_secret()
        client.registration_access_token = digest(token)
        client.save(update_fields=["registration_access_token"])
        facts = {"initial_access_token": initial.pk, "status": client.status} | noted(problems)
        _record(context, client, "registered", **facts)
        remind_of_new_keys(client, None, context=context)
    return _described(client, token, registered.secret) | told(problems)


def require_client(client_id: str, token: str, *, context: RequestContext) -> Client:
    """Return the client whose registration access token this is, locked for the transaction of the caller.

    Raises InvalidToken; that the client is unknown or was deleted looks like a wrong token.
    """
    known = Client.objects.exclude(status=Client.Status.RETIRED).select_for_update(no_key=True)  # see lifecycle.py
    client = None
    if CLIENT_ID.fullmatch(client_id):
        context.client_id = client_id
        client = known.filter(client_id=client_id, registration_access_token=digest(token)).first()
    if client is None:
        refusal = Refusal(
            "registration.token",
            "the registration access token is not that of this client, was replaced, or the client was deleted",
            fix="Use the token of the last answer to a registration or an update; an operator can help otherwise.",
        )
        raise InvalidToken(refusal)
    rates.admit_client(context, client.client_id)
    return client


def read(client: Client, token: str) -> Json:
    """Return the registration as it is stored, with the token that was shown.  Source: RFC 7592 §2.1 and §3."""
    return _described(client, token)


def replace(client: Client, metadata: Json, *, context: RequestContext, problems: Problems = ()) -> Json:
    """Replace all metadata of a locked client and its registration access token, and return the answer.

    What widens an approved client sends it back to the operator, except in the sandbox. What the operator restricted
    stays.    problems: of its new key set, for the answer to tell.
    Raises InvalidClientMetadata, and UpdateForbidden for a client the operator stopped.
    Source: RFC 7592 §2.2.
    """
    if client.status in STOPPED:
        raise UpdateForbidden(
            Refusal(
                "registration.stopped", "the operator stopped the client", seen=client.status, fix="Ask the operator."
            )
        )
    _require_own_members(metadata, client)
    _refuse_statement(metadata)
    _refuse_foreign_pages(metadata, client)
    checked = ClientMetadata.from_json(_with_fewer_scopes(metadata, client.scope), operator=False)
    require_no_less_proof(client, checked)
    more, keys = widened(client, checked), client.client_jwks
    token = new_secret()
    client.registration_access_token = digest(token)
    secret = rewrite_client(client, checked)
    withdraw_waiting(client, by=BY_PROTOCOL, context=context)  # All of the metadata is said anew.
    if more and client.status == Client.Status.APPROVED and not config().is_sandbox:
        client = take_step(client.client_id, "reviewed_again", by=BY_PROTOCOL, context=context, reason=", ".join(more))
    facts = {"widened": ", ".join(more), "status": client.status} | noted(problems)
    _record(context, client, "updated", **facts)
    remind_of_new_keys(client, keys, context=context)
    return _described(client, token, secret) | told(problems)


def retire(client: Client, *, context: RequestContext) -> None:
    """End a locked client and its tokens for good; its id is never given again.  Source: RFC 7592 §2.3."""
    take_step(client.client_id, "retired", by=BY_PROTOCOL, context=context)


def _refuse_statement(metadata: Json) -> None:
    """No issuer of software statements is trusted here, so one is refused rather than left out of the decision."""
    statement = metadata.get("software_statement")
    if statement is None:
        return
    fix = "Register without a software statement."
    if not isinstance(statement, str):
        raise InvalidSoftwareStatement("software_statement", "it must be a string", fix=fix)
    try:
        parse_compact_jws(statement)
    except MalformedJwt as problem:
        raise InvalidSoftwareStatement("software_statement", problem.reason, fix=fix) from None
    raise UnapprovedSoftwareStatement("software_statement", "its issuer is not one this server trusts", fix=fix)


def _refuse_foreign_pages(metadata: Json, client: Client | None) -> None:
    """Nobody vouches for what a client says of itself, so its pages are where its users are sent (RFC 7591 §5)."""
    uris = metadata.get("redirect_uris")
    if not isinstance(uris, list) or not uris:
        return  # A service has no users whom it could lead astray; other mistakes are found later.
    hosts = {_host(uri) for uri in uris} - {""}
    for member in PAGES:
        url = metadata.get(member)
        if not isinstance(url, str) or not url or (client is not None and url == getattr(client, member)):
            continue
        if _host(url) not in hosts:
            raise InvalidClientMetadata(
                member,
                "it is on a host where none of the redirect URIs is",
                seen=_host(url)[:100],
                fix="Leave it out; an operator can add it.",
            )


def _host(url: object) -> str:
    """Return the host of a web URL, "" for anything else: in a scheme of an app's own a host proves nothing."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
        return (parts.hostname or "") if parts and parts.scheme in ("http", "https") else ""
    except ValueError:
        return ""


def _with_fewer_scopes(metadata: Json, present: str = "") -> Json:
    """Leave out rights only an operator gives, such as introspecting for others. `present`: scopes it has already."""
    text = metadata.get("scope")
    if not isinstance(text, str):
        return metadata
    had = split_scope(present)
    return {**metadata, "scope": " ".join(one for one in split_scope(text) if one in had or not _is_a_right(one))}


def _is_a_right(text: str) -> bool:
    scope = find_scope(text)  # What cannot be read is left out where metadata is read.
    return isinstance(scope, NamedScope) and scope.kind == "extension"


def _require_own_members(metadata: Json, client: Client) -> None:
    if metadata.get("client_id") != client.client_id:
        raise InvalidClientMetadata(
            "client_id", "it must be the one of the URL", fix="Send the client_id you were given."
        )
    for member in NEVER_SENT:
        if member in metadata:
            raise InvalidClientMetadata(member, "it is ours to say", fix="Leave it out.")
    secret = metadata.get("client_secret")
    known = (client.client_secret, client.previous_client_secret)
    if secret is not None and not (isinstance(secret, str) and digest(secret) in known):
        raise InvalidClientMetadata("client_secret", "it is not the present one, and clients choose none")


def _described(client: Client, token: str, secret: str | None = None) -> Json:
    """Return what a client is told of itself: all but how the operator restricts it, which may name patients."""
    described = {name: value for name, value in describe_client(client, secret).items() if name != "restrictions"}
    places = Activation.objects.filter(client=client, tenant__is_active=True).order_by("tenant__slug")
    return described | {
        "registration_access_token": token,
        "registration_client_uri": endpoints.registration(client.client_id),
        "status": str(client.status),
        "activations": [
            {"tenant": slug, "fhir_base": endpoints.fhir_base(slug), "active": is_active}
            for slug, is_active in places.values_list("tenant__slug", "is_active")
        ],
    }


def _record(context: RequestContext, client: Client, act: str, **details: str | int) -> None:
    record_now(context, AuditEvent("register", rule=f"client.{act}", client_id=client.client_id, details=details))
