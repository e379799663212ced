"""The parameters of an authorization request, client and redirect already proven, as one value. Pure.

Source: SMART 2.2 app-launch, "Obtain authorization code"; RFC 6749 §4.1.1; RFC 7636 §4.3; OIDC Core §3.1.2.1.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from smartauth.errors import (
    InvalidRequest,
    InvalidScope,
    OAuthError,
    Refusal,
    RequestNotSupported,
    RequestUriNotSupported,
    UnsupportedResponseType,
)
from smartauth.policy import pkce

PROMPTS = frozenset({"none", "login", "consent", "select_account"})
DIGITS = re.compile(r"[0-9]{1,9}")
THUMBPRINT = re.compile(r"[A-Za-z0-9_-]{43}")  # base64url of 32 bytes (RFC 7638 §3)
LONGEST_STATE = 16_384  # characters; the standard sets no limit, a request line does
LONGEST_NONCE = 2_048
MOST_LOCALES = 20


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """What an app asked for. `max_age` is whole seconds, or None; `nonce` "" when none was sent.

    `ui_locales`: language tags in which pages are wished, the best first; those nobody can read are no error.
    `dpop_jkt`: the thumbprint of the key that alone may exchange the code, "" for any (RFC 9449 §10).
    """

    scope: str
    state: str
    code_challenge: str
    nonce: str = ""
    prompts: frozenset[str] = frozenset()
    max_age: int | None = None
    launch: str = ""
    dpop_jkt: str = ""
    ui_locales: tuple[str, ...] = ()


def parse_authorization_request(parameters: Mapping[str, str]) -> AuthorizationRequest:
    """Read single-valued parameters, empty ones absent. Parameters nobody knows are ignored.

    Raises OAuthError; the first that is wrong, in the order a developer mends them.
    """
    if "request" in parameters:
        raise RequestNotSupported(Refusal("authorize.request_object", "request objects are not supported"))
    if "request_uri" in parameters:
        raise RequestUriNotSupported(Refusal("authorize.request_uri", "request_uri is not supported"))
    _require_code(parameters.get("response_type", ""))
    if parameters.get("response_mode", "query") != "query":
        raise _invalid("authorize.response_mode", "response_mode is not query", seen=parameters["response_mode"])
    state = parameters.get("state", "")
    if not state:
        raise _invalid("authorize.state_missing", "state is missing", fix="Send a fresh random state.")
    if len(state) > LONGEST_STATE:
        raise _invalid("authorize.state_long", "state is too long", seen=f"{len(state)} characters")
    scope = parameters.get("scope", "")
    if not scope.strip():
        raise InvalidScope(Refusal("scope.missing", "scope is missing"), "The parameter scope is missing")
    challenge = pkce.require_challenge(
        parameters.get("code_challenge", ""), parameters.get("code_challenge_method", "")
    )
    nonce = parameters.get("nonce", "")
    if len(nonce) > LONGEST_NONCE:
        raise _invalid("authorize.nonce_long", "nonce is too long", seen=f"{len(nonce)} characters")
    return AuthorizationRequest(
        scope=scope,
        state=state,
        code_challenge=challenge,
        nonce=nonce,
        prompts=_prompts(parameters.get("prompt", "")),
        max_age=_max_age(parameters.get("max_age", "")),
        launch=parameters.get("launch", ""),
        dpop_jkt=_thumbprint(parameters.get("dpop_jkt", "")),
        ui_locales=tuple(parameters.get("ui_locales", "").split()[:MOST_LOCALES]),
    )


def _require_code(response_type: str) -> None:
    if not response_type:
        raise _invalid("authorize.response_type_missing", "response_type is missing", fix="Send response_type=code.")
    if response_type != "code":
        refusal = Refusal("authorize.response_type", "response_type is not code", "code", response_type[:100])
        raise UnsupportedResponseType(refusal)


def forbids_pages(prompt: str) -> bool:
    """Return True for the one value of `prompt` that lets no page be shown, whatever else is wrong with the request."""
    return _words(prompt) == {"none"}


def _words(text: str) -> frozenset[str]:
    return frozenset(word for word in text.split(" ") if word)


def _prompts(text: str) -> frozenset[str]:
    prompts = _words(text)
    if not prompts <= PROMPTS:
        raise _invalid("authorize.prompt", "prompt has an unknown value", seen=text[:100])
    if "none" in prompts and len(prompts) > 1:
        raise _invalid("authorize.prompt_none", "prompt=none excludes every other prompt", seen=text[:100])
    return prompts


def _max_age(text: str) -> int | None:
    if not text:
        return None
    if DIGITS.fullmatch(text) is None:
        raise _invalid("authorize.max_age", "max_age is not a number of seconds", seen=text[:100])
    return int(text)


def _thumbprint(text: str) -> str:
    if text and THUMBPRINT.fullmatch(text) is None:
        raise _invalid("authorize.dpop_jkt", "dpop_jkt is not a SHA-256 thumbprint", seen=f"{len(text)} characters")
    return text


def _invalid(rule: str, reason: str, *, seen: str = "", fix: str = "") -> OAuthError:
    return InvalidRequest(Refusal(rule, reason, seen=seen, fix=fix), reason)
