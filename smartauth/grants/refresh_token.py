"""The refresh_token grant: a new access token without the user, and a new refresh token in the old one's place.

Source: RFC 6749 §6; RFC 9700 §4.14.2; SMART 2.2 app-launch, "Refresh access token".
"""

from dataclasses import replace
from datetime import datetime

from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth import tokens
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.errors import InvalidGrant, Refusal
from smartauth.forms import require_param
from smartauth.grants.final_refusals import committing_refusals
from smartauth.grants.standing import require_tenant, still_allowed
from smartauth.policy import granting
from smartauth.policy.rotation import decide_rotation
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.tokens import FoundRefreshToken, Issued, Rotation

REUSED = Refusal(
    "refresh_token.reused",
    "the refresh token had been replaced; whoever shows it again may have stolen it, so everything has been revoked",
    fix="Keep the refresh token of the latest answer and forget the one before. Launch again.",
)
AGAIN = "Launch again, and refresh before expiry: each refresh begins the time anew where the operator allows it."
LATE = Refusal(
    "refresh_token.superseded",
    "another refresh at the same moment has taken the place of this one",
    fix="Refresh once at a time, and keep the refresh token of the latest answer.",
)


def exchange(
    client: RegisteredClient,
    params: dict[str, str],
    *,
    named: TenantInfo | None,
    key: str | None,
    context: RequestContext,
    now: datetime,
) -> Issued:
    """Rotate the refresh token and issue an access token for all that was granted, or for the part in `scope`.

    named: the tenant that the URL or `resource` names, None for neither.    key: the thumbprint of the key that the
    tokens are bound to, None for bearer tokens.
    A stolen token revokes the whole family, committed before the refusal is raised. Raises OAuthError.
    """
    token = require_param(params, "refresh_token")
    with committing_refusals():
        found = tokens.find_refresh_token(token, now=now)
        rotation = _require_good(found, client, key, context, now)
        require_tenant(found.consent, named, params)
        granted = still_allowed(found.consent, client)
        _require_connected(granted)
        scopes = granting.narrow_for_refresh(params.get("scope", ""), granted)
        return tokens.issue_user_tokens(
            found.consent,
            client,
            granted=granted,
            scopes=scopes,
            rotation=rotation,
            key=key,
            rule="token.refresh_token",
            context=context,
            now=now,
        )


def _require_connected(granted: tuple[Scope, ...]) -> None:
    """Raise InvalidGrant when nothing of what is still allowed lets the app stay connected."""
    if not any(isinstance(one, NamedScope) and one.kind == "refresh" for one in granted):
        raise InvalidGrant(
            Refusal(
                "grant.stays_no_more",
                "offline_access and online_access are no longer allowed, and a refresh needs one of them",
                fix="Launch again, or have the registration or activation changed.",
            )
        )


def _require_good(
    found: FoundRefreshToken, client: RegisteredClient, key: str | None, context: RequestContext, now: datetime
) -> Rotation:
    """Return which tokens end when this one is exchanged. Raises InvalidGrant, after revoking where it was reused."""
    consent, shown = found.consent, found.shown
    if consent.client_pk != client.pk:
        fix = "Refresh as the client that the token was issued to."
        raise InvalidGrant(
            Refusal("refresh_token.not_yours", "the refresh token was issued to another client", fix=fix)
        )
    context.tenant = consent.tenant
    ended = consent.end()
    if ended is not None:
        raise InvalidGrant(ended)
    if found.dpop_jkt and found.dpop_jkt != key:
        # Before anything else happens: whoever has the token without the key must not be able to end the family.
        raise InvalidGrant(
            Refusal(
                "refresh_token.dpop_key",
                "the refresh token is bound to another key than the proof is by",
                expected=found.dpop_jkt,
                seen=key or "no proof that counts",
                fix="Keep the key pair as long as the refresh token, or launch again.",
            )
        )
    match decide_rotation(shown, now=now, grace=config().refresh_grace):
        case "reuse":
            tokens.revoke_authorization(consent.authorization, by="reuse", now=now, context=context)
            replaced = shown.rotated_at or shown.superseded_at
            seen = f"replaced at {replaced.isoformat(timespec='seconds')}" if replaced else ""
            raise InvalidGrant(replace(REUSED, seen=seen))
        case "late":
            raise InvalidGrant(LATE)
        case "sibling":
            rotation = Rotation(shown=shown.pk, supersede=shown.live)
        case "rotate":
            rotation = Rotation(shown=shown.pk, rotate=shown.pk)
    # A session that was prolonged prolongs what hangs on it; that it lives was seen above.
    expires = consent.session_ends_at if consent.session else found.expires
    if consent.ends_by is not None:
        expires = min(expires or consent.ends_by, consent.ends_by)
    if expires is not None and expires <= now:
        seen = f"{int((now - expires).total_seconds())} s ago"
        raise InvalidGrant(Refusal("refresh_token.expired", "the refresh token has expired", seen=seen, fix=AGAIN))
    return rotation
