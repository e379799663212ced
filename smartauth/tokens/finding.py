"""From a bearer token to the authority behind it, remembered until a mark or the clock ends it."""

import re
from datetime import datetime

from smartauth import proofs
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.digests import digest
from smartauth.errors import BoundTokenRefused, InvalidDpopProof, InvalidToken, OAuthError, Refusal, UseDpopNonce
from smartauth.marks import (
    MarkedCache,
    authorization_mark,
    client_mark,
    tenant_mark,
    token_mark,
    user_mark,
)
from smartauth.policy.access import Access
from smartauth.policy.showing import AS_BEARER, Shown
from smartauth.tokens import rows
from smartauth.tokens.rows import TokenRow

B64TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")  # RFC 6750 §2.1
LONGEST = 8_192  # characters

_live: MarkedCache[str, tuple[TokenRow, Access]] = MarkedCache(max_size=10_000)


def require_access(
    token: str, *, tenant: str | None, context: RequestContext, now: datetime, shown: Shown = AS_BEARER
) -> Access:
    """Return the authority of an access token at `tenant`, or at its own tenant for None.

    shown: how it was shown. A token bound to a key needs the scheme DPoP and a proof by that key, which is verified
    each time and costs a statement; one that is bound to none must come as a bearer token.
    Writes `context.client_id` as soon as the token is known, so that the receipt of a dead token has an owner.
    One statement when the token is not remembered, none when it is; revocation is seen within a second.
    Raises InvalidToken, or BoundTokenRefused where DPoP is spoken.
    Source: RFC 6750 §3.1; RFC 9449 §7; SMART 2.2 app-launch, "Access FHIR API".
    """
    try:
        row, access = _find_live(token, context=context, now=now)
        rows.require_audience(row, tenant)
    except InvalidToken as error:
        raise (_bound(error) if shown.scheme == "dpop" else error) from None
    _require_shown_well(access, token, shown, now)
    return access


def _require_shown_well(access: Access, token: str, shown: Shown, now: datetime) -> None:
    """Raise BoundTokenRefused unless the token came as its binding demands."""
    if access.key_binding is None:
        if shown.scheme == "dpop":
            fix = "Send it with the scheme Bearer, as its token_type says."
            raise _bound(InvalidToken(Refusal("token.not_bound", "the token is bound to no key", fix=fix)))
        return
    if shown.scheme == "bearer":
        fix = "Send it with the scheme DPoP and a proof, as its token_type says."
        refusal = Refusal("token.bound", "the token is bound to a key and came as a bearer token", fix=fix)
        raise _bound(InvalidToken(refusal), as_bearer=True)
    try:
        proofs.verify_proof(
            shown.proof,
            method=shown.method,
            url=shown.url,
            now=now,
            needs_nonce=access.requires_nonce,
            token=token,
            bound_to=access.key_binding,
        )
    except InvalidDpopProof as error:
        raise _bound(error) from None


def _bound(error: OAuthError, *, as_bearer: bool = False) -> BoundTokenRefused:
    return BoundTokenRefused(
        error.refusal,
        code=error.code,
        nonce=error.nonce if isinstance(error, UseDpopNonce) else "",
        algorithms=config().dpop_algorithms,
        as_bearer=as_bearer,
    )


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
