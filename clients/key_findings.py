"""Findings about key sets as rows: opened once, told once, and resolved when they are seen to be mended.

The database holds one open finding for each client and kind, so it does not matter which process sees a fault first: a
worker that fetches for an assertion, or one of several watches.
"""

import json
from collections.abc import Iterable
from datetime import datetime

from django.db import connection
from django.db.models import Q

from clients.jwks_rules import UnusableJwks, shown
from clients.key_watch import Details, Kind, Verdict
from clients.models import AuthMethod, Client, KeyFinding
from smartauth.alarms import raise_alarm

# Whose key sets are watched.
WATCHED = ~Q(client_jwks_uri="") & Q(
    status=Client.Status.APPROVED, token_endpoint_auth_method=AuthMethod.PRIVATE_KEY_JWT
)
OPEN = """
    INSERT INTO clients_keyfinding (client_id, kind, first_seen_at, last_seen_at, details)
    SELECT pk, %(kind)s, %(at)s, %(at)s, %(details)s::jsonb FROM unnest(%(clients)s) AS pk
    ON CONFLICT (client_id, kind) WHERE resolved_at IS NULL DO NOTHING
    RETURNING client_id
"""


def open_private_key(jwks_uri: str, problem: UnusableJwks, *, now: datetime) -> None:
    """Open a finding for every client with this URL, as a fetch has just seen a private key there; raise one alarm."""
    clients = Client.objects.filter(WATCHED, client_jwks_uri=jwks_uri).order_by("pk")
    details: Details = {"rule": problem.rule, "reason": problem.reason}
    if _open(list(clients.values_list("pk", flat=True)), Kind.PRIVATE_KEY, details, now):
        _tell_private_key(jwks_uri)


def open_details(client: Client, kind: Kind) -> Details | None:
    """Return the details of an open finding, None where there is none."""
    return (
        KeyFinding.objects.filter(client=client, kind=kind, resolved_at=None).values_list("details", flat=True).first()
    )


def keep(client: Client, verdict: Verdict, *, now: datetime) -> list[Kind]:
    """Store what is found, resolve what is mended, and return the kinds that were not open before."""
    still_open = {row.kind: row for row in KeyFinding.objects.filter(client=client, resolved_at=None)}
    for row in still_open.values():
        # A clock that went back must not put an end before a beginning.
        at = max(now, row.last_seen_at)
        if row.kind in verdict.findings:
            row.last_seen_at, row.details = at, verdict.findings[Kind(row.kind)]
        elif row.kind in verdict.judged:
            row.resolved_at = at
        row.save(update_fields=["last_seen_at", "details", "resolved_at"])
    missing = [kind for kind in verdict.findings if kind not in still_open]
    return [kind for kind in missing if _open([client.pk], kind, verdict.findings[kind], now)]


def tell(jwks_uri: str, new: Iterable[tuple[str, Kind]]) -> None:
    """Raise an alarm for each new finding, given as `client_id` and kind. Call it once they are committed."""
    for client_id, kind in new:
        if kind == Kind.PRIVATE_KEY:
            _tell_private_key(jwks_uri)
        else:
            raise_alarm("key-set", client=client_id, finding=str(kind))


def resolve_unwatched(now: datetime) -> None:
    """Resolve what was found about clients that are no longer active, or no longer have keys by URL."""
    # Asked at the end and not from a list made before: another watch may have found something about a new client since.
    for row in KeyFinding.objects.filter(resolved_at=None).exclude(client__in=Client.objects.filter(WATCHED)):
        row.resolved_at = max(now, row.last_seen_at)
        row.save(update_fields=["resolved_at"])


def _open(clients: list[int], kind: Kind, details: Details, now: datetime) -> bool:
    """Open a finding for each client that has none of this kind; True when there is a new one."""
    with connection.cursor() as cursor:
        values = {"kind": str(kind), "at": now, "details": json.dumps(details), "clients": clients}
        cursor.execute(OPEN, values)
        return cursor.rowcount > 0


def _tell_private_key(jwks_uri: str) -> None:
    # One for the URL: whoever shares it shares the leak.
    raise_alarm("private-key-published", jwks_uri=shown(jwks_uri))
