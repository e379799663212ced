"""The authorization server's rows: what was granted, the tokens that carry it, and the keys that sign them."""

from smartauth.models.authorizations import Authorization
from smartauth.models.keys import SigningKey
from smartauth.models.launches import Launch
from smartauth.models.pending import PendingAuthorization
from smartauth.models.proofs import ProofId
from smartauth.models.refused import RefusedAuthorization
from smartauth.models.tokens import AccessToken, AuthorizationCode, IDToken, RefreshToken

__all__ = [
    "AccessToken",
    "Authorization",
    "AuthorizationCode",
    "IDToken",
    "Launch",
    "PendingAuthorization",
    "ProofId",
    "RefreshToken",
    "RefusedAuthorization",
    "SigningKey",
]
