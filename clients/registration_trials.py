"""Trying the key set of a client that registers itself, or changes its registration, before anything is stored.

Source: RFC 7591 §5; SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)".
"""

from datetime import datetime
from typing import Any

from clients import self_registration
from clients.initial_tokens import require_initial_token
from clients.jwks_fetch import require_fetchable
from clients.jwks_rules import UnusableJwks
from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registered import CLIENT_ID
from clients.trial_fetch import problems, trial
from smartauth import rates
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext
from smartauth.digests import digest

Json = dict[str, Any]
Problems = tuple[Json, ...]

# A private key is lost whatever is registered, and an address that is not public is never asked. All else may only mean
# that the host is not up yet.
NEVER = frozenset({"jwks.private_key", "jwks.address", "jwks.url"})
MAX_TOLD = 20
STOPPED = (Client.Status.SUSPENDED, Client.Status.DECLINED, Client.Status.RETIRED)


def register(metadata: Json, *, initial_token: str, context: RequestContext, now: datetime) -> Json:
    """Try the key set by URL, if any, register the client, and return the answer with what is to be mended.

    Must not be called inside a transaction. Raises InvalidToken, InvalidClientMetadata, TooManyRequests.
    """
    found = _try_first_keys(metadata, initial_token, context, now)
    answer = self_registration.register(metadata, initial_token=initial_token, context=context, now=now)
    return answer | _told(found, answer["client_id"], context)


def _try_first_keys(metadata: Json, initial_token: str, context: RequestContext, now: datetime) -> Problems:
    jwks_uri = _fetchable(metadata)
    if not jwks_uri:
        return ()
    initial = require_initial_token(initial_token, now=now)
    context.is_proven = True
    return _try(jwks_uri, f"initial access token {initial.pk}", context, now)


def try_new_keys(client_id: str, token: str, metadata: Json, *, context: RequestContext, now: datetime) -> Problems:
    """Try the key set that an update would bring, where it is another than before. Locks nothing.

    token: the registration access token; of a wrong one nothing is said here, nor of what else is wrong with the
    update.  Raises InvalidClientMetadata for what must never be registered, and TooManyRequests.
    """
    jwks_uri = _fetchable(metadata)
    if not jwks_uri or CLIENT_ID.fullmatch(client_id) is None:
        return ()
    client = Client.objects.filter(client_id=client_id, registration_access_token=digest(token)).first()
    if client is None or client.status in STOPPED or client.client_jwks_uri == jwks_uri:
        return ()
    context.client_id, context.is_proven = client_id, True
    return _try(jwks_uri, f"client {client_id}", context, now)


def with_told(answer: Json, found: Problems, *, context: RequestContext) -> Json:
    """Return the answer to an update with what is to be mended about the new key set."""
    return answer | _told(found, answer["client_id"], context)


def _fetchable(metadata: Json) -> str:
    """Return the `jwks_uri`, "" where there is none or it is refused unfetched."""
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not jwks_uri:
        return ""
    try:
        require_fetchable(jwks_uri)
    except UnusableJwks:
        return ""
    return jwks_uri


def _try(jwks_uri: str, who: str, context: RequestContext, now: datetime) -> Problems:
    rates.admit_trial(context, who)
    report = trial(jwks_uri, now)
    for problem in report.findings:
        if problem.rule in NEVER:
            raise InvalidClientMetadata("jwks_uri", problem.reason, seen=problem.seen, fix=problem.fix)
    return tuple(problems(report))[:MAX_TOLD]


def _told(found: Problems, client_id: str, context: RequestContext) -> Json:
    """Return what the answer says of a key set that was tried, and note its rules for whoever approves the client."""
    if not found:
        return {}
    rules = " ".join(sorted({one["rule"] for one in found}))
    record_now(context, AuditEvent("register", rule="client.keys_tried", client_id=client_id, details={"rules": rules}))
    return {"jwks_uri_problems": list(found)}
