"""Who does something to a client, and the sentence that refuses what cannot be done now."""

import re
from collections.abc import Collection
from dataclasses import dataclass

from clients.models import ClientEvent
from smartauth.errors import OAuthError, Refusal

LONGEST_REASON = 2_000  # characters
# Control characters but for those of a text in lines, and halves of surrogate pairs.
UNSTORABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


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


def require_role(by: Actor, roles: Collection[ClientEvent.Actor], rule: str, what: str) -> None:
    """Raise NotPossible unless somebody of that role may do it.    what: in words, "approve a client"."""
    if by.role not in roles:
        who = ", ".join(sorted(one.label for one in roles))
        raise NotPossible(rule, f"{by.role.label} cannot {what}", seen=by.role, fix=f"This is for: {who}.")


def read_reason(text: str, rule: str, what: str, *, needed: bool) -> str:
    """Return the words in which somebody explains what they do, for the owner of the client to read.

    Raises NotPossible where they are needed and missing, too long, or cannot be stored.    what: in words.
    """
    reason = text.strip().replace("\r\n", "\n")
    if needed and not reason:
        raise NotPossible(rule, f"it takes a reason to {what}", fix="Say why; the owner of the client reads it.")
    if len(reason) > LONGEST_REASON or UNSTORABLE.search(reason):
        raise NotPossible(
            rule,
            "the reason is too long or has control characters",
            seen=f"{len(reason)} characters",
            fix=f"Say it in at most {LONGEST_REASON} characters of plain text.",
        )
    return reason
