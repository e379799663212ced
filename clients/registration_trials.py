"""Trying the key set of a client that registers itself, or changes its registration, before anything is stored.

Source: RFC 7591 §5; SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)".
"""

from datetime import datetime
from typing import Any

from clients.jwks_fetch import require_fetchable
from clients.jwks_rules import UnusableJwks
from clients.metadata import InvalidClientMetadata
from clients.models import Client
from clients.registered import CLIENT_ID
from clients.trial_fetch import problems, trial
from smartauth import rates
from smartauth.context import RequestContext
from smartauth.digests import digest

Json = dict[str, Any]
Problems = tuple[Json, ...]

# A private key is lost whatever is registered, and an address that is not public is never asked. All else may only mean
# that the host is not up yet.
NEVER = frozenset({"jwks.private_key", "jwks.address", "jwks.url"})
MAX_TOLD = 20


def try_keys(jwks_uri: str, *, who: str, context: RequestContext, now: datetime) -> Problems:
    """Try a key set by URL and return what is to be mended, as JSON objects; "" tries nothing.

    who: the credential that lets the caller register; it may have a few sets tried in a minute.
    Raises InvalidClientMetadata for what must never be registered, and TooManyRequests.
    """
    if not jwks_uri:
        return ()
    rates.admit_trial(context, who)
    report = trial(jwks_uri, now)
    for problem in report.findings:
        if problem.rule in NEVER:
            raise InvalidClientMetadata("jwks_uri", problem.reason, seen=problem.seen, fix=problem.fix)
    return tuple(problems(report))[:MAX_TOLD]


def try_new_keys(client_id: str, token: str, metadata: Json, *, context: RequestContext, now: datetime) -> Problems:
    """Try the key set that an update would bring, where it is another than before. Locks nothing.

    token: the registration access token; of a wrong one nothing is said here, nor of what else is wrong with the
    update.  Raises as `try_keys` does.
    """
    jwks_uri = metadata.get("jwks_uri")
    if not isinstance(jwks_uri, str) or not jwks_uri or CLIENT_ID.fullmatch(client_id) is None:
        return ()
    stopped = (Client.Status.SUSPENDED, Client.Status.DECLINED, Client.Status.RETIRED)
    client = Client.objects.filter(client_id=client_id, registration_access_token=digest(token)).first()
    if client is None or client.status in stopped or client.client_jwks_uri == jwks_uri:
        return ()
    try:
        require_fetchable(jwks_uri)
    except UnusableJwks:
        return ()
    context.client_id, context.is_proven = client_id, True
    return try_keys(jwks_uri, who=f"client {client_id}", context=context, now=now)


def told(found: Problems) -> Json:
    """Return what the answer to a registration says of its key set: nothing where there is nothing to mend."""
    return {"jwks_uri_problems": list(found)} if found else {}


def noted(found: Problems) -> dict[str, str]:
    """Return what the audit record says of it, for whoever approves the client."""
    return {"jwks_uri_problems": " ".join(sorted({one["rule"] for one in found}))} if found else {}
