"""How a request shows its access token: alone, or with a proof that whoever sends it holds a key. Pure."""

from dataclasses import dataclass, field
from typing import Literal

Scheme = Literal["bearer", "dpop"]
SCHEMES: dict[str, Scheme] = {"bearer": "bearer", "dpop": "dpop"}


@dataclass(frozen=True, slots=True)
class Shown:
    """What came with an access token. `proof`: the DPoP header as it came, "" for none (RFC 9449 §7.1).

    `url` is the request's, written from what is configured and without a query; `method` as the request has it.
    """

    scheme: Scheme = "bearer"
    proof: str = field(default="", repr=False)
    method: str = ""
    url: str = ""


AS_BEARER = Shown()


def split_authorization(header: str) -> tuple[Scheme, str] | None:
    """Return the scheme and the token of an Authorization header, None for another scheme or no header.

    The scheme is matched without regard to case (RFC 9110 §11.1); the token is everything after it, unjudged.
    """
    word, _, token = header.strip().partition(" ")
    scheme = SCHEMES.get(word.lower())
    return None if scheme is None else (scheme, token.strip())
