"""Proof Key for Code Exchange, S256 only. Pure.  Source: RFC 7636."""

import base64
import hashlib
import hmac
import re

from smartauth.errors import InvalidGrant, InvalidRequest, Refusal

CHALLENGE = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of 32 bytes, without padding
VERIFIER = re.compile(r"[A-Za-z0-9._~-]{43,128}")


def require_challenge(challenge: str, method: str) -> str:
    """Return the challenge of an authorization request. Raises InvalidRequest: without PKCE there is no code.

    Source: RFC 7636 §4.2 to §4.4; SMART 2.2 app-launch, "Considerations for PKCE Support".
    """
    if not challenge:
        raise _bad_challenge("pkce.missing", "code_challenge is missing", "The parameter code_challenge is missing")
    if method != "S256":
        # RFC 7636 takes an absent method for plain, which protects nobody whose request can be read.
        reason = "code_challenge_method is not S256"
        raise _bad_challenge("pkce.method", reason, "code_challenge_method must be S256", seen=method or "(absent)")
    if CHALLENGE.fullmatch(challenge) is None:
        reason = "code_challenge is not 43 base64url characters"
        raise _bad_challenge("pkce.challenge", reason, "code_challenge is malformed", seen=f"{len(challenge)} chars")
    return challenge


def verify(verifier: str, challenge: str) -> None:
    """Raise InvalidGrant unless `verifier` is what `challenge` was made from.  Source: RFC 7636 §4.6."""
    if not verifier:
        raise InvalidGrant(Refusal("pkce.verifier_missing", "code_verifier is missing", fix="Send the code_verifier."))
    if VERIFIER.fullmatch(verifier) is None:
        raise InvalidGrant(
            Refusal(
                "pkce.verifier_malformed",
                "code_verifier is not 43 to 128 unreserved characters",
                seen=f"{len(verifier)} characters",
                fix="Make a code_verifier as RFC 7636 §4.1 says.",
            )
        )
    made = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode("ascii")).digest()).rstrip(b"=").decode("ascii")
    # A code without a challenge has none to match: nothing is equal to "" here.
    if not challenge or not hmac.compare_digest(made, challenge):
        raise InvalidGrant(
            Refusal(
                "pkce.verifier",
                "code_verifier does not match the code_challenge of the authorization request",
                expected=challenge,
                seen=made,
                fix="Send the verifier this launch's challenge was made from; keep one per launch.",
            )
        )


def _bad_challenge(rule: str, reason: str, description: str, *, seen: str = "") -> InvalidRequest:
    fix = "Send code_challenge_method=S256 and the base64url SHA-256 of a fresh verifier."
    return InvalidRequest(Refusal(rule, reason, expected="S256", seen=seen, fix=fix), description)
