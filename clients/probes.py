"""Does this client work at this tenant now? Answered condition by condition, before anybody launches anything.

It only reads, and fetches nothing: a key set by URL is judged by the copy everybody works with.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from clients.models import Activation, Client, ClientEvent, KeySet, Tenant
from clients.probe_checks import Facts, ProbeCheck, checks_of
from clients.registered import RegisteredClient, find_client, load_client
from clients.tenants import TenantInfo
from smartauth.marks import client_mark, tenant_mark
from smartauth.marks.reading import latest_mark

__all__ = ["Probe", "ProbeCheck", "probe"]


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found, at which moment. The client works there when every check passed."""

    client_id: str
    tenant: str
    at: datetime
    checks: tuple[ProbeCheck, ...]

    @property
    def works(self) -> bool:
        """Return True when nothing stands in the way of a token request that is itself right."""
        return all(one.passed for one in self.checks)

    @property
    def first_problem(self) -> ProbeCheck | None:
        """Return what a request would stumble over first, None when the client works."""
        return next((one for one in self.checks if not one.passed), None)

    def as_json(self) -> dict[str, Any]:
        return {
            "client_id": self.client_id,
            "tenant": self.tenant,
            "at": self.at.isoformat(),
            "works": self.works,
            "checks": [one.as_json() for one in self.checks],
        }


def probe(client_id: str, tenant: TenantInfo, *, now: datetime) -> Probe:
    """Look at everything a token request of the client at the tenant would meet, in the database and in this worker's
    memory.

    At most seven statements, none of them a change. A client nobody knows is a finding, not an error.
    """
    stored = load_client(client_id)
    facts = Facts(
        client_id=client_id,
        tenant=tenant.slug,
        stored=stored,
        believed=find_client(client_id),
        tenant_is_active=Tenant.objects.filter(pk=tenant.pk, is_active=True).exists(),
        now=now,
        activation=_activation(stored, tenant),
        key_set=_key_set(stored),
        reason=_reason(stored),
        changed_at=_changed_at(stored, tenant),
    )
    return Probe(client_id, tenant.slug, now, checks_of(facts))


def _activation(client: RegisteredClient | None, tenant: TenantInfo) -> Activation | None:
    return None if client is None else Activation.objects.filter(client=client.pk, tenant=tenant.pk).first()


def _key_set(client: RegisteredClient | None) -> KeySet | None:
    return KeySet.objects.filter(jwks_uri=client.jwks_uri).first() if client and client.jwks_uri else None


def _reason(client: RegisteredClient | None) -> str:
    """Return what an operator said when the client came into the state it is in, "" where that lets it work."""
    if client is None or client.is_approved:
        return ""
    said = ClientEvent.objects.filter(client=client.pk, tenant="", status=client.status).exclude(reason="")
    return said.values_list("reason", flat=True).first() or ""


def _changed_at(client: RegisteredClient | None, tenant: TenantInfo) -> datetime | None:
    """Return when anything this client's work depends on last changed.

    The marks say it to the moment, while they are kept; after that the row of the client is near enough.
    """
    if client is None:
        return None
    marked = latest_mark(client_mark(client.client_id), tenant_mark(tenant.slug))
    return marked or Client.objects.values_list("updated", flat=True).get(pk=client.pk)
