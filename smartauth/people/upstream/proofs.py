"""When the person of a session last proved who they are, here or at the identity provider."""

from dataclasses import dataclass
from datetime import UTC, datetime

from allauth.account.authentication import get_authentication_records
from allauth.account.internal.flows.login import record_authentication
from django.http import HttpRequest

from smartauth.people.models import User
from smartauth.people.upstream.identity_tokens import Identity

METHOD = "upstream"


@dataclass(frozen=True, slots=True)
class Proof:
    """`auth_time`: when it happened, by the clock of whoever saw it.  `shown_at`: when we learnt of it, by ours.

    The two differ where an identity provider answers for somebody who signed in there before.
    """

    auth_time: datetime
    shown_at: datetime


def last_proof(request: HttpRequest) -> Proof:
    """Return the newest proof in the session of somebody signed in (OIDC Core §2, `auth_time`)."""
    proven = get_authentication_records(request, request.user)
    if not proven:
        signed_in: datetime = request.user.last_login
        return Proof(signed_in, signed_in)
    at = proven[-1]["at"]
    return Proof(datetime.fromtimestamp(at, UTC), datetime.fromtimestamp(proven[-1].get("shown_at", at), UTC))


def is_from_upstream(request: HttpRequest) -> bool:
    """Return True when the person came into this session by way of the identity provider."""
    return any(proof["method"] == METHOD for proof in get_authentication_records(request, request.user))


def keep_proof(request: HttpRequest, user: User, identity: Identity, *, again: bool, now: datetime) -> None:
    """Note in the session what the provider vouches for.

    again: it had to ask the person anew, so the proof is as new as its arrival; its clock may be behind ours.
    """
    extra = {"at": identity.auth_time.timestamp(), "issuer": identity.issuer}
    if again:
        extra |= {"shown_at": now.timestamp(), "reauthenticated": True}
    record_authentication(request, user, METHOD, **extra)
