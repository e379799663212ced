"""The names of what can change, as the triggers of the database write them."""

from uuid import UUID


def tenant_mark(slug: str) -> str:
    """Name a tenant: its state, policy, upstream and activations."""
    return f"tenant:{slug}"


def client_mark(client_id: str) -> str:
    """Name a client: its registration, state and activations."""
    return f"client:{client_id}"


def user_mark(pk: int) -> str:
    """Name a user: active or not, fhirUser, relations."""
    return f"user:{pk}"


def authorization_mark(pk: UUID) -> str:
    """Name an Authorization and with it every token that points at it."""
    return f"authorization:{pk}"


def token_mark(digest: str) -> str:
    """Name one access token."""
    return f"token:{digest}"


def skins_mark() -> str:
    """Name the skins of all tenants together."""
    return "skins"


def keys_mark() -> str:
    """Name our own signing keys."""
    return "keys"
