"""Keys registered by value: nobody learns of new ones by itself, so the owner of the client is reminded to send them.

Source: SMART 2.2 client-confidential-asymmetric, "Registering a client (communicating public keys)".
"""

from collections.abc import Mapping
from typing import Any

from clients.acting import BY_ITSELF
from clients.jwks_rules import shown
from clients.lifecycle import note_event
from clients.models import Client
from smartauth.context import RequestContext

REMINDER = (
    "These keys are registered by value, so nobody here learns of new ones. Register a new key before anything signs "
    "with it, take the old one out when nothing does any more, or publish the keys at a URL."
)


def remind_of_new_keys(client: Client, before: Mapping[str, Any] | None, *, context: RequestContext) -> None:
    """Write which keys a client has by value, and what follows from that, wherever they have changed.

    before: the key set it had by value until now, None for none. Kids only: the keys stand in the registration.
    """
    if client.client_jwks is None or client.client_jwks == before:
        return
    kids = ", ".join(shown(key.get("kid", "")) for key in client.client_jwks["keys"])
    reason = f"Now: {kids}. {REMINDER}"[:2_000]
    note_event(client, "keys_by_value", by=BY_ITSELF, context=context, reason=reason)
