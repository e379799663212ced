"""The only reader and writer of tokens: issue, find, revoke. Values are known by their SHA-256 digests alone."""

from smartauth.tokens.finding import is_live, require_access
from smartauth.tokens.introspection import introspect
from smartauth.tokens.issuing import Issued, issue_service_token
from smartauth.tokens.revoking import revoke_access_token, revoke_authorization, revoke_for_client

__all__ = [
    "Issued",
    "introspect",
    "is_live",
    "issue_service_token",
    "require_access",
    "revoke_access_token",
    "revoke_authorization",
    "revoke_for_client",
]
