"""To the identity provider and back. What comes back signs in the user it names, and nobody else."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import cast
from urllib.parse import urlencode

from allauth.account.utils import get_next_redirect_url, perform_login
from allauth.mfa.utils import is_mfa_enabled
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from smartauth import rates, skins
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.browser import PageRefused, browser_page
from smartauth.conf import UpstreamIdp, config
from smartauth.context import RequestContext, context_of
from smartauth.errors import OAuthError, Refusal
from smartauth.forms import query_fields, single_valued
from smartauth.people.models import User
from smartauth.people.upstream.asking import provider_name
from smartauth.people.upstream.attempts import Attempt, Prompt, begin, take
from smartauth.people.upstream.fetching import ProviderRefused, ProviderUnavailable, post_form
from smartauth.people.upstream.identities import DeactivatedPerson, UnknownPerson, require_user
from smartauth.people.upstream.identity_tokens import Asked, Identity, read_id_token, verify_id_token
from smartauth.people.upstream.metadata import Provider, find_keys, find_provider
from smartauth.people.upstream.proofs import keep_proof
from smartauth.receipts.recording import record

PROMPTS = ("none", "login")
START_AGAIN = _("Start again where you came from.")


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
        provider = find_provider(idp, now=now)
    except ProviderUnavailable as error:
        return _give_up(request, attempt, _unavailable(idp, error))
    return HttpResponseRedirect(_authorization_url(idp, provider, attempt, state))


@browser_page("GET", endpoint="sign-in")
def upstream_callback(request: HttpRequest) -> HttpResponse:
    """Take the provider's answer.  Source: OIDC Core §3.1.2.5, §3.1.2.6 and §3.1.3."""
    context = context_of(request)
    rates.admit_address(context)
    idp, now = _require_idp(), timezone.now()
    try:
        answer = single_valued(query_fields(request))
    except OAuthError as error:
        raise _page(error.refusal, _("The answer cannot be read"), START_AGAIN) from None
    attempt = take(request, answer.get("state", ""), now=now)
    if attempt is None:
        refusal = Refusal("upstream.state", "the answer belongs to no sign-in that was begun in this browser session")
        advice = _("It was begun in another browser, answered before, or took too long.")
        raise _page(refusal, _("This sign-in cannot be finished"), advice, START_AGAIN)
    skins.note_way(request, attempt.next)
    try:
        identity = _identity(idp, answer, attempt, now)
        user = require_user(idp, identity, context=context, now=now)
        _require_same(request, user)
        if attempt.prompt == "none" and not request.user.is_authenticated and is_mfa_enabled(user):
            raise ProviderRefused(Refusal("upstream.second_factor", "the user has a second factor, which needs a page"))
    except ProviderRefused as error:
        if attempt.prompt != "none":
            record_now(context, AuditEvent("sign-in-failed", rule=error.refusal.rule, details={"by": "upstream"}))
        return _give_up(request, attempt, _explained(idp, error))
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
        "redirect_uri": _redirect_uri(),
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


def _identity(idp: UpstreamIdp, answer: dict[str, str], attempt: Attempt, now: datetime) -> Identity:
    """Return whom the provider names, once its answer holds. Raises ProviderRefused."""
    provider = find_provider(idp, now=now)
    # RFC 9207 §2.4: another provider's answer must not be taken to this one's token endpoint.
    issuer = answer.get("iss", "" if provider.names_itself else idp.issuer)
    if issuer != idp.issuer:
        refusal = Refusal("upstream.iss", "the answer is another identity provider's", idp.issuer, issuer[:200])
        raise ProviderRefused(refusal)
    if "error" in answer:
        raise ProviderRefused(
            Refusal("upstream.error", "the identity provider answers with an error", seen=answer["error"][:100])
        )
    token = read_id_token(_redeem(idp, provider, answer.get("code", ""), attempt).get("id_token"))
    keys = find_keys(idp, kid=str(token.header.get("kid", "")), now=now)
    asked = Asked(
        idp.issuer,
        idp.client_id,
        attempt.nonce,
        at=attempt.began,
        max_age=_longest(attempt),
        again=attempt.max_age == 0,
        leeway=config().clock_leeway,
    )
    return verify_id_token(token, keys, asked, now=now)


def _longest(attempt: Attempt) -> timedelta:
    """Return how old a sign-in may be: where a new one was asked for, the person had until now to make it."""
    return timedelta(seconds=attempt.max_age) if attempt.max_age else timedelta(days=1)


def _redeem(idp: UpstreamIdp, provider: Provider, code: str, attempt: Attempt) -> dict[str, object]:
    """Exchange the code.  Source: OIDC Core §3.1.3.1; RFC 6749 §4.1.3 and §2.3.1."""
    if not code:
        raise ProviderRefused(Refusal("upstream.code", "the identity provider sent neither a code nor an error"))
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": _redirect_uri(),
        "code_verifier": attempt.verifier,
    }
    by_header = bool(idp.client_secret) and provider.takes_basic
    if not by_header:
        form["client_id"] = idp.client_id
        if idp.client_secret:
            form["client_secret"] = idp.client_secret
    basic = (idp.client_id, idp.client_secret) if by_header else None
    status, body = post_form(provider.token_endpoint, form, basic=basic)
    if status != 200:
        told = str(body.get("error", ""))[:100]
        raise ProviderRefused(
            Refusal(
                "upstream.token",
                "the identity provider does not exchange the code",
                seen=f"{status} {told}",
                fix="Compare client id, secret and redirect URI with what the provider has.",
            )
        )
    return body


def _require_same(request: HttpRequest, user: User) -> None:
    if request.user.is_authenticated and request.user.pk != user.pk:
        raise ProviderRefused(Refusal("upstream.other_user", "somebody else is signed in here"))


def _require_idp() -> UpstreamIdp:
    idp = config().upstream_idp
    if idp is None:
        refusal = Refusal("upstream.off", "no identity provider is configured")
        raise _page(refusal, _("There is no such page"), _("Sign in with your user name and password."), status=404)
    return idp


def _redirect_uri() -> str:
    return f"{config().base_url}{reverse('upstream_callback')}"


def _give_up(request: HttpRequest, attempt: Attempt, refused: PageRefused) -> HttpResponse:
    """Go on without the provider where nobody asked for it and no page may be shown; else raise `refused`."""
    if attempt.prompt != "none":
        raise refused
    record(context_of(request), status=302, error="page", refusal=refused.refusal)
    return HttpResponseRedirect(attempt.next or settings.LOGIN_REDIRECT_URL)


def _explained(idp: UpstreamIdp, error: ProviderRefused) -> PageRefused:
    """Return the page for a person who cannot be let in."""
    if isinstance(error, ProviderUnavailable):
        return _unavailable(idp, error)
    provider = {"provider": provider_name(idp)}
    if isinstance(error, UnknownPerson):
        advice = (
            _("You are signed in at %(provider)s, but nobody made an account for you here."),
            _("Ask the operator of this server for one, and give them the number below."),
        )
        return _page(error.refusal, _("You have no account here yet"), *advice, values=provider, status=403)
    if isinstance(error, DeactivatedPerson):
        advice = (_("It has been deactivated."), _("Ask the operator of this server."))
        return _page(error.refusal, _("Your account is closed"), *advice, status=403)
    if error.refusal.rule == "upstream.other_user":
        advice = (
            _("At %(provider)s you are not the person you are here."),
            _("Sign out here first, or there."),
        )
        return _page(error.refusal, _("You are signed in as somebody else"), *advice, values=provider, status=403)
    if error.refusal.rule == "upstream.error":
        advice = (_("%(provider)s did not let you in."), START_AGAIN)
        return _page(error.refusal, _("You were not signed in"), *advice, values=provider, status=403)
    advice = (
        _("What %(provider)s said about you cannot be used, so nobody was signed in."),
        _("Tell the operator of this server the number below."),
    )
    return _page(error.refusal, _("Signing in did not work"), *advice, values=provider, status=502)


def _unavailable(idp: UpstreamIdp, error: ProviderUnavailable) -> PageRefused:
    advice = (
        _("%(provider)s does not answer as it should."),
        _("Wait a little and try again, or use a password if you have one."),
    )
    title = _("Signing in is not possible there at the moment")
    return _page(error.refusal, title, *advice, values={"provider": provider_name(idp)}, status=503)


def _page(
    refusal: Refusal, title: str, *advice: str, values: Mapping[str, object] | None = None, status: int = 400
) -> PageRefused:
    return PageRefused(refusal, title=title, advice=advice, values=values, status=status)
