"""Issuing what a completed consent entitles to: an access token and, where it was granted, the next refresh token."""

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
from django.db import connection

from clients.models import AuthMethod
from clients.registered import RegisteredClient
from smartauth import endpoints
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret
from smartauth.policy import granting
from smartauth.policy.fhir_context import told
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.tenant_style import with_present_style
from smartauth.tokens.consents import Consent
from smartauth.tokens.issuing import Issued, confirmation, sign, token_type

# The old refresh token must be gone before the new one comes: one live token per Authorization is a constraint, and the
# insertion reads from the update so that it follows it.
ISSUE = """
    WITH ended AS (
        UPDATE smartauth_refreshtoken
           SET rotated_at = CASE WHEN id = %(rotate)s THEN %(now)s ELSE rotated_at END,
               revoked = CASE WHEN id = %(supersede)s THEN %(now)s ELSE revoked END
         WHERE id IN (%(rotate)s, %(supersede)s)
        RETURNING id
    ), refresh AS (
        INSERT INTO smartauth_refreshtoken
               (token_checksum, user_id, application_id, authorization_id, scope, expires, predecessor_id, dpop_jkt,
                created)
        SELECT %(refresh_digest)s, %(user)s, %(client)s, %(authorization)s, %(granted)s, %(refresh_expires)s,
               %(predecessor)s, %(refresh_jkt)s, %(now)s
          FROM (SELECT count(*) FROM ended) AS first
         WHERE %(refresh_digest)s::text IS NOT NULL
    ), token AS (
        INSERT INTO smartauth_accesstoken
               (token_checksum, user_id, application_id, authorization_id, expires, scope, claims, created)
        VALUES (%(digest)s, %(user)s, %(client)s, %(authorization)s, %(expires)s, %(scope)s, %(claims)s, %(now)s)
    ), extended AS (
        UPDATE smartauth_authorization SET expires_at = %(authorization_expires)s WHERE id = %(authorization)s
    )
    INSERT INTO audit_auditrecord
           (at, trace_id, action, rule, client_id, tenant, user_id, patient, "authorization", resource_type,
            resource_id, query, details, remote_address)
    VALUES (%(now)s, %(trace_id)s, 'token', %(rule)s, %(client_id)s, %(tenant)s, %(user)s, %(patient)s,
            %(authorization)s, '', '', '', %(details)s, %(remote_address)s)
"""


@dataclass(frozen=True, slots=True)
class Rotation:
    """Which refresh tokens end with this issue, by primary key: the one that was shown, or its unused successor."""

    shown: int | None = None
    rotate: int | None = None
    supersede: int | None = None


FIRST = Rotation()


def issue_user_tokens(
    consent: Consent,
    client: RegisteredClient,
    *,
    granted: tuple[Scope, ...],
    scopes: tuple[Scope, ...],
    rotation: Rotation,
    rule: str,
    context: RequestContext,
    now: datetime,
    key: str | None = None,
) -> Issued:
    """Issue an access token for `scopes` and a refresh token for all of `granted`, if that holds one of the two scopes
    that bring one.

    key: the thumbprint of the key they are bound to, None for bearer tokens. A refresh token is bound only where
    nothing else proves who shows it (RFC 9449 §5).
    One statement, inside the transaction that holds the lock of the consent.
    Source: RFC 6749 §5.1; SMART 2.2 app-launch, "Obtain access token" and "Refresh access token"; RFC 9068 §2.2.
    """
    settings = config()
    is_public = client.token_endpoint_auth_method == AuthMethod.NONE
    for_everybody = settings.public_token_lifetime if is_public else settings.access_token_lifetime
    expires = now + (client.lifetimes.access_token or for_everybody)
    refresh_expires = _refresh_expiry(consent, client, granted, now)
    if consent.session_ends_at is not None:
        expires = min(expires, consent.session_ends_at)
    if consent.ends_by is not None:
        expires = min(expires, consent.ends_by)
    refresh_token = new_secret() if refresh_expires else ""
    # What may no longer be seen at all need not be known by name either.
    launch: dict[str, Any] = {}
    if granting.tells_context(granted):
        launch = told(with_present_style(consent.context, consent.tenant), client.smart_version)
    claims = _claims(consent, client, scopes, expires, now) | launch | confirmation(key)
    token = sign(claims, now)
    details = {"scope": claims["scope"]} | ({"dpop_jkt": key} if key else {})
    with connection.cursor() as cursor:
        cursor.execute(
            ISSUE,
            {
                "rotate": rotation.rotate,
                "supersede": rotation.supersede,
                "predecessor": rotation.shown,
                "refresh_digest": digest(refresh_token) if refresh_token else None,
                "refresh_expires": refresh_expires,
                "refresh_jkt": key if key and is_public else "",
                "granted": _text(granted),
                "user": consent.user,
                "client": client.pk,
                "client_id": client.client_id,
                "authorization": consent.authorization,
                "authorization_expires": refresh_expires or expires,
                "digest": digest(token),
                "expires": expires,
                "scope": claims["scope"],
                "claims": msgspec.json.encode(claims).decode(),
                "tenant": consent.tenant,
                "patient": launch.get("patient", ""),
                "details": msgspec.json.encode(details).decode(),
                "rule": rule,
                "trace_id": context.trace_id,
                "remote_address": context.remote_address,
                "now": now,
            },
        )
    expires_in = int((expires - now) / timedelta(seconds=1))
    return Issued(
        token,
        expires_in,
        claims["scope"],
        token_type=token_type(key),
        refresh_token=refresh_token,
        context=launch,
    )


def fhir_user_url(consent: Consent, scopes: tuple[Scope, ...]) -> str | None:
    """Return the URL of the FHIR resource the user is, for scopes that let the app know it, else None.

    Source: SMART 2.2 scopes-and-launch-context, "Scopes for requesting identity data".
    """
    names = {scope.name for scope in scopes if isinstance(scope, NamedScope)}
    if consent.fhir_user is None or "openid" not in names or not names & {"fhirUser", "profile"}:
        return None
    return f"{endpoints.fhir_base(consent.tenant)}/{consent.fhir_user}"


def _claims(
    consent: Consent, client: RegisteredClient, scopes: tuple[Scope, ...], expires: datetime, now: datetime
) -> dict[str, Any]:
    claims: dict[str, Any] = {
        "iss": endpoints.issuer(),
        "sub": str(consent.subject),
        "aud": endpoints.fhir_base(consent.tenant),
        "client_id": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int(expires.timestamp()),
        "auth_time": int(consent.auth_time.timestamp()),
        "jti": secrets.token_urlsafe(16),
        "scope": _text(scopes),
    }
    fhir_user = fhir_user_url(consent, scopes)
    return claims | ({"fhirUser": fhir_user} if fhir_user else {})


def _refresh_expiry(
    consent: Consent, client: RegisteredClient, granted: tuple[Scope, ...], now: datetime
) -> datetime | None:
    names = {scope.name for scope in granted if isinstance(scope, NamedScope)}
    if "offline_access" in names:
        until: datetime | None = now + (client.lifetimes.refresh_token or config().refresh_token_lifetime)
    else:
        until = consent.session_ends_at if "online_access" in names else None
    return min(until, consent.ends_by) if until and consent.ends_by else until


def _text(scopes: tuple[Scope, ...]) -> str:
    return " ".join(str(scope) for scope in scopes)
