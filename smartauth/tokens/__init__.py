"""The only reader and writer of codes and tokens: issue, take, find, rotate, revoke. Values are known by their SHA-256
digests alone."""

from smartauth.tokens.codes import TakenCode, Terms, is_unused, issue_code, take_code
from smartauth.tokens.consents import Consent
from smartauth.tokens.earlier import find_earlier, revoke_earlier
from smartauth.tokens.families import FoundRefreshToken, find_owner, find_refresh_token
from smartauth.tokens.finding import is_live, require_access
from smartauth.tokens.ground import Ground, hold_answer, hold_ground
from smartauth.tokens.introspection import introspect
from smartauth.tokens.issuing import Issued, issue_service_token
from smartauth.tokens.remembering import Remembered, find_remembered, forget, remembers_any
from smartauth.tokens.revoking import (
    revoke_access_token,
    revoke_all,
    revoke_app,
    revoke_authorization,
    revoke_for_client,
    revoke_for_user,
    revoke_issued_since,
    revoke_unrelated,
)
from smartauth.tokens.user_tokens import FIRST, Rotation, fhir_user_url, issue_user_tokens

__all__ = [
    "FIRST",
    "Consent",
    "FoundRefreshToken",
    "Ground",
    "Issued",
    "Remembered",
    "Rotation",
    "TakenCode",
    "Terms",
    "fhir_user_url",
    "find_earlier",
    "find_owner",
    "find_refresh_token",
    "find_remembered",
    "forget",
    "hold_answer",
    "hold_ground",
    "introspect",
    "is_live",
    "is_unused",
    "issue_code",
    "issue_service_token",
    "issue_user_tokens",
    "remembers_any",
    "require_access",
    "revoke_access_token",
    "revoke_all",
    "revoke_app",
    "revoke_authorization",
    "revoke_earlier",
    "revoke_for_client",
    "revoke_for_user",
    "revoke_issued_since",
    "revoke_unrelated",
    "take_code",
]
