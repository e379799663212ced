"""Registering a client: RFC 7591 metadata becomes a `Client` row, and a row becomes metadata again."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from clients.client_secrets import expiry_on_the_wire, forget_secrets, give_secret
from clients.metadata import OPERATORS_OWN, STATEMENTS, ClientMetadata, InvalidClientMetadata
from clients.models import WITH_SECRET, Activation, AuthMethod, Client, SpentClientId
from clients.tenants import TenantInfo
from smartauth.conf import config

# Stored under the name the metadata has, as it is, as an array, or as URLs separated by blanks.
SAME_NAME = (
    "token_endpoint_auth_method",
    "token_endpoint_auth_signing_alg",
    "id_token_signed_response_alg",
    "application_type",
    "smart_version",
    "scope",
    "client_uri",
    "logo_uri",
    "tos_uri",
    "policy_uri",
    *STATEMENTS,
    "software_id",
    "software_version",
    "require_pushed_authorization_requests",
    "dpop_bound_access_tokens",
    "require_dpop_nonce",
)
ARRAYS = ("grant_types", "response_types", "contacts")
URL_LISTS = ("redirect_uris", "post_logout_redirect_uris", "launch_urls", "allowed_origins")


@dataclass(frozen=True, slots=True)
class Registered:
    """A client just registered. `secret` is known now and never again; None for clients that have none."""

    client: Client
    secret: str | None = field(default=None, repr=False)


def register_client(
    metadata: object,
    *,
    operator: bool,
    approved: bool | None = None,
    activate_at: Iterable[TenantInfo] = (),
    propose_at: Iterable[TenantInfo] = (),
    owner: int | None = None,
    secret_expires_at: datetime | None = None,
) -> Registered:
    """Validate metadata and store the client and its activations in one transaction.

    operator: an operator vouches for the client: its `client_id` and `restrictions` are honoured and it is approved and
    verified.    approved: overrides whether it may act at once.    activate_at: tenants where it is active from now on.
    propose_at: tenants that find it waiting for activation.    owner: primary key of the user it belongs to.
    secret_expires_at: when the secret of a client that has one stops being good; None for never.
    Raises InvalidClientMetadata (InvalidRedirectUri among them).
    Source: RFC 7591 §2 and §3; SMART 2.2 app-launch, "Register App with EHR".
    """
    checked = ClientMetadata.from_json(metadata, operator=operator)
    require_unspent(checked.client_id)
    is_approved = operator if approved is None else approved
    client = Client(
        client_id=checked.client_id or new_client_id(),
        status=Client.Status.APPROVED if is_approved else Client.Status.SUBMITTED,
        is_operator_verified=operator,
        registration_source=Client.RegistrationSource.MANUAL if operator else Client.RegistrationSource.DCR,
        user_id=owner,
    )
    apply_metadata(client, checked)
    has_secret = checked.token_endpoint_auth_method in WITH_SECRET
    secret = give_secret(client, expires_at=secret_expires_at) if has_secret else None
    active = {tenant.pk for tenant in activate_at}
    waiting = {tenant.pk for tenant in propose_at} - active
    try:
        with transaction.atomic():
            client.save(force_insert=True)
            Activation.objects.bulk_create(
                Activation(client=client, tenant_id=pk, is_active=pk in active) for pk in (active | waiting)
            )
    except IntegrityError as error:
        if not Client.objects.filter(client_id=client.client_id).exists():
            raise
        raise InvalidClientMetadata(
            "client_id", "a client with this client_id exists already", seen=client.client_id
        ) from error
    return Registered(client, secret)


def require_unspent(client_id: str) -> None:
    """Raise InvalidClientMetadata for the id of a client that was deleted: somebody may still take one for the other.

    The sandbox brings its own clients back at every start, under the ids they have always had.
    """
    if client_id and not config().is_sandbox and SpentClientId.objects.filter(client_id=client_id).exists():
        raise InvalidClientMetadata(
            "client_id", "a client had this client_id once, and ids are never used again", seen=client_id
        )


def new_client_id() -> str:
    """Return an id nobody chose. Its prefix keeps it apart from every subject of a user (RFC 9068 §5)."""
    return f"c-{secrets.token_urlsafe(16)}"


def apply_metadata(client: Client, metadata: ClientMetadata) -> None:
    """Write validated metadata into the fields of `client`; ids, secrets and status stay as they are."""
    public = metadata.token_endpoint_auth_method == AuthMethod.NONE
    client.client_type = Client.CLIENT_PUBLIC if public else Client.CLIENT_CONFIDENTIAL
    client.name = metadata.client_name
    client.client_jwks = None if metadata.jwks is None else dict(metadata.jwks)
    client.client_jwks_uri = metadata.jwks_uri
    client.restrictions = dict(metadata.restrictions)
    client.access_token_lifetime = metadata.access_token_lifetime
    client.refresh_token_days = metadata.refresh_token_days
    for name in SAME_NAME:
        setattr(client, name, getattr(metadata, name))
    for name in ARRAYS:
        setattr(client, name, list(getattr(metadata, name)))
    for name in URL_LISTS:
        setattr(client, name, " ".join(getattr(metadata, name)))


def rewrite_client(
    client: Client, metadata: ClientMetadata, *, secret_expires_at: datetime | None = None
) -> str | None:
    """Write validated metadata over a locked client and save it; what only operators set stays.

    Return a secret in clear where the client needs one from now on and has none; it is good until `secret_expires_at`.
    One it needs no longer goes.
    """
    kept = {name: getattr(client, name) for name in OPERATORS_OWN}
    apply_metadata(client, metadata)
    for name, value in kept.items():
        setattr(client, name, value)
    secret = None
    if client.token_endpoint_auth_method not in WITH_SECRET:
        forget_secrets(client)
    elif not client.client_secret:
        secret = give_secret(client, expires_at=secret_expires_at)
    client.save()
    return secret


def describe_metadata(client: Client) -> dict[str, Any]:
    """Return what `client` could be registered with again: its metadata without ids, secrets and what operators set."""
    own = {"client_id", "client_id_issued_at", "client_secret", "client_secret_expires_at", *OPERATORS_OWN}
    return {name: value for name, value in describe_client(client).items() if name not in own}


def describe_client(client: Client, secret: str | None = None) -> dict[str, Any]:
    """Return the metadata of `client` as stored, in RFC 7591's names; empty members are left out.

    secret: the client secret in clear, which only registration knows.  Source: RFC 7591 §3.2.1.
    """
    described: dict[str, Any] = {"client_id": client.client_id, "client_name": client.name}
    if client.created is not None:
        described["client_id_issued_at"] = int(client.created.timestamp())
    if secret:
        described["client_secret"] = secret
    if client.client_secret:
        described["client_secret_expires_at"] = expiry_on_the_wire(client.client_secret_expires_at)
    described |= {name: getattr(client, name) for name in SAME_NAME}
    described |= {name: list(getattr(client, name)) for name in ARRAYS}
    described |= {name: getattr(client, name).split() for name in URL_LISTS}
    described |= {"jwks_uri": client.client_jwks_uri, "jwks": client.client_jwks}
    described |= {name: getattr(client, name) for name in OPERATORS_OWN}
    always = {"client_secret_expires_at", "grant_types", "response_types"}
    return {name: value for name, value in described.items() if value or name in always}
