"""From the provider's answer in the browser's address to the person it names.  Source: OIDC Core §3.1.2.5 to §3.1.3."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from django.http import HttpRequest, QueryDict
from django.urls import reverse

from smartauth.conf import UpstreamIdp, config
from smartauth.errors import OAuthError, Refusal
from smartauth.forms import query_fields, single_valued
from smartauth.people.upstream.attempts import Attempt
from smartauth.people.upstream.fetching import ProviderRefused, patience, post_form
from smartauth.people.upstream.identity_tokens import Asked, Identity, read_id_token, verify_id_token
from smartauth.people.upstream.metadata import Provider, find_keys, find_provider

# RFC 6749 §4.1.2.1 and §5.2; OIDC Core §3.1.2.6. Whatever else a provider says may be anything, our secret included.
ERRORS = frozenset(
    {
        *("invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type"),
        *("invalid_scope", "access_denied", "unsupported_response_type", "server_error", "temporarily_unavailable"),
        *("interaction_required", "login_required", "account_selection_required", "consent_required"),
        *("invalid_request_uri", "invalid_request_object", "request_not_supported", "request_uri_not_supported"),
        "registration_not_supported",
    }
)
ONCE = "Let the identity provider send each parameter once, as UTF-8 text."


class UnreadableAnswer(ProviderRefused):
    """The answer is no query of single parameters."""


def redirect_uri() -> str:
    """Return where the provider sends people back to."""
    return f"{config().base_url}{reverse('upstream_callback')}"


def read_fields(request: HttpRequest) -> tuple[QueryDict, str]:
    """Return the parameters of an answer as they came, and its `state`, "" for none. Raises UnreadableAnswer."""
    try:
        fields = query_fields(request)
    except OAuthError as error:
        raise UnreadableAnswer(replace(error.refusal, fix=ONCE)) from None
    _require_once(fields, "state")
    return fields, fields.get("state", "")


def read_answer(fields: QueryDict) -> dict[str, str]:
    """Return the parameters of an answer, each of which counts once. Raises UnreadableAnswer."""
    try:
        answer = single_valued(fields)
    except OAuthError as error:
        raise UnreadableAnswer(replace(error.refusal, fix=ONCE)) from None
    for name in ("iss", "error"):  # They mean something in answers only, and so not to `single_valued`.
        _require_once(fields, name)
    return answer


def require_identity(idp: UpstreamIdp, answer: Mapping[str, str], attempt: Attempt, *, now: datetime) -> Identity:
    """Return whom the provider names, once its answer holds. Raises ProviderRefused."""
    until = patience()
    provider = find_provider(idp, now=now, until=until)
    # RFC 9207 §2.4: another provider's answer must not be taken to this one's token endpoint.
    issuer = answer.get("iss", "" if provider.names_itself else idp.issuer)
    if issuer != idp.issuer:
        reason = "the answer is another identity provider's, or does not say whose, as this one promised"
        fix = "Let the identity provider send its issuer as iss. If it does, find out who sent this answer."
        raise ProviderRefused(Refusal("upstream.iss", reason, idp.issuer, issuer[:200], fix))
    if "error" in answer:
        raise _failed(answer["error"])
    body = _redeem(idp, provider, answer.get("code", ""), attempt, until)
    token = read_id_token(body.get("id_token"))
    kid = token.header.get("kid")
    keys = find_keys(idp, kid=None if kid is None else str(kid), now=now, until=until)
    asked = Asked(
        idp.issuer,
        idp.client_id,
        attempt.nonce,
        at=attempt.began,
        max_age=_longest(attempt),
        again=attempt.max_age == 0,
        leeway=config().clock_leeway,
        algorithms=provider.algorithms,
    )
    return verify_id_token(token, keys, asked, now=now, access_token=body.get("access_token"))


def _require_once(fields: QueryDict, name: str) -> None:
    if len(fields.getlist(name)) > 1:
        reason = "a parameter occurs more than once"
        raise UnreadableAnswer(Refusal("http.parameter_repeated", reason, seen=name, fix=ONCE))


def _longest(attempt: Attempt) -> timedelta:
    """Return how old a sign-in may be: where a new one was asked for, the person had until now to make it."""
    return timedelta(seconds=attempt.max_age) if attempt.max_age else timedelta(days=1)


def _redeem(idp: UpstreamIdp, provider: Provider, code: str, attempt: Attempt, until: float) -> dict[str, object]:
    """Exchange the code.  Source: OIDC Core §3.1.3.1; RFC 6749 §4.1.3 and §2.3.1."""
    if not code:
        reason, fix = "the identity provider sent neither a code nor an error", "Turn on its authorization code flow."
        raise ProviderRefused(Refusal("upstream.code", reason, fix=fix))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": redirect_uri(),
        "code_verifier": attempt.verifier,
    }
    by_header = bool(idp.client_secret) and provider.takes_basic
    if not by_header:
        form["client_id"] = idp.client_id
        if idp.client_secret:
            form["client_secret"] = idp.client_secret
    basic = (idp.client_id, idp.client_secret) if by_header else None
    status, body = post_form(idp, provider.token_endpoint, form, basic=basic, until=until)
    if status != 200:
        reason = "the identity provider does not exchange the code"
        fix = "Compare client id, secret and redirect URI with what the provider has."
        raise ProviderRefused(Refusal("upstream.token", reason, "200", f"{status} {_code(body.get('error'))}", fix))
    return body


def _failed(error: str) -> ProviderRefused:
    reason = "the identity provider answers with an error"
    fix = "Nothing, where somebody cancelled or is not signed in there. Else look at what the provider noted."
    return ProviderRefused(Refusal("upstream.error", reason, "a code", _code(error), fix))


def _code(error: object) -> str:
    return error if isinstance(error, str) and error in ERRORS else "no error code of OAuth or OpenID Connect"
