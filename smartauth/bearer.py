"""Reading the Authorization header of a request that shows a token."""


def bearer_token(header: str) -> str | None:
    """Return the token of a `Bearer` header, "" when the scheme stands alone, None for another scheme or no header.

    The scheme is matched without regard to case (RFC 9110 §11.1); the token is everything after it, unjudged.
    """
    scheme, _, token = header.strip().partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None
