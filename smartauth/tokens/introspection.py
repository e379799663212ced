"""What a resource server is told about a token (RFC 7662 §2.2; SMART 2.2 token-introspection)."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime
from typing import Any

from smartauth import endpoints
from smartauth.conf import config
from smartauth.errors import InvalidToken
from smartauth.tokens import finding, issuing, rows

# Members that are ours to compute; whatever else the token's claims hold is launch context and told as issued.
COMPUTED = frozenset({"scope", "exp", "iat", "nbf", "active", "token_type", "iss", "max_cache_age"})
# A caller that remembers what we say believes a revoked token for as long (RFC 7662 §4).
LONGEST_REMEMBERED = 60  # seconds


def introspect(token: str, *, tenants: Collection[str], now: datetime) -> dict[str, Any]:
    """Return the members that describe a live access token of one of `tenants` (slugs).

    `scope` is what was granted, less what the registration no longer allows. `max_cache_age` is a member of our own:
    for how many seconds a caller may remember the answer at most. Raises InvalidToken for everything that is not a live
    access token there: refresh tokens, ID tokens and codes are none.
    """
    # Asked of the database each time: revocation is exact here, because callers remember what we say.
    found = rows.load(finding.digest_of(token))
    if found is not None and found.tenant not in tenants:
        # To the caller this is a token nobody issued: whether another tenant has it is that tenant's business.
        raise InvalidToken(replace(rows.UNKNOWN, officer=f"it is a token of tenant {found.tenant}"))
    row = rows.require_live(found, now=now, sandbox=config().is_sandbox)
    rows.require_audience(row, None)
    issued_at = row.claims.get("iat", int(row.expires.timestamp()))
    context = {name: value for name, value in row.claims.items() if name not in COMPUTED}
    return {
        "active": True,
        "scope": " ".join(str(scope) for scope in rows.scopes_of(row)),
        "exp": int(row.expires.timestamp()),
        "iat": issued_at,
        "nbf": issued_at,
        "token_type": issuing.token_type(rows.key_binding(row)),
        "iss": endpoints.issuer(),
        "max_cache_age": max(0, min(LONGEST_REMEMBERED, int((row.expires - now).total_seconds()))),
        **context,
        "client_id": row.client_id,
    }
