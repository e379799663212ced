"""The apps a person has connected: which, at which hospital, to whose record, for what, since when, until when.

One entry per app and tenant, because that is what the person can stop; within it one per record.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Literal

from django.db.models import Max, Q

from clients.registered import RegisteredClient, find_client
from clients.tenants import TenantInfo, find_tenant
from smartauth.models import Authorization
from smartauth.policy import granting
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope
from smartauth.policy.unasked import stands_until
from smartauth.policy.wording import Words, words_for

Stay = Literal["offline", "online", "brief"]


@dataclass(frozen=True, slots=True)
class Allowed:
    """What an app may do with one kind of record, in words. `level`: "user" is every record the person may see."""

    level: str
    verbs: str
    words: tuple[Words, ...]


@dataclass(frozen=True, slots=True)
class Connection:
    """What an app has at one record. `patient`: logical id, "" where no record was chosen. `used_at`: its last token.

    `ends_at`: when it is over however often the app is used, None where nobody said that it ends.
    `stays`: offline (also without the person), online (until they sign out) or brief (an hour at most).
    `remembered_until`: until when it need not ask again, None where it has to. `is_unasked`: the operator let it in
    without asking. `is_live`: it has access now.
    """

    patient: str
    allowed: tuple[Allowed, ...]
    stays: Stay
    since: datetime
    until: datetime
    ends_at: datetime | None
    used_at: datetime | None
    remembered_until: datetime | None
    is_unasked: bool
    is_live: bool


@dataclass(frozen=True, slots=True)
class ConnectedApp:
    """One app at one tenant. `is_paused`: the operator does not let it work at the moment."""

    client: RegisteredClient
    tenant: TenantInfo
    connections: tuple[Connection, ...]
    tells_identity: bool
    is_paused: bool


def connected_apps(user: int, *, now: datetime) -> tuple[ConnectedApp, ...]:
    """Return the apps that could still act for a user, by name. Two statements, and one for each app not remembered."""
    live = Authorization.objects.filter(
        Q(expires_at__isnull=True) | Q(expires_at__gt=now) | Q(remembered_until__gt=now),
        kind=Authorization.Kind.USER,
        user=user,
        revoked_at__isnull=True,
    )
    rows = (
        live.select_related("client", "tenant")
        .annotate(used_at=Max("access_tokens__created"))
        .order_by("client__client_id", "tenant__slug", "created_at")
    )
    apps = [
        app
        for (client_id, slug), granted in groupby(rows, key=lambda row: (row.client.client_id, row.tenant.slug))
        if (app := _app(client_id, slug, tuple(granted), now))
    ]
    return tuple(sorted(apps, key=lambda app: (app.client.name.casefold(), app.tenant.name.casefold())))


def was_connected(user: int, client: RegisteredClient, slug: str) -> bool:
    """Return whether a user ever let an app in at a tenant, whatever became of it. One statement."""
    ever = Authorization.objects.filter(kind=Authorization.Kind.USER, user=user, client=client.pk, tenant__slug=slug)
    return ever.exists()


def _app(client_id: str, slug: str, granted: tuple[Authorization, ...], now: datetime) -> ConnectedApp | None:
    client, tenant = find_client(client_id), find_tenant(slug)
    if client is None or tenant is None:
        return None  # A closed tenant lets nobody in, and there is no name of it to show.
    activated = client.activations.get(slug)
    limit = granting.allowed(client.scope, activated or "")
    scopes = {row.pk: granting.within(granting.parse_registered(row.scope), limit) for row in granted}
    by_patient: dict[str, list[Authorization]] = {}
    for row in granted:
        by_patient.setdefault(str(row.context.get("patient", "")), []).append(row)
    return ConnectedApp(
        client=client,
        tenant=tenant,
        connections=tuple(
            _connection(patient, rows, [scope for row in rows for scope in scopes[row.pk]], tenant, now)
            for patient, rows in by_patient.items()
        ),
        tells_identity=any("openid" in _names(found) for found in scopes.values()),
        is_paused=not client.is_approved or activated is None,
    )


def _connection(
    patient: str, rows: list[Authorization], scopes: list[Scope], tenant: TenantInfo, now: datetime
) -> Connection:
    remembered = (
        stands_until(row.remembered_until, row.created_at, tenant.policy.remember_days)
        for row in rows
        if row.remembered_until
    )
    names, ends = _names(scopes), [row.ends_at for row in rows if row.ends_at]
    return Connection(
        patient=patient,
        allowed=tuple(_allowed(scope for scope in scopes if isinstance(scope, ResourceScope))),
        stays="offline" if "offline_access" in names else "online" if "online_access" in names else "brief",
        since=min(row.created_at for row in rows),
        until=max(row.expires_at for row in rows if row.expires_at),
        ends_at=max(ends) if len(ends) == len(rows) else None,
        used_at=max((row.used_at for row in rows if row.used_at), default=None),  # type: ignore[attr-defined]
        remembered_until=max((until for until in remembered if until > now), default=None),
        is_unasked=any(row.unasked == Authorization.Unasked.OPERATOR for row in rows),
        is_live=any(row.expires_at is None or row.expires_at > now for row in rows),
    )


def _allowed(scopes: Iterable[ResourceScope]) -> Iterator[Allowed]:
    described = {(scope.level, words_for(scope)): None for scope in scopes}
    ordered = sorted(described, key=lambda one: (one[0], one[1].verbs, one[1].title))
    for (level, verbs), group in groupby(ordered, key=lambda one: (one[0], one[1].verbs)):
        yield Allowed(level, verbs, tuple(words for _, words in group))


def _names(scopes: Iterable[Scope]) -> frozenset[str]:
    return frozenset(scope.name for scope in scopes if isinstance(scope, NamedScope))
