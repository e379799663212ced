"""The authorization_code grant: the code an app received becomes tokens, once.

Source: RFC 6749 §4.1.3; RFC 7636 §4.6; SMART 2.2 app-launch, "Obtain access token".
"""

from dataclasses import replace
from datetime import datetime

from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth import tokens
from smartauth.context import RequestContext
from smartauth.errors import InvalidGrant, Refusal
from smartauth.forms import require_param
from smartauth.grants.final_refusals import committing_refusals
from smartauth.grants.standing import require_tenant, still_allowed
from smartauth.id_tokens import sign_id_token
from smartauth.policy import pkce
from smartauth.storable import repeatable_url
from smartauth.tokens import Issued, TakenCode


def exchange(
    client: RegisteredClient,
    params: dict[str, str],
    *,
    named: TenantInfo | None,
    key: str | None,
    context: RequestContext,
    now: datetime,
) -> Issued:
    """Issue what the user granted.

    named: the tenant that the URL or `resource` names, None for neither.    key: the thumbprint of the key that the
    tokens are bound to, None for bearer tokens.
    Whoever shows a code spends it, rightly or wrongly (RFC 9700 §4.5); only then is it judged. Raises OAuthError.
    """
    code = require_param(params, "code")
    with committing_refusals():
        taken = tokens.take_code(code, context=context, now=now)
        _require_own(taken, client)
        context.tenant = taken.consent.tenant  # Not before: of another client's code nothing is told.
        _require_good(taken, params, now)
        _require_still_answered_there(taken, client)
        _require_key(taken, key)
        require_tenant(taken.consent, named, params)
        scopes = still_allowed(taken.consent, client)
        issued = tokens.issue_user_tokens(
            taken.consent,
            client,
            granted=scopes,
            scopes=scopes,
            rotation=tokens.FIRST,
            key=key,
            rule="token.authorization_code",
            context=context,
            now=now,
        )
    id_token = sign_id_token(
        taken.consent, client, scopes, nonce=taken.nonce, access_token=issued.access_token, now=now
    )
    return replace(issued, id_token=id_token)


def _require_own(taken: TakenCode, client: RegisteredClient) -> None:
    if taken.consent.client_pk != client.pk:
        raise InvalidGrant(
            Refusal(
                "code.not_yours",
                "the code was issued to another client",
                fix="Exchange a code as the client that began the launch; this one is spent now.",
            )
        )


def _require_good(taken: TakenCode, params: dict[str, str], now: datetime) -> None:
    if taken.spent_at is not None:
        raise InvalidGrant(
            Refusal(
                "code.reused",
                "the code had been used before; everything it gave has been revoked",
                seen=f"first used at {taken.spent_at.isoformat(timespec='seconds')}",
                fix="Exchange each code once; after an error launch again.",
            )
        )
    if taken.expires <= now:
        raise InvalidGrant(
            Refusal(
                "code.expired",
                "the code has expired",
                seen=f"{int((now - taken.expires).total_seconds())} s ago",
                fix="Exchange the code at once; it lives for a minute.",
            )
        )
    ended = taken.consent.end()
    if ended is not None:
        raise InvalidGrant(ended)
    redirect_uri = require_param(params, "redirect_uri")
    if redirect_uri != taken.redirect_uri:
        raise InvalidGrant(
            Refusal(
                "code.redirect_uri",
                "redirect_uri is not the one of the authorization request",
                expected=taken.redirect_uri,
                seen=repeatable_url(redirect_uri),
                fix="Send the same redirect_uri, character for character.",
            )
        )
    pkce.verify(params.get("code_verifier", ""), taken.code_challenge)


def _require_still_answered_there(taken: TakenCode, client: RegisteredClient) -> None:
    """Raise InvalidGrant when the client has lost the address the code was sent to: others may be there now."""
    if not client.is_answered_at(taken.redirect_uri):
        raise InvalidGrant(
            Refusal(
                "code.redirect_uri_removed",
                "the redirect_uri to which the code was sent is no longer registered for the client",
                seen=repeatable_url(taken.redirect_uri),
                fix="Launch again with a redirect_uri that is registered now.",
            )
        )


def _require_key(taken: TakenCode, key: str | None) -> None:
    """Raise InvalidGrant unless the key is the one the authorization request named, if any (RFC 9449 §10)."""
    if taken.dpop_jkt and taken.dpop_jkt != key:
        raise InvalidGrant(
            Refusal(
                "code.dpop_key",
                "the code is for another key than the proof is by",
                expected=taken.dpop_jkt,
                seen=key or "no proof that counts",
                fix="Exchange the code with a proof by the key the authorization request named.",
            )
        )
