"""To the identity provider and back. What comes back signs in the user it names, and nobody else."""

from datetime import datetime
from typing import cast
from urllib.parse import urlencode

from allauth.account.utils import get_next_redirect_url, perform_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.utils import timezone

from smartauth import rates, skins
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.browser import PageRefused, browser_page
from smartauth.conf import UpstreamIdp, config
from smartauth.context import RequestContext, context_of
from smartauth.errors import Refusal
from smartauth.people.models import User
from smartauth.people.upstream.answers import UnreadableAnswer, read_answer, read_fields, redirect_uri, require_identity
from smartauth.people.upstream.attempts import Attempt, Prompt, begin, take
from smartauth.people.upstream.fetching import ProviderRefused, ProviderUnavailable, patience
from smartauth.people.upstream.identities import require_user
from smartauth.people.upstream.identity_tokens import Identity
from smartauth.people.upstream.metadata import Provider, find_provider
from smartauth.people.upstream.proofs import keep_proof
from smartauth.people.upstream.refusals import explained, nobodys_answer, switched_off, unavailable
from smartauth.receipts.recording import record

PROMPTS = ("none", "login")


@browser_page("GET", endpoint="sign-in")
def upstream_sign_in(request: HttpRequest) -> HttpResponse:
    """Send the browser to the identity provider.  Source: OIDC Core §3.1.2.1; RFC 7636 §4.3.

    `max_age` is always asked for: without it the provider need not say when the person signed in (OIDC Core §2).
    """
    rates.admit_address(context_of(request))
    idp, now = _require_idp(), timezone.now()
    wanted = request.GET.get("prompt", "")
    prompt = cast(Prompt, wanted if wanted in PROMPTS else "")
    session_age = int(settings.SESSION_COOKIE_AGE)
    asked = request.GET.get("max_age", "")
    max_age = min(int(asked), session_age) if asked.isascii() and asked.isdigit() and len(asked) < 10 else session_age
    then = get_next_redirect_url(request) or ""
    if prompt == "login":
        max_age = 0
    state, attempt = begin(request, then=then, prompt=prompt, max_age=max_age, now=now)
    try:
        provider = find_provider(idp, now=now, until=patience())
    except ProviderUnavailable as error:
        return _give_up(request, attempt, unavailable(idp, error))
    return HttpResponseRedirect(_authorization_url(idp, provider, attempt, state))


@browser_page("GET", endpoint="sign-in")
def upstream_callback(request: HttpRequest) -> HttpResponse:
    """Take the provider's answer.  Source: OIDC Core §3.1.2.5, §3.1.2.6 and §3.1.3."""
    context = context_of(request)
    rates.admit_address(context)
    idp, now = _require_idp(), timezone.now()
    try:
        fields, state = read_fields(request)
    except UnreadableAnswer as error:
        raise explained(idp, error) from None
    attempt = take(request, state, now=now)
    if attempt is None:
        raise nobodys_answer()
    skins.note_way(request, attempt.next)
    try:
        identity = require_identity(idp, read_answer(fields), attempt, now=now)
        user = require_user(idp, identity, context=context, now=now)
        _require_same(request, user)
        if attempt.prompt == "none" and not request.user.is_authenticated and is_mfa_enabled(user):
            reason, fix = "the user has a second factor, which needs a page", "Nothing: the person is asked for it."
            raise ProviderRefused(Refusal("upstream.second_factor", reason, fix=fix))
    except ProviderRefused as error:
        if attempt.prompt != "none":
            record_now(context, AuditEvent("sign-in-failed", rule=error.refusal.rule, details={"by": "upstream"}))
        return _give_up(request, attempt, explained(idp, error))
    return _let_in(request, user, identity, attempt, context, now)


def _let_in(
    request: HttpRequest, user: User, identity: Identity, attempt: Attempt, context: RequestContext, now: datetime
) -> HttpResponse:
    then = attempt.next or settings.LOGIN_REDIRECT_URL
    is_signed_in = request.user.is_authenticated
    keep_proof(request, user, identity, again=attempt.max_age == 0, now=now)
    if is_signed_in:
        record_now(context, AuditEvent("sign-in-again", user=user.pk, details={"by": "upstream"}))
        return HttpResponseRedirect(then)
    response: HttpResponse = perform_login(request, user, email_verification="none", redirect_url=then)
    return response


def _authorization_url(idp: UpstreamIdp, provider: Provider, attempt: Attempt, state: str) -> str:
    asked = {
        "response_type": "code",
        "client_id": idp.client_id,
        "redirect_uri": redirect_uri(),
        "scope": idp.scope,
        "state": state,
        "nonce": attempt.nonce,
        "code_challenge": attempt.challenge,
        "code_challenge_method": "S256",
        "max_age": str(attempt.max_age),
    }
    if attempt.prompt:
        asked["prompt"] = attempt.prompt
    separator = "&" if "?" in provider.authorization_endpoint else "?"
    return f"{provider.authorization_endpoint}{separator}{urlencode(asked)}"


def _require_same(request: HttpRequest, user: User) -> None:
    if request.user.is_authenticated and request.user.pk != user.pk:
        reason, fix = "somebody else is signed in here", "Sign out, here or at the identity provider."
        raise ProviderRefused(Refusal("upstream.other_user", reason, fix=fix))


def _require_idp() -> UpstreamIdp:
    idp = config().upstream_idp
    if idp is None:
        raise switched_off()
    return idp


def _give_up(request: HttpRequest, attempt: Attempt, refused: PageRefused) -> HttpResponse:
    """Go on without the provider where nobody asked for it and no page may be shown; else raise `refused`."""
    if attempt.prompt != "none":
        raise refused
    record(context_of(request), status=302, error="page", refusal=refused.refusal)
    return HttpResponseRedirect(attempt.next or settings.LOGIN_REDIRECT_URL)
