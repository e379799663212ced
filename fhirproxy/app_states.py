"""The only reader and writer of the state of apps. A change counts when its version is the last one, or not at all."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from django.db import connection, transaction

from clients.origins import verified_origins_of
from fhirproxy.models import AppState, AppStateTrust
from fhirproxy.policy.app_state import StateBody, StateKey
from fhirproxy.policy.bodies import Resource, parse_json, write_json
from fhirproxy.policy.state_trust import Trust, default_trust
from smartauth.sealing import decrypt, encrypt

PURPOSE = "app state"
MOST = 100  # items of one client about one subject
MOST_FOUND = 1_000  # in one answer, of whichever clients
DELETED_FOR = timedelta(days=7)  # a row without content stays, for whoever asks when it was deleted
BATCH = 1_000  # rows of one deletion, which must not lock the table for long


class TooMany(Exception):
    """The client keeps as much about the subject as it may."""


@dataclass(frozen=True, slots=True)
class Item:
    """State as it is stored. client_id: who keeps it."""

    id: str
    client_id: str
    key: StateKey
    version: int
    updated_at: datetime
    members: Resource

    def as_resource(self) -> Resource:
        """Return the resource an app gets."""
        members = dict(self.members)
        profiles = members.pop("profile", None)
        meta: Resource = {"versionId": str(self.version), "lastUpdated": self.updated_at.isoformat("T", "milliseconds")}
        if profiles:
            meta["profile"] = profiles
        return {"resourceType": "Basic", "id": self.id, "meta": meta, **members}


def trusts_of(tenant_pk: int, client_id: str) -> tuple[Trust, ...]:
    """Return what a client is trusted with at a tenant: by its verified origins, and what an operator said besides."""
    rows = AppStateTrust.objects.filter(tenant_id=tenant_pk, client_id=client_id)
    said = [Trust(one.system, one.code, frozenset(one.queries), frozenset(one.modifies), True) for one in rows]
    return (*default_trust(verified_origins_of(client_id)), *said)


def find_items(tenant_pk: int, client_id: str | None, key: StateKey) -> list[Item]:
    """Return what is kept under a key, the eldest first; client_id None: by whichever client."""
    rows = AppState.objects.filter(
        tenant_id=tenant_pk, subject=key.subject, system=key.system, code=key.code, deleted_at__isnull=True
    )
    if client_id is not None:
        rows = rows.filter(client_id=client_id)
    return [_item(row) for row in rows.order_by("created_at", "id")[:MOST_FOUND]]


def add(tenant_pk: int, client_id: str, body: StateBody, now: datetime) -> Item:
    """Keep something new. Raises TooMany. Called within a transaction."""
    key = body.key
    with connection.cursor() as cursor:
        # Counting and adding must not interleave with another create about the same subject.
        name = f"app state {tenant_pk} {client_id} {key.subject}"
        cursor.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [name])
    kept = AppState.objects.filter(
        tenant_id=tenant_pk, client_id=client_id, subject=key.subject, deleted_at__isnull=True
    )
    if kept.count() >= MOST:
        raise TooMany
    row = AppState.objects.create(
        tenant_id=tenant_pk,
        client_id=client_id,
        subject=key.subject,
        system=key.system,
        code=key.code,
        sealed_members=_sealed(body.members),
        created_at=now,
        updated_at=now,
    )
    return _item(row)


def take(tenant_pk: int, resource_id: str) -> Item | None:
    """Return what is kept under an id and hold it until the transaction ends; None for what is not there or no more."""
    try:
        name = UUID(resource_id)
    except ValueError:
        return None
    if str(name) != resource_id:
        return None  # An id has one spelling.
    found = AppState.objects.select_for_update().filter(tenant_id=tenant_pk, pk=name, deleted_at__isnull=True).first()
    return _item(found) if found else None


def replace(item: Item, body: StateBody, now: datetime) -> Item:
    """Write the next version of what was taken."""
    version = item.version + 1
    AppState.objects.filter(pk=item.id).update(sealed_members=_sealed(body.members), version=version, updated_at=now)
    return Item(item.id, item.client_id, item.key, version, now, body.members)


def remove(item: Item, now: datetime) -> None:
    """Let go of what was taken: its content is gone at once, its row a while later."""
    AppState.objects.filter(pk=item.id).update(sealed_members="", updated_at=now, deleted_at=now)


def purge(now: datetime) -> int:
    """Delete what was let go of a while ago and return how many rows went.

    Ids are random and are never given again: what is asked of one is refused as before.
    """
    gone = AppState.objects.filter(deleted_at__lt=now - DELETED_FOR).order_by("deleted_at")
    deleted = 0
    while batch := list(gone.values_list("pk", flat=True)[:BATCH]):
        deleted += AppState.objects.filter(pk__in=batch).delete()[0]
    return deleted


def in_one() -> transaction.Atomic:
    """Return the transaction in which something is taken and changed."""
    return transaction.atomic()


def _sealed(members: Resource) -> str:
    return encrypt(write_json(members), purpose=PURPOSE)


def _item(row: AppState) -> Item:
    members = parse_json(decrypt(row.sealed_members, purpose=PURPOSE))
    if not isinstance(members, dict):
        raise AssertionError(row.pk)
    key = StateKey(row.subject, row.system, row.code)
    return Item(str(row.pk), row.client_id, key, row.version, row.updated_at, members)
