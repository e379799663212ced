"""ID tokens: who signed in, when, for which app. Signed and forgotten.

Source: OIDC Core §2 and §3.1.3.6; SMART 2.2 scopes-and-launch-context, "Scopes for requesting identity data".
"""

import base64
import hashlib
from datetime import datetime
from typing import Any

from clients.registered import RegisteredClient
from smartauth import endpoints, keys
from smartauth.conf import config
from smartauth.policy.scopes import NamedScope, Scope
from smartauth.tokens import Consent, fhir_user_url


def sign_id_token(
    consent: Consent,
    client: RegisteredClient,
    scopes: tuple[Scope, ...],
    *,
    nonce: str,
    access_token: str,
    now: datetime,
) -> str:
    """Return the ID token that goes with an access token for `scopes`, "" when openid is not among them.

    nonce: of the authorization request, "" for none.
    """
    names = {scope.name for scope in scopes if isinstance(scope, NamedScope)}
    if "openid" not in names:
        return ""
    claims: dict[str, Any] = {
        "iss": endpoints.issuer(),
        "sub": str(consent.subject),
        "aud": client.client_id,
        "iat": int(now.timestamp()),
        "exp": int((now + config().id_token_lifetime).timestamp()),
        "auth_time": int(consent.auth_time.timestamp()),
        "at_hash": _half_digest(access_token),
    }
    if nonce:
        claims["nonce"] = nonce
    fhir_user = fhir_user_url(consent, scopes)
    if fhir_user:
        # SMART 1.0 called it profile.
        claims |= {name: fhir_user for name in ("fhirUser", "profile") if name in names}
    return keys.id_token_signer(client.id_token_signed_response_alg, now).sign(claims, typ="JWT")


def _half_digest(access_token: str) -> str:
    """Return `at_hash`: both algorithms we sign with have SHA-256 in them."""
    half = hashlib.sha256(access_token.encode("ascii")).digest()[:16]
    return base64.urlsafe_b64encode(half).rstrip(b"=").decode("ascii")
