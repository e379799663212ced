"""What the rest of the server may know about a registered client, as a frozen value."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType
from typing import Any

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef
from django.db.models.functions import JSONObject

from clients.lifetimes import AS_FOR_EVERYBODY, Lifetimes
from clients.models import Activation, AuthMethod, Client
from smartauth.errors import InvalidClient, Refusal
from smartauth.marks import MarkedCache, client_mark, tenant_mark
from smartauth.policy import redirects
from smartauth.policy.access import UNRESTRICTED, Restrictions
from smartauth.policy.fhir_context import SmartVersion

# The unreserved characters of RFC 3986 §2.3: such an id needs no escaping in Basic credentials, forms or URLs.
CLIENT_ID = re.compile(r"[A-Za-z0-9._~-]{1,255}")


@dataclass(frozen=True, slots=True)
class StoredSecret:
    """A secret of a client by its SHA-256 digest. `name` is "current" or "previous"; without `expires_at` it never
    ends."""

    name: str
    digest: str = field(repr=False)
    expires_at: datetime | None = None

    def ended_at(self, now: datetime) -> datetime | None:
        """Return when it stopped being good, None while it is."""
        return self.expires_at if self.expires_at is not None and self.expires_at <= now else None


@dataclass(frozen=True, slots=True)
class RegisteredClient:
    """One client as registered. Being found does not mean it may do anything: see `status` and `activations`.

    `secrets` are the current one and, while it is kept, the one before. `jwks` is the inline key set as canonical JSON
    text, "" when there is none. `activations` maps the slug of every tenant where the client is active to the most it
    may be granted there, as scope text; "" stands for the whole registration. `skips_consent` has the slugs of those
    where clinicians launched by an EHR are not asked.
    """

    pk: int
    client_id: str
    name: str
    status: str
    is_operator_verified: bool
    token_endpoint_auth_method: str
    token_endpoint_auth_signing_alg: str
    grant_types: frozenset[str]
    scope: str
    secrets: tuple[StoredSecret, ...] = ()
    jwks: str = field(default="", repr=False)
    jwks_uri: str = ""
    application_type: str = "web"
    smart_version: SmartVersion = "2.2"
    redirect_uris: tuple[str, ...] = ()
    post_logout_redirect_uris: tuple[str, ...] = ()
    launch_urls: tuple[str, ...] = ()
    allowed_origins: frozenset[str] = frozenset()
    id_token_signed_response_alg: str = "RS256"
    require_pushed_authorization_requests: bool = False
    dpop_bound_access_tokens: bool = False
    require_dpop_nonce: bool = False
    client_uri: str = ""
    policy_uri: str = ""
    # What its makers say of it, for whoever is asked for consent.
    publisher: str = ""
    purpose: str = ""
    intended_users: str = ""
    funding: str = ""
    data_sharing: str = ""
    data_deletion: str = ""
    restrictions: Restrictions = UNRESTRICTED
    lifetimes: Lifetimes = AS_FOR_EVERYBODY
    activations: Mapping[str, str] = field(default_factory=dict)
    skips_consent: frozenset[str] = frozenset()

    @property
    def is_public(self) -> bool:
        """Return True for a client that has nothing to prove itself with."""
        return self.token_endpoint_auth_method == AuthMethod.NONE

    def is_answered_at(self, redirect_uri: str) -> bool:
        """Return True when the client may be answered at `redirect_uri`."""
        return redirects.is_registered(redirect_uri, self.redirect_uris, native=self.application_type == "native")

    @property
    def is_approved(self) -> bool:
        """Return True while the operator lets this client act at all."""
        return self.status == Client.Status.APPROVED


@dataclass(frozen=True, slots=True)
class _Found:
    client: RegisteredClient | None
    tags: tuple[str, ...] = ()


_clients: MarkedCache[str, _Found] = MarkedCache(max_size=10_000)


def find_client(client_id: str) -> RegisteredClient | None:
    """Return the client registered as `client_id`, whatever its status, or None. One statement, or none when cached.

    That nobody has this `client_id` is not remembered: guesses must not fill the cache, and a new client works at once.
    """
    if CLIENT_ID.fullmatch(client_id) is None:
        return None
    return _clients.get(client_id, lambda: _load(client_id), tags=lambda found: found.tags).client


def load_client(client_id: str) -> RegisteredClient | None:
    """Return what `find_client` does, but as the database has it at this moment, past this worker's memory."""
    return _load(client_id).client if CLIENT_ID.fullmatch(client_id) else None


def require_active_at(client: RegisteredClient, tenant: str, *, basic: bool = False) -> str:
    """Return the scope text `tenant` allows `client`; "" stands for the whole registration.

    Raises InvalidClient when the tenant has not activated the client. `basic`: it authenticated with HTTP Basic.
    """
    allowed = client.activations.get(tenant)
    if allowed is None:
        raise InvalidClient(
            Refusal(
                "client.not_activated",
                "the client is not active at this tenant",
                expected=f"an activation at {tenant or 'a tenant'}",
                seen=", ".join(sorted(client.activations)) or "no activation anywhere",
                fix="Ask the operator of the tenant to activate the client.",
            ),
            basic=basic,
        )
    return allowed


def parse_restrictions(stored: Mapping[str, Any]) -> Restrictions:
    """Turn the stored `restrictions` of a client into a value. An absent member does not restrict; an empty one allows
    nothing."""
    patients, groups = stored.get("patients"), stored.get("groups")
    return Restrictions(
        patients=None if patients is None else frozenset(patients),
        groups=None if groups is None else frozenset(groups),
        operator_types=frozenset(stored.get("operator_types") or ()),
        panel=stored.get("panel") is True,
        proxy_relations=stored.get("proxy_relations") is not False,
    )


def _load(client_id: str) -> _Found:
    activations = Activation.objects.filter(client=OuterRef("pk")).values(
        row=JSONObject(
            tenant="tenant__slug",
            scope="allowed_scope",
            skips_consent="skips_consent",
            active="is_active",
            tenant_active="tenant__is_active",
        )
    )
    row = Client.objects.filter(client_id=client_id).annotate(activation_rows=ArraySubquery(activations)).first()
    if row is None:
        return _Found(None)
    # A tenant that is closed now may open again, so its mark ends this copy too.
    tags = (client_mark(client_id), *(tenant_mark(one["tenant"]) for one in row.activation_rows))
    active = {one["tenant"]: one["scope"] for one in row.activation_rows if one["active"] and one["tenant_active"]}
    skips = frozenset(one["tenant"] for one in row.activation_rows if one["skips_consent"])
    return _Found(_as_value(row, active, skips), tags)


def _secrets(row: Client) -> tuple[StoredSecret, ...]:
    return (
        StoredSecret("current", row.client_secret, row.client_secret_expires_at),
        StoredSecret("previous", row.previous_client_secret, row.previous_client_secret_expires_at),
    )


def _as_value(row: Client, active: dict[str, str], skips: frozenset[str]) -> RegisteredClient:
    return RegisteredClient(
        pk=row.pk,
        client_id=row.client_id,
        name=row.name or row.client_id,
        status=row.status,
        is_operator_verified=row.is_operator_verified,
        token_endpoint_auth_method=row.token_endpoint_auth_method,
        token_endpoint_auth_signing_alg=row.token_endpoint_auth_signing_alg,
        grant_types=frozenset(row.grant_types),
        scope=row.scope,
        secrets=tuple(one for one in _secrets(row) if one.digest),
        jwks="" if row.client_jwks is None else json.dumps(row.client_jwks, sort_keys=True),
        jwks_uri=row.client_jwks_uri,
        application_type=row.application_type,
        smart_version=row.smart_version,
        redirect_uris=tuple(row.redirect_uris.split()),
        post_logout_redirect_uris=tuple(row.post_logout_redirect_uris.split()),
        launch_urls=tuple(row.launch_urls.split()),
        allowed_origins=frozenset(row.allowed_origins.split()),
        id_token_signed_response_alg=row.id_token_signed_response_alg,
        require_pushed_authorization_requests=row.require_pushed_authorization_requests,
        dpop_bound_access_tokens=row.dpop_bound_access_tokens,
        require_dpop_nonce=row.require_dpop_nonce,
        client_uri=row.client_uri,
        policy_uri=row.policy_uri,
        publisher=row.publisher,
        purpose=row.purpose,
        intended_users=row.intended_users,
        funding=row.funding,
        data_sharing=row.data_sharing,
        data_deletion=row.data_deletion,
        restrictions=parse_restrictions(row.restrictions),
        lifetimes=Lifetimes.of(row.access_token_lifetime, row.refresh_token_days),
        activations=MappingProxyType(active),
        skips_consent=skips,
    )
