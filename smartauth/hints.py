"""ID tokens that come back as hints: whom an app means when it asks that somebody be signed out.

Source: OIDC RP-Initiated Logout §2, `id_token_hint`.
"""

from dataclasses import dataclass

from joserfc import jws, jwt
from joserfc.errors import JoseError

from smartauth import endpoints, keys

LONGEST = 8_192  # characters


@dataclass(frozen=True, slots=True)
class Hint:
    """Whom an ID token of ours was about, and the client it was for."""

    subject: str
    client_id: str


def read_hint(token: str) -> Hint | None:
    """Return what an ID token says that we signed, expired or not; None for anything else."""
    if len(token) > LONGEST:
        return None
    try:
        header = jws.extract_compact(token.encode("ascii")).headers()
        key = keys.find_id_token_key(str(header.get("kid")))
        if key is None:
            return None
        algorithm = str(key.as_dict(private=False)["alg"])
        claims = jwt.decode(token, key, algorithms=[algorithm]).claims
    except (JoseError, ValueError, TypeError):
        return None
    subject, client_id = claims.get("sub"), claims.get("aud")
    if claims.get("iss") != endpoints.issuer() or not isinstance(subject, str) or not isinstance(client_id, str):
        return None
    return Hint(subject, client_id)
