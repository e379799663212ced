"""From a bearer token to the authority behind it, remembered until a mark or the clock ends it."""

import re
from datetime import datetime

from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest
from smartauth.errors import InvalidToken, Refusal
from smartauth.marks import (
    MarkedCache,
    authorization_mark,
    client_mark,
    tenant_mark,
    token_mark,
    user_mark,
)
from smartauth.policy.access import Access
from smartauth.tokens import rows
from smartauth.tokens.rows import TokenRow

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1
LONGEST = 8_192  # characters

_live: MarkedCache[str, tuple[TokenRow, Access]] = MarkedCache(max_size=10_000)


def require_access(token: str, *, tenant: str | None, context: RequestContext, now: datetime) -> Access:
    """Return the authority of a bearer token at `tenant`, or at its own tenant for None.

    Writes `context.client_id` as soon as the token is known, so that the receipt of a dead token has an owner.
    One statement when the token is not remembered, none when it is; revocation is seen within a second.
    Raises InvalidToken. Source: RFC 6750 §3.1; SMART 2.2 app-launch, "Access FHIR API".
    """
    row, access = _find_live(token, context=context, now=now)
    rows.require_audience(row, tenant)
    return access


def _find_live(token: str, *, context: RequestContext, now: datetime) -> tuple[TokenRow, Access]:
    """Return a live access token and its authority. Raises InvalidToken."""
    key = digest_of(token)
    row, access = _live.get(
        key, lambda: _load(key, context, now), tags=_tags, expires_at=lambda found: found[0].until()
    )
    context.client_id = access.client_id
    # Between two looks at the marks only the clock moves.
    rows.require_live(row, now=now, sandbox=config().is_sandbox)
    return row, access


def digest_of(token: str) -> str:
    """Return the digest by which a token is known. Raises InvalidToken for what cannot be one (RFC 6750 §2.1)."""
    if len(token) > LONGEST or B64TOKEN.fullmatch(token) is None:
        raise InvalidToken(Refusal("token.syntax", "the bearer token is not a b64token"))
    return digest(token)


def is_live(token_digest: str, *, now: datetime) -> bool:
    """Return True while the access token with this digest counts."""
    try:
        rows.require_live(rows.load(token_digest), now=now, sandbox=config().is_sandbox)
    except InvalidToken:
        return False
    return True


def _load(key: str, context: RequestContext, now: datetime) -> tuple[TokenRow, Access]:
    row = rows.load(key)
    context.client_id = (row.client_id if row else None) or ""
    live = rows.require_live(row, now=now, sandbox=config().is_sandbox)
    return live, rows.access_of(live)


def _tags(found: tuple[TokenRow, Access]) -> tuple[str, ...]:
    row, access = found
    tags = [token_mark(row.digest), authorization_mark(row.authorization), client_mark(access.client_id)]
    tags.append(tenant_mark(access.tenant))
    return tuple(tags if row.user is None else [*tags, user_mark(row.user)])
