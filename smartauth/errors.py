"""Refusals as facts: what went wrong and why. How they are delivered is decided in `responses.py`, once."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why, for those entitled to know.

    `rule` is stable and names the check (tests, receipts, audit). `reason`, `expected`, `seen` and `fix` are shown to
    the owner of the client and must be a function of request, client, token and policy only. `officer` holds facts
    about other parties or about the upstream, for the security officer alone.
    Codes, tokens, secrets and signatures never enter a refusal.
    """

    rule: str  # "assertion.aud"
    reason: str  # one sentence
    expected: str = ""
    seen: str = ""
    fix: str = ""
    officer: str = field(default="", repr=False)


class OAuthError(Exception):
    """A refusal the protocol has a name for.

    `description` reaches the client: fixed ASCII text, never request data.
    `refusal` reaches the receipt only.  Source: RFC 6749 §4.1.2.1 and §5.2.
    """

    code = "invalid_request"
    status = 400
    default_description = ""

    def __init__(self, refusal: Refusal, description: str = "") -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.description = description or self.default_description


class InvalidRequest(OAuthError):
    """The request is malformed: a parameter is missing, repeated or unreadable."""

    default_description = "The request is malformed"


class InvalidClient(OAuthError):
    """Client authentication failed; the public answer says no more than that.

    `basic`: the client used the Authorization header, so the answer names the scheme (RFC 6749 §5.2).
    """

    code, status = "invalid_client", 401
    default_description = "Client authentication failed"

    def __init__(self, refusal: Refusal, *, basic: bool = False) -> None:
        super().__init__(refusal)
        self.basic = basic


class UnsupportedTokenType(OAuthError):
    """The token is of a kind that cannot be revoked (RFC 7009 §2.2.1)."""

    code = "unsupported_token_type"
    default_description = "Tokens of this type cannot be revoked"


class UnauthorizedClient(OAuthError):
    """The client is known but may not do this."""

    code = "unauthorized_client"
    default_description = "The client may not make this request"


class UnsupportedGrantType(OAuthError):
    """The `grant_type` is not one of ours."""

    code = "unsupported_grant_type"
    default_description = "The grant type is not supported"


class InvalidGrant(OAuthError):
    """The authorization code or refresh token is unknown, dead, or another client's; the answer does not say which."""

    code = "invalid_grant"
    default_description = "The code or refresh token is not valid"


class UnsupportedResponseType(OAuthError):
    """The `response_type` is not `code`."""

    code = "unsupported_response_type"
    default_description = "Only response_type=code is supported"


class AccessDenied(OAuthError):
    """The user, or a rule about the user, said no (RFC 6749 §4.1.2.1)."""

    code = "access_denied"
    default_description = "The request was denied"


class RequestNotSupported(OAuthError):
    """The request came as a request object (OIDC Core §3.1.2.6)."""

    code = "request_not_supported"
    default_description = "Request objects are not supported"


class RequestUriNotSupported(OAuthError):
    """The request came by reference; what it refers to is never fetched (OIDC Core §3.1.2.6)."""

    code = "request_uri_not_supported"
    default_description = "request_uri is not supported"


class LoginRequired(OAuthError):
    """`prompt=none`, and nobody is signed in recently enough (OIDC Core §3.1.2.6)."""

    code = "login_required"
    default_description = "The user must sign in"


class ConsentRequired(OAuthError):
    """`prompt=none`, and the user would have to be asked (OIDC Core §3.1.2.6)."""

    code = "consent_required"
    default_description = "The user must be asked"


class InvalidScope(OAuthError):
    """A scope is unreadable, unknown or outside what the client may have."""

    code = "invalid_scope"
    default_description = "No requested scope can be granted"


class InvalidTarget(OAuthError):
    """`resource` or `aud` does not name one FHIR base the client may use (RFC 8707 §2)."""

    code = "invalid_target"
    default_description = "The requested resource is not available to this client"


class InvalidToken(OAuthError):
    """The bearer token is missing, malformed, unknown, expired, revoked or for another audience (RFC 6750 §3.1).

    `presented`: whether a token was sent at all; without one the challenge carries no error code.
    """

    code, status = "invalid_token", 401
    default_description = "The access token is not valid"

    def __init__(self, refusal: Refusal, *, presented: bool = True) -> None:
        super().__init__(refusal)
        self.presented = presented


class InvalidDpopProof(OAuthError):
    """The proof of possession is missing or does not hold; the answer does not say which (RFC 9449 §5)."""

    code = "invalid_dpop_proof"
    default_description = "The DPoP proof is missing or not valid"


class UseDpopNonce(InvalidDpopProof):
    """The proof needs a nonce of ours; `nonce` is a fresh one for the next proof (RFC 9449 §8)."""

    code = "use_dpop_nonce"
    default_description = "The DPoP proof needs a nonce of this server"

    def __init__(self, refusal: Refusal, *, nonce: str) -> None:
        super().__init__(refusal)
        self.nonce = nonce


class BoundTokenRefused(InvalidToken):
    """A token that is bound to a key, or is shown as if it were, is refused where it was shown (RFC 9449 §7.1).

    `code` is "invalid_token", or that of the proof. `nonce`: a fresh one, or "". `algorithms`: that proofs may have.
    `as_bearer`: it came without a proof as a bearer token.
    """

    def __init__(
        self,
        refusal: Refusal,
        *,
        algorithms: tuple[str, ...],
        code: str = "invalid_token",
        nonce: str = "",
        as_bearer: bool = False,
    ) -> None:
        super().__init__(refusal)
        self.code = code
        self.nonce = nonce
        self.algorithms = algorithms
        self.as_bearer = as_bearer

    def headers(self, realm: str) -> dict[str, str]:
        """Return the response headers: the challenge, and a nonce where one is wanted (RFC 9449 §7.1 and §9)."""
        algs = f'algs="{" ".join(self.algorithms)}"'
        if self.as_bearer:  # Both schemes are taken here, and each is told what it lacks (RFC 9449 §7.2).
            return {"WWW-Authenticate": f'Bearer realm="{realm}", error="{self.code}", DPoP realm="{realm}", {algs}'}
        challenge = {"WWW-Authenticate": f'DPoP realm="{realm}", error="{self.code}", {algs}'}
        return challenge | ({"DPoP-Nonce": self.nonce} if self.nonce else {})


class InsufficientScope(OAuthError):
    """The token is good but does not reach this. `scope`: the smallest that would do, or empty (RFC 6750 §3.1).

    `scheme`: the one the token was shown under (RFC 9449 §7.1).
    """

    code, status = "insufficient_scope", 403
    default_description = "The granted scopes do not cover this request"

    def __init__(self, refusal: Refusal, *, scope: str = "", scheme: str = "Bearer") -> None:
        super().__init__(refusal)
        self.scope = scope
        self.scheme = scheme


class NotFound(OAuthError):
    """There is nothing at this URL, for instance because the tenant does not exist."""

    code, status = "not_found", 404
    default_description = "There is nothing here"


class MethodNotAllowed(OAuthError):
    """The endpoint does not take this HTTP method. `allow`: the value of the Allow header."""

    code, status = "invalid_request", 405
    default_description = "The HTTP method is not allowed here"

    def __init__(self, refusal: Refusal, *, allow: str) -> None:
        super().__init__(refusal)
        self.allow = allow


class ContentTooLarge(OAuthError):
    """The body is larger than the endpoint reads."""

    status = 413
    default_description = "The request is too large"


class UriTooLong(OAuthError):
    """The URL is longer than anything we are asked with (RFC 9110 §15.5.15)."""

    status = 414
    default_description = "The URL is too long"


class ContentLengthRequired(OAuthError):
    """The body came without telling its length first (RFC 9110 §15.5.12)."""

    status = 411
    default_description = "The request must have a Content-Length"


class ServerError(OAuthError):
    """We failed, where only a redirect can say so (RFC 6749 §4.1.2.1)."""

    code, status = "server_error", 500
    default_description = "The server made a mistake"


class TemporarilyUnavailable(OAuthError):
    """We cannot decide now, for instance because the database is away: no access (RFC 6749 §4.1.2.1)."""

    code, status = "temporarily_unavailable", 503
    default_description = "The service is temporarily unavailable"


class TooManyRequests(OAuthError):
    """The caller asks too often. `retry_after`: seconds until there is room again (RFC 6585 §4, RFC 9126 §2.3)."""

    code, status = "temporarily_unavailable", 429
    default_description = "Too many requests"

    def __init__(self, refusal: Refusal, *, retry_after: int) -> None:
        super().__init__(refusal)
        self.retry_after = retry_after
