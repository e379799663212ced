"""What an update of a client's own metadata adds to what an operator approved."""

from clients.metadata import STATEMENTS, ClientMetadata, InvalidClientMetadata
from clients.models import AuthMethod, Client

# Fewer of these is less.
WORDS = ("scope", "redirect_uris", "post_logout_redirect_uris", "launch_urls", "allowed_origins")
# Switched on they ask more of the client.
DEMANDS = ("require_pushed_authorization_requests", "dpop_bound_access_tokens", "require_dpop_nonce")
# What people are shown, and what decides which rules hold.
SAME = (*STATEMENTS, "client_uri", "logo_uri", "tos_uri", "policy_uri", "application_type", "smart_version")
# How much a method proves. A client may come to prove more, never less.
STRENGTH = {AuthMethod.NONE: 0, AuthMethod.BASIC: 1, AuthMethod.POST: 1, AuthMethod.PRIVATE_KEY_JWT: 2}


def require_no_less_proof(client: Client, wanted: ClientMetadata) -> None:
    """Raise InvalidClientMetadata when `client` would come to prove less than before."""
    before, after = AuthMethod(client.token_endpoint_auth_method), AuthMethod(wanted.token_endpoint_auth_method)
    if STRENGTH[after] < STRENGTH[before]:
        raise InvalidClientMetadata(
            "token_endpoint_auth_method",
            "a client never comes to prove less than before",
            seen=after.value,
            fix=f"Send {before.value}, or register another client.",
        )


def widened(client: Client, wanted: ClientMetadata) -> tuple[str, ...]:
    """Return the members in which `wanted` goes beyond what `client` is, or shows people something else.

    Keys, contacts and versions are the client's own to change. Grants and consents stand on everything else.
    """
    found = []
    if wanted.client_name != client.name:
        found.append("client_name")
    if not set(wanted.grant_types) <= set(client.grant_types):
        found.append("grant_types")
    for name in WORDS:
        after = getattr(wanted, name)
        if not set(after.split() if isinstance(after, str) else after) <= set(getattr(client, name).split()):
            found.append(name)
    found += [name for name in DEMANDS if getattr(client, name) and not getattr(wanted, name)]
    found += [name for name in SAME if getattr(client, name) != getattr(wanted, name)]
    return tuple(found)
