"""Secrets we hand out, and the digests by which we know them again (RFC 6749 §10.10)."""

import hashlib
import secrets


def new_secret() -> str:
    """Return 256 random bits in unreserved characters, safe in URLs, forms and Basic credentials."""
    return secrets.token_urlsafe(32)


def digest(text: str) -> str:
    """Return the SHA-256 of `text` in hex: how codes, tokens and secrets are stored and found."""
    return hashlib.sha256(text.encode()).hexdigest()
