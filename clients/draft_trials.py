"""Trying the key set by URL that a draft would register, before it is submitted.

Source: RFC 7591 §5; SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)".
"""

from datetime import datetime

from clients.drafts import Unfinished, problems_of
from clients.findings import Finding
from clients.models import AuthMethod, Draft
from clients.portal.fetch_room import room
from clients.registration_trials import MAX_TOLD, NEVER, Problems
from clients.trial_fetch import problems, trial
from smartauth.errors import TooManyRequests


def try_keys_of(draft: Draft, user: int, *, now: datetime) -> Problems:
    """Look once at the key set and return what is to be mended, as JSON objects. Nothing is fetched for a draft that
    cannot be submitted, for keys that are registered already, and while too many others are being fetched.

    Raises Unfinished for what must never be registered: a private key that is published, an address that is not public.
    Must not be called inside a transaction.
    """
    jwks_uri = draft.answers.get("jwks_uri")
    known = draft.client.client_jwks_uri if draft.client is not None else ""
    with_keys = draft.answers.get("token_endpoint_auth_method") == AuthMethod.PRIVATE_KEY_JWT
    if not with_keys or not jwks_uri or jwks_uri == known or problems_of(draft):
        return ()
    try:
        with room(user):
            report = trial(jwks_uri, now)
    except TooManyRequests:
        return ()
    never = [one for one in report.findings if one.rule in NEVER]
    if never:
        raise Unfinished(tuple(Finding("jwks_uri", one.rule, one.reason, one.fix, one.seen) for one in never))
    return tuple(problems(report))[:MAX_TOLD]
