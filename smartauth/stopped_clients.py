"""What becomes of tokens when the registry stops their client: they end with it (RFC 7592 §2.3, RFC 9700 §4.14)."""

from typing import Any

from django.utils import timezone

from clients.lifecycle import client_stopped
from smartauth import tokens
from smartauth.context import RequestContext


def listen() -> None:
    """End what was granted to clients that are stopped from now on. Called once, at start."""
    client_stopped.connect(_end_grants, dispatch_uid="end grants")


def _end_grants(sender: object, *, client_id: str, role: str, context: RequestContext, **kwargs: Any) -> None:
    tokens.revoke_all(client_id=client_id, by=role, now=timezone.now(), context=context)
