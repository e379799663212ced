"""Who does something to a client, and the sentence that refuses what cannot be done now."""

from dataclasses import dataclass

from clients.models import ClientEvent
from smartauth.errors import OAuthError, Refusal


@dataclass(frozen=True, slots=True)
class Actor:
    """Somebody acting on a client. `user` is the primary key of who did it, None when nobody signed in."""

    role: ClientEvent.Actor
    user: int | None = None


def owner(user: int) -> Actor:
    """Return the owner of the client."""
    return Actor(ClientEvent.Actor.OWNER, user)


def operator(user: int | None) -> Actor:
    """Return somebody of the hospital's side; None for a command typed at the server."""
    return Actor(ClientEvent.Actor.OPERATOR, user)


BY_PROTOCOL = Actor(ClientEvent.Actor.CLIENT)
BY_ITSELF = Actor(ClientEvent.Actor.SERVER)


class NotPossible(OAuthError):
    """What somebody wants to do to a client cannot be done now. `refusal.reason` says why, `refusal.fix` what would."""

    code = "not_possible"
    status = 409
    default_description = "This cannot be done as things are now"

    def __init__(self, rule: str, reason: str, *, seen: str = "", fix: str = "") -> None:
        super().__init__(Refusal(rule, reason, seen=seen, fix=fix))
