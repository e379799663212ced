"""Issuing access tokens: the signed value goes out, its digest and claims stay."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

import msgspec
from django.db import connection

from smartauth import endpoints, keys
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret

ACCESS_TOKEN_TYPE = "at+jwt"  # RFC 9068 §2.1
# A token travels in a header with every request; what would make it larger stays behind and readers introspect.
LARGEST_JWT = 3_072  # characters
# What is in every token: the rest has no bound, since apps choose scopes and EHRs what they tell of a launch.
ALWAYS_INSIDE = frozenset(
    {"iss", "sub", "aud", "client_id", "iat", "exp", "jti", "auth_time", "cnf", "fhirUser"},
)

# The standing Authorization of the service, the token and the audit record, in one statement. Such a token lives five
# minutes, so a crash of the database may lose it: the client asks again. Waiting for the disk would cost every request.
ISSUE = """
    WITH relaxed AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
    standing AS (
        SELECT a.id FROM relaxed, smartauth_authorization a
         WHERE a.client_id = %(client)s AND a.tenant_id = %(tenant)s AND a.kind = 'service' AND a.revoked_at IS NULL
    ), made AS (
        INSERT INTO smartauth_authorization
               (id, kind, client_id, tenant_id, scope, context, created_at, revoked_by)
        SELECT %(new_authorization)s, 'service', %(client)s, %(tenant)s, '', '{}', %(now)s, ''
         WHERE NOT EXISTS (SELECT FROM standing)
        ON CONFLICT (client_id, tenant_id) WHERE kind = 'service' AND revoked_at IS NULL DO NOTHING
        RETURNING id
    ), chosen AS (SELECT id FROM standing UNION ALL SELECT id FROM made),
    token AS (
        INSERT INTO smartauth_accesstoken
               (token_checksum, application_id, authorization_id, expires, scope, claims, created)
        SELECT %(digest)s, %(client)s, id, %(expires)s, %(scope)s, %(claims)s, %(now)s FROM chosen
        RETURNING authorization_id
    ), audited AS (
        INSERT INTO audit_auditrecord
               (at, trace_id, action, rule, client_id, tenant, patient, "authorization", resource_type, resource_id,
                query, details, remote_address)
        SELECT %(now)s, %(trace_id)s, 'token', 'token.client_credentials', %(client_id)s, %(slug)s, '',
               authorization_id, '', '', '', %(details)s, %(remote_address)s FROM token
    )
    SELECT authorization_id FROM token
"""


@dataclass(frozen=True, slots=True)
class Issued:
    """A new access token as the client is told of it, with what came along. `expires_in` is whole seconds.

    `context` is the launch context: patient, need_patient_banner, …; "" where no refresh or ID token was issued.
    """

    access_token: str
    expires_in: int
    scope: str
    token_type: str = "Bearer"
    refresh_token: str = ""
    id_token: str = ""
    context: Mapping[str, Any] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the members of RFC 6749 §5.1 and OIDC Core §3.1.3.3, then the launch context (SMART 2.2)."""
        members = {
            "access_token": self.access_token,
            "token_type": self.token_type,
            "expires_in": self.expires_in,
            "scope": self.scope,
            "refresh_token": self.refresh_token,
            "id_token": self.id_token,
        }
        return {**{name: value for name, value in members.items() if value != ""}, **self.context}


def issue_service_token(
    *,
    client_pk: int,
    client_id: str,
    tenant_pk: int,
    tenant: str,
    scope: str,
    dropped: tuple[str, ...],
    context: RequestContext,
    now: datetime,
    key: str | None = None,
    lifetime: timedelta | None = None,
) -> Issued:
    """Issue an access token for a backend service at one tenant, under its standing Authorization.

    scope: the granted scopes. dropped: requested scopes that were not granted, for the audit record.
    key: the thumbprint of the key it is bound to, None for a bearer token.    lifetime: None for that of all services.
    One statement. Source: SMART 2.2 backend-services, "Issue access token"; RFC 9068 §2.2.
    """
    lifetime = lifetime or config().service_token_lifetime
    claims: dict[str, Any] = {
        "iss": endpoints.issuer(),
        "sub": client_id,
        "aud": endpoints.fhir_base(tenant),
        "client_id": client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + lifetime).timestamp()),
        "jti": secrets.token_urlsafe(16),
        "scope": scope,
    } | confirmation(key)
    token = sign(claims, now)
    details = {"scope": scope, "dropped": " ".join(dropped)[:2000], "dpop_jkt": key}
    _execute(
        {
            "client": client_pk,
            "client_id": client_id,
            "tenant": tenant_pk,
            "slug": tenant,
            "digest": digest(token),
            "expires": datetime.fromtimestamp(claims["exp"], tz=now.tzinfo),
            "scope": scope,
            "claims": msgspec.json.encode(claims).decode(),
            "now": now,
            "trace_id": context.trace_id,
            "details": msgspec.json.encode({name: value for name, value in details.items() if value}).decode(),
            "remote_address": context.remote_address,
        }
    )
    return Issued(token, int(lifetime / timedelta(seconds=1)), scope, token_type=token_type(key))


def confirmation(key: str | None) -> dict[str, Any]:
    """Return the claim that binds a token to the key with this thumbprint, none for None (RFC 9449 §6.1)."""
    return {"cnf": {"jkt": key}} if key else {}


def token_type(key: str | None) -> str:
    """Return the type of a token that is bound to this key, or to none (RFC 9449 §5)."""
    return "DPoP" if key else "Bearer"


def sign(claims: dict[str, Any], now: datetime) -> str:
    """Return the token that carries `claims`, in the configured format.

    Where they are too large for it, scopes are left out, and if that is not enough the launch context, too.
    """
    if config().access_token_format == "opaque":
        return new_secret()
    signer = keys.access_token_signer(now)
    token = ""
    for inside in (claims.keys(), claims.keys() - {"scope"}, ALWAYS_INSIDE):
        token = signer.sign({name: value for name, value in claims.items() if name in inside}, typ=ACCESS_TOKEN_TYPE)
        if len(token) <= LARGEST_JWT:
            break
    return token


def _execute(parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        # Two first requests of a new service may both find no standing Authorization; a second look finds the winner's.
        for _ in range(2):
            cursor.execute(ISSUE, {**parameters, "new_authorization": uuid4()})
            if cursor.fetchone() is not None:
                return
    raise RuntimeError("the standing authorization was made and revoked while a token was issued")
