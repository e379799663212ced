"""One completed consent with everything its tokens depend on, locked and read, for exchanging and refreshing.

All who change the codes and refresh tokens of an Authorization hold the lock on its row first: two requests with the
same code or token happen one after the other, in any process, and never wait for each other in a circle.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import msgspec
from django.db import connection

from smartauth.conf import config
from smartauth.errors import InvalidGrant, Refusal
from smartauth.policy.relations import may_act_for

COLUMNS = """
    a.id, a.scope, a.context, a.auth_time, a.revoked_at, a.revoked_by, a.expires_at, a.created_at, a.ends_at,
    a.unasked, a.session,
    (SELECT s.expire_date FROM django_session s
      WHERE smartauth_session_digest(s.session_key) = a.session AND s.expire_date > %(now)s),
    a.client_id, tenant.id, tenant.slug, tenant.is_active,
    u.id, u.subject, u.is_active, f.reference,
    (SELECT coalesce(json_agg(r.patient), '[]') FROM people_proxyrelation r
      WHERE r.user_id = u.id AND r.tenant_id = tenant.id AND r.starts_at <= %(now)s
        AND coalesce(least(r.ends_at, r.of_age_at) > %(now)s, true))
"""
JOINS = """
    JOIN clients_tenant tenant ON tenant.id = a.tenant_id
    JOIN people_user u ON u.id = a.user_id
    LEFT JOIN people_fhiruser f ON f.user_id = u.id AND f.tenant_id = tenant.id
"""
ASK_THE_USER = "Nothing an app can mend: let the user sign in again, or ask the organisation."
# The table and column by which a code or a token is known.
ARTEFACTS = {
    "code": ("smartauth_authorizationcode", "code"),
    "refresh_token": ("smartauth_refreshtoken", "token_checksum"),
}


@dataclass(frozen=True, slots=True)
class Consent:
    """An Authorization of a user as it stands now, with what has changed around it since."""

    authorization: UUID
    scope: str
    context: dict[str, Any]
    auth_time: datetime
    revoked_at: datetime | None
    revoked_by: str
    expires_at: datetime | None
    created_at: datetime
    ends_at: datetime | None
    unasked: str
    session: str
    session_ends_at: datetime | None
    client_pk: int
    tenant_pk: int
    tenant: str
    tenant_is_active: bool
    user: int
    subject: UUID
    user_is_active: bool
    fhir_user: str | None
    related_patients: list[str]

    @property
    def ends_by(self) -> datetime | None:
        """Return the moment past which it does not last, by word of user, tenant or operator; None for no limit."""
        limit = config().grant_lifetime
        ends = (self.ends_at, self.created_at + limit if limit else None)
        return min((one for one in ends if one is not None), default=None)

    def end(self) -> Refusal | None:
        """Return what has ended this consent apart from the clock of its tokens, or None while it stands."""
        # What ends a consent for good is told before that it has ended.
        if not self.user_is_active:
            return Refusal("grant.user_inactive", "the user may no longer sign in", fix=ASK_THE_USER)
        if not may_act_for(self.context.get("patient"), fhir_user=self.fhir_user, related=self.related_patients):
            reason = "the user may no longer act for the patient of this launch"
            return Refusal("grant.relation_ended", reason, fix=ASK_THE_USER)
        if self.revoked_at is not None:
            seen = f"at {self.revoked_at.isoformat(timespec='seconds')} by {self.revoked_by or 'somebody'}"
            return Refusal("grant.revoked", "what the user had granted was revoked", seen=seen, fix="Launch again.")
        if not self.tenant_is_active:
            fix = "Wait until the operator opens it again; nothing else is needed."
            return Refusal("grant.tenant_inactive", "the tenant is closed", fix=fix)
        if self.session and self.session_ends_at is None:
            reason = "the user's session has ended, and online_access with it"
            return Refusal("grant.session_ended", reason, fix="Launch again, or ask for offline_access.")
        return None


def lock(kind: Literal["code", "refresh_token"], digest: str) -> None:
    """Lock the Authorization behind a code or refresh token until the transaction ends. Raises InvalidGrant.

    One statement. A lock taken together with the reading would show what was there before the wait for it.
    """
    table, column = ARTEFACTS[kind]
    with connection.cursor() as cursor:
        cursor.execute(
            f"SELECT id FROM smartauth_authorization WHERE kind = 'user' AND id ="  # noqa: S608 - our own names
            f" (SELECT authorization_id FROM {table} WHERE {column} = %s) FOR UPDATE",
            [digest],
        )
        if cursor.fetchone() is None:
            word = kind.replace("_", " ")
            fix = "Use the value exactly as it was issued, at the server that issued it."
            raise InvalidGrant(Refusal(f"{kind}.unknown", f"no such {word} was issued here", fix=fix))


def as_consent(columns: tuple[Any, ...]) -> Consent:
    """Return the value for one row of `COLUMNS`."""
    values = list(columns)
    for index in (2, len(values) - 1):  # The driver hands over JSON as text.
        if isinstance(values[index], str):
            values[index] = msgspec.json.decode(values[index])
    return Consent(*values)
