"""Secrets of clients: made by us, kept as digests, shown once, two good at a time while one takes the other's place.

Source: RFC 6749 §2.3.1 and §10.10; RFC 7591 §3.2.1; SMART 2.2 client-confidential-symmetric.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.db import transaction

from clients.acting import Actor, NotPossible
from clients.lifecycle import note_event
from clients.models import WITH_SECRET, Client, ClientEvent
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret

# An owner's secret ends of itself, so that one that lies about somewhere forgotten is of no use for ever.
OWNERS_LIFETIME = timedelta(days=365)
SHORTEST_LIFETIME = timedelta(days=1)
LONGEST_LIFETIME = timedelta(days=3_650)
# How long the one before stays good beside a new one: time enough to bring it to every machine.
LONGEST_OVERLAP = timedelta(days=30)


@dataclass(frozen=True, slots=True)
class IssuedSecret:
    """A new secret, known now and never again. `expires_at` and `previous_expires_at`: when the new one and the one
    before stop being good; None stands for never, or for no secret before that is still good."""

    secret: str = field(repr=False)
    expires_at: datetime | None = None
    previous_expires_at: datetime | None = None

    @property
    def client_secret_expires_at(self) -> int:
        """Return when it ends as RFC 7591 §3.2.1 tells it: seconds since 1970, 0 for never."""
        return expiry_on_the_wire(self.expires_at)


def expiry_on_the_wire(expires_at: datetime | None) -> int:
    """Return an expiry as seconds since 1970, 0 for never.  Source: RFC 7591 §3.2.1."""
    return 0 if expires_at is None else int(expires_at.timestamp())


def give_secret(client: Client, *, expires_at: datetime | None) -> str:
    """Give a client its first secret and return it in clear; the caller saves the client."""
    secret = new_secret()
    client.client_secret, client.client_secret_expires_at = digest(secret), expires_at
    return secret


def forget_secrets(client: Client) -> None:
    """Take every secret off a client; the caller saves it."""
    client.client_secret = client.previous_client_secret = ""
    client.client_secret_expires_at = client.previous_client_secret_expires_at = None


def issue_secret(
    client_id: str,
    *,
    by: Actor,
    context: RequestContext,
    now: datetime,
    lifetime: timedelta | None = None,
    overlap: timedelta = LONGEST_OVERLAP,
) -> IssuedSecret:
    """Make a new secret the current one. The one that was stays good for `overlap`, or less where it ends sooner; one
    that was good beside it until now is good no more.

    lifetime: None stands for a year where the owner asks, and for no end where an operator does.
    overlap: nought ends the former at once, as after it got into wrong hands.
    Raises NotPossible for a client without secrets or a retired one, and for a time out of bounds.
    """
    if lifetime is None and by.role == ClientEvent.Actor.OWNER:
        lifetime = OWNERS_LIFETIME
    _require_lifetime(lifetime, by)
    if not timedelta(0) <= overlap <= LONGEST_OVERLAP:
        raise NotPossible(
            "secret.overlap",
            "two secrets are good beside each other for a limited time",
            seen=_in_days(overlap),
            fix=f"Choose from 0 to {LONGEST_OVERLAP.days} days.",
        )
    expires_at = None if lifetime is None else now + lifetime
    with transaction.atomic():
        client = _locked(client_id)
        _require_living(client)
        former, former_ends_at = client.client_secret, _earliest(client.client_secret_expires_at, now + overlap)
        secret = give_secret(client, expires_at=expires_at)
        keeps_former = bool(former) and overlap > timedelta(0)
        client.previous_client_secret = former if keeps_former else ""
        client.previous_client_secret_expires_at = former_ends_at if keeps_former else None
        _save(client)
        note_event(client, "secret_issued", by=by, context=context)
    is_still_good = keeps_former and former_ends_at > now
    return IssuedSecret(secret, expires_at, former_ends_at if is_still_good else None)


def withdraw_previous(client_id: str, *, by: Actor, context: RequestContext) -> None:
    """End the secret before the current one now. Raises NotPossible when there is none."""
    with transaction.atomic():
        client = _locked(client_id)
        if not client.previous_client_secret:
            raise NotPossible(
                "secret.no_previous", "there is no secret before the current one", fix="Load the page again."
            )
        client.previous_client_secret, client.previous_client_secret_expires_at = "", None
        _save(client)
        note_event(client, "secret_withdrawn", by=by, context=context)


def _locked(client_id: str) -> Client:
    return Client.objects.select_for_update().get(client_id=client_id)


def _save(client: Client) -> None:
    client.save(
        update_fields=[
            *("client_secret", "client_secret_expires_at", "updated"),
            *("previous_client_secret", "previous_client_secret_expires_at"),
        ]
    )


def _require_living(client: Client) -> None:
    if client.status == Client.Status.RETIRED:
        raise NotPossible("secret.retired", "the client is retired", fix="Register another client.")
    if client.token_endpoint_auth_method not in WITH_SECRET:
        raise NotPossible(
            "secret.method",
            "the client does not authenticate with a secret",
            seen=client.token_endpoint_auth_method,
            fix="Nothing is missing. Change how it authenticates first if it shall have a secret.",
        )


def _require_lifetime(lifetime: timedelta | None, by: Actor) -> None:
    longest = OWNERS_LIFETIME if by.role == ClientEvent.Actor.OWNER else LONGEST_LIFETIME
    if lifetime is not None and not SHORTEST_LIFETIME <= lifetime <= longest:
        raise NotPossible(
            "secret.lifetime",
            "a secret cannot be good for so long or so short a time",
            seen=_in_days(lifetime),
            fix=f"Choose from {SHORTEST_LIFETIME.days} to {longest.days} days.",
        )


def _in_days(time: timedelta) -> str:
    return f"{time / timedelta(days=1):g} days"


def _earliest(first: datetime | None, second: datetime) -> datetime:
    return second if first is None else min(first, second)
