"""Refresh tokens: found under the lock of their Authorization, with what their family looks like now."""

from dataclasses import dataclass
from datetime import datetime

from django.db import connection

from smartauth.digests import digest
from smartauth.policy.rotation import Shown
from smartauth.tokens import consents
from smartauth.tokens.consents import Consent

READ = f"""
    SELECT t.id, t.rotated_at, t.revoked, live.id, live.predecessor_id, t.expires, t.dpop_jkt,
           {consents.COLUMNS}
      FROM smartauth_refreshtoken t JOIN smartauth_authorization a ON a.id = t.authorization_id
      LEFT JOIN smartauth_refreshtoken live
             ON live.authorization_id = a.id AND live.rotated_at IS NULL AND live.revoked IS NULL
      {consents.JOINS}
     WHERE t.token_checksum = %(digest)s
"""  # noqa: S608 - our own words
OWNER = """
    SELECT c.client_id FROM smartauth_refreshtoken t JOIN clients_client c ON c.id = t.application_id
     WHERE t.token_checksum = %s
"""


@dataclass(frozen=True, slots=True)
class FoundRefreshToken:
    """A refresh token that was presented, and the consent behind it.

    `dpop_jkt`: the thumbprint of the only key that may use it, "" for any.
    """

    shown: Shown
    expires: datetime | None
    dpop_jkt: str
    consent: Consent


def find_refresh_token(token: str, *, now: datetime) -> FoundRefreshToken:
    """Lock the family of a refresh token and return how it stands. Two statements; call it inside a transaction.

    Raises InvalidGrant for a token nobody issued, without any effect.
    """
    key = digest(token)
    consents.lock("refresh_token", key)
    with connection.cursor() as cursor:
        cursor.execute(READ, {"digest": key, "now": now})
        *shown, expires, dpop_jkt = (row := cursor.fetchone())[:7]
    return FoundRefreshToken(Shown(*shown), expires, dpop_jkt, consents.as_consent(row[7:]))


def find_owner(token: str) -> str | None:
    """Return the client_id of the client a refresh token was issued to, or None. One statement."""
    with connection.cursor() as cursor:
        cursor.execute(OWNER, [digest(token)])
        row = cursor.fetchone()
    return row[0] if row else None
