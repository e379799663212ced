"""Authorization codes: issued with the consent they stand for, taken exactly once.  Source: RFC 6749 §4.1.2, §10.5."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db import connection

from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret
from smartauth.models import Authorization, AuthorizationCode, PendingAuthorization
from smartauth.tokens import consents
from smartauth.tokens.consents import Consent
from smartauth.tokens.revoking import revoke_authorization

READ = f"""
    SELECT code.id, code.expires, code.redirect_uri, code.code_challenge, code.nonce, code.spent_at,
           code.dpop_jkt, {consents.COLUMNS}
      FROM smartauth_authorizationcode code JOIN smartauth_authorization a ON a.id = code.authorization_id
      {consents.JOINS}
     WHERE code.code = %(digest)s
"""  # noqa: S608 - our own words
SPEND = "UPDATE smartauth_authorizationcode SET spent_at = %s WHERE id = %s"


@dataclass(frozen=True, slots=True)
class TakenCode:
    """A code that was presented. `spent_at`: when it had been used before, None for its first and only good use.

    `dpop_jkt`: the thumbprint of the only key that may exchange it, "" for any.
    """

    expires: datetime
    redirect_uri: str
    code_challenge: str
    nonce: str
    spent_at: datetime | None
    dpop_jkt: str
    consent: Consent


@dataclass(frozen=True, slots=True)
class Terms:
    """What was said with a consent besides what it grants.

    `ends_at`: when it is over however often it is used, None for never.    `remembered_scope`, `remembered_until`: what
    may be asked for, and until when, without asking the user.    `unasked`: why nobody was asked, or "".
    """

    ends_at: datetime | None = None
    remembered_scope: str = ""
    remembered_until: datetime | None = None
    unasked: str = ""


def issue_code(
    pending: PendingAuthorization,
    *,
    scope: str,
    context: dict[str, Any],
    auth_time: datetime,
    session_key: str | None,
    now: datetime,
    terms: Terms = Terms(),
) -> tuple[str, UUID]:
    """Write the Authorization for a completed consent and a code for it; return the code and the Authorization's id.

    scope: what was granted.    context: launch context, frozen from here on.    session_key: of the session that
    online_access lives and dies with, else None.    Call it in the transaction that closes the request.
    """
    code, lifetime = new_secret(), config().code_lifetime
    authorization = Authorization.objects.create(
        kind=Authorization.Kind.USER,
        client_id=pending.client_id,
        tenant_id=pending.tenant_id,
        user_id=pending.user_id,
        scope=scope,
        context=context,
        auth_time=auth_time,
        session=digest(session_key) if session_key else "",
        expires_at=now + lifetime,  # Whoever exchanges the code moves it on.
        ends_at=terms.ends_at,
        remembered_scope=terms.remembered_scope,
        remembered_until=terms.remembered_until,
        unasked=terms.unasked,
    )
    AuthorizationCode.objects.create(
        code=digest(code),
        user_id=pending.user_id,
        application_id=pending.client_id,
        authorization=authorization,
        expires=now + lifetime,
        redirect_uri=pending.redirect_uri,
        scope=scope,
        code_challenge=pending.code_challenge,
        code_challenge_method=AuthorizationCode.CODE_CHALLENGE_S256,
        nonce=pending.nonce,
        dpop_jkt=pending.dpop_jkt,
    )
    return code, authorization.pk


def is_unused(code: str) -> bool:
    """Return True for a code that was issued and not presented yet, and for which nothing has been revoked."""
    waiting = AuthorizationCode.objects.filter(spent_at__isnull=True, authorization__revoked_at__isnull=True)
    return waiting.filter(code=digest(code)).exists()


def take_code(code: str, *, context: RequestContext, now: datetime) -> TakenCode:
    """Spend a code, whatever comes of it: the second use of one revokes everything the first one gave.

    Call it inside a transaction, and commit that also when the exchange is refused. Raises InvalidGrant for a code
    nobody issued. Three statements.  Source: RFC 6749 §4.1.2; RFC 9700 §4.5.
    """
    key = digest(code)
    consents.lock("code", key)
    with connection.cursor() as cursor:
        cursor.execute(READ, {"digest": key, "now": now})
        pk, expires, redirect_uri, challenge, nonce, spent_at, dpop_jkt, *columns = cursor.fetchone()
        consent = consents.as_consent(tuple(columns))
        if spent_at is None:
            cursor.execute(SPEND, [now, pk])
        else:
            revoke_authorization(consent.authorization, by="reuse", now=now, context=context)
    return TakenCode(expires, redirect_uri, challenge, nonce, spent_at, dpop_jkt, consent)
