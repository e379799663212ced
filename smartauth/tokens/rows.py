"""An access token with everything it depends on, read in one statement, and whether it counts."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from django.db import connection

from clients.origins import origins_from
from clients.registered import parse_restrictions
from smartauth import endpoints
from smartauth.errors import InvalidToken, Refusal
from smartauth.policy import granting
from smartauth.policy.access import Access
from smartauth.policy.relations import may_act_for
from smartauth.policy.scopes import NamedScope, ResourceScope, Scope

LOAD = """
    SELECT t.expires, t.revoked_at, t.claims, t.scope,
           a.id, a.kind, a.revoked_at, a.expires_at,
           c.client_id, c.status, c.scope, c.grant_types, c.restrictions, c.redirect_uris, c.allowed_origins,
           tenant.slug, tenant.is_active, activation.is_active, activation.allowed_scope,
           u.id, u.is_active, f.reference,
           (SELECT json_agg(json_build_array(r.patient, least(r.ends_at, r.of_age_at)))
              FROM people_proxyrelation r
             WHERE r.user_id = u.id AND r.tenant_id = tenant.id AND r.starts_at <= now()
               AND coalesce(least(r.ends_at, r.of_age_at) > now(), true)),
           c.require_dpop_nonce
      FROM smartauth_accesstoken t
      JOIN smartauth_authorization a ON a.id = t.authorization_id
      LEFT JOIN clients_client c ON c.id = t.application_id
      LEFT JOIN clients_tenant tenant ON tenant.id = a.tenant_id
      LEFT JOIN clients_activation activation ON activation.client_id = c.id AND activation.tenant_id = tenant.id
      LEFT JOIN people_user u ON u.id = a.user_id
      LEFT JOIN people_fhiruser f ON f.user_id = u.id AND f.tenant_id = tenant.id
     WHERE t.token_checksum = %s
"""


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One access token and what it depends on, as read. `None` where the other row does not exist."""

    digest: str
    expires: datetime
    revoked_at: datetime | None
    claims: dict[str, Any]
    scope: str
    authorization: UUID
    kind: str
    authorization_revoked_at: datetime | None
    authorization_expires_at: datetime | None
    client_id: str | None
    client_status: str | None
    registered_scope: str | None
    grant_types: list[str] | None
    restrictions: dict[str, Any] | None
    redirect_uris: str | None
    allowed_origins: str | None
    tenant: str | None
    tenant_is_active: bool | None
    activation_is_active: bool | None
    allowed_scope: str | None
    user: int | None
    user_is_active: bool | None
    fhir_user: str | None
    relations: list[tuple[str, str | None]] | None
    require_dpop_nonce: bool | None = None

    def may_act(self) -> bool:
        """Return False when the user of a consent may no longer act for its patient."""
        related = [patient for patient, _ in self.relations or ()]
        patient = _text(self.claims.get("patient"))
        return self.kind != "user" or may_act_for(patient, fhir_user=self.fhir_user, related=related)

    def until(self) -> datetime:
        """Return the moment up to which this row may be believed if nothing else changes."""
        ends = [datetime.fromisoformat(end) for _, end in self.relations or () if end]
        return min([self.expires, *ends, *filter(None, [self.authorization_expires_at])])


UNKNOWN = Refusal(
    "token.unknown",
    "no such access token was issued here",
    fix="Send the access_token of the latest token response of this server, whole and without quotes.",
)
EXPIRED = "token.expired"
NEW_TOKEN = "Get a new access token; where that is refused too, launch again."
ASK = "Ask the operator: no new token would help."
MEND = {
    "token.client_not_approved": ASK,
    "token.tenant_inactive": ASK,
    "token.not_activated": ASK,
    "token.user_inactive": ASK,
    "token.relation_ended": ASK,
}


def load(digest: str) -> TokenRow | None:
    """Return the access token with this digest, live or not, in one statement."""
    with connection.cursor() as cursor:
        cursor.execute(LOAD, [digest])
        row = cursor.fetchone()
    if row is None:
        return None
    decoded = [
        msgspec.json.decode(value) if isinstance(value, str) and i in _JSON else value for i, value in enumerate(row)
    ]
    return TokenRow(digest, *decoded)


_JSON = frozenset({2, 12, 22})  # columns the driver hands over as JSON text


def require_live(row: TokenRow | None, *, now: datetime, sandbox: bool) -> TokenRow:
    """Return `row` if the token counts at `now`. Raises InvalidToken naming the first thing that ended it.

    sandbox: whether tokens minted by the debugging command count at all.
    Source: RFC 6750 §3.1; RFC 9700 §4.14.
    """
    if row is None:
        raise InvalidToken(UNKNOWN)
    causes = (
        ("token.minted", row.kind == "minted" and not sandbox, "debugging tokens count in the sandbox only"),
        ("token.revoked", row.revoked_at is not None, "the access token was revoked"),
        (EXPIRED, row.expires <= now, "the access token has expired"),
        # What ends an authorization for good is told before that it has ended.
        ("token.user_inactive", row.user is not None and not row.user_is_active, "the user may no longer sign in"),
        ("token.relation_ended", not row.may_act(), "the user may no longer act for the patient of this launch"),
        ("token.authorization_revoked", row.authorization_revoked_at is not None, "the authorization was revoked"),
        (
            "token.authorization_expired",
            row.authorization_expires_at is not None and row.authorization_expires_at <= now,
            "the authorization has ended",
        ),
        ("token.client_unknown", row.client_id is None, "the client of this token does not exist"),
        ("token.client_not_approved", row.client_status != "approved", "the client is not approved, or suspended"),
        ("token.tenant_inactive", not row.tenant_is_active, "the tenant does not exist or is not active"),
        ("token.not_activated", not row.activation_is_active, "the client is not active at this tenant"),
    )
    for rule, holds, reason in causes:
        if holds:
            raise _dead(rule, reason, seen=f"{round((now - row.expires).total_seconds())} s ago" * (rule == EXPIRED))
    return row


def require_audience(row: TokenRow, tenant: str | None) -> None:
    """Raise InvalidToken unless the token is for `tenant`, or for its own tenant where None is asked."""
    expected = endpoints.fhir_base(tenant or row.tenant or "")
    audience = row.claims.get("aud")
    if audience not in (expected, [expected]) or (tenant is not None and tenant != row.tenant):
        raise InvalidToken(
            Refusal(
                "token.audience",
                "the access token is for another FHIR base",
                expected=expected,
                seen=str(audience)[:200],
                fix="Ask for a token with the aud (or resource) of this FHIR base.",
            )
        )


def scopes_of(row: TokenRow) -> tuple[Scope, ...]:
    """Return what the token may do now: granted ∩ registered ∩ activated, in meaning, as it was asked where whole."""
    permitted = granting.allowed(row.registered_scope or "", row.allowed_scope or "")
    return granting.within(granting.parse_registered(row.scope), permitted)


def access_of(row: TokenRow) -> Access:
    """Return the authority behind a live token: granted ∩ registered ∩ activated, in meaning."""
    scopes = scopes_of(row)
    return Access(
        tenant=row.tenant or "",
        client_id=row.client_id or "",
        subject=_text(row.claims.get("sub")) or "",
        scopes=tuple(scope for scope in scopes if isinstance(scope, ResourceScope)),
        named_scopes=frozenset(scope.name for scope in scopes if isinstance(scope, NamedScope)),
        grant_types=frozenset(row.grant_types or ()),
        expires_at=row.expires,
        authorization=row.authorization,
        user=row.user,
        patient=_text(row.claims.get("patient")),
        # What a signed-in user is at this tenant is asked now, not remembered from when the token was issued.
        fhir_user=row.fhir_user if row.kind == "user" else _text(row.claims.get("fhirUser")),
        related_patients=frozenset(patient for patient, _ in row.relations or ()),
        restrictions=parse_restrictions(row.restrictions or {}),
        origins=origins_from((row.redirect_uris or "").split(), (row.allowed_origins or "").split()),
        key_binding=key_binding(row),
        requires_nonce=bool(row.require_dpop_nonce),
        token_digest=row.digest,
    )


def key_binding(row: TokenRow) -> str | None:
    """Return the thumbprint of the key a token is bound to, None for a bearer token.

    A binding we cannot read becomes "", which is the thumbprint of nothing.
    """
    if "cnf" not in row.claims:
        return None
    bound = row.claims["cnf"]
    return (_text(bound.get("jkt")) if isinstance(bound, dict) else None) or ""


def _text(value: object) -> str | None:
    """Return a claim that should be text: anything else present becomes an empty string, which is no id of anything."""
    return value if isinstance(value, str) or value is None else ""


def _dead(rule: str, reason: str, *, seen: str) -> InvalidToken:
    return InvalidToken(Refusal(rule, reason, seen=seen, fix=MEND.get(rule, NEW_TOKEN)))
