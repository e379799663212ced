"""Opening a stored authorization request in a browser: whose it is, whether it still waits, and who is answering."""

import functools
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.utils import timezone
from django.utils.translation import gettext_noop as _

from clients.registered import RegisteredClient
from clients.tenants import TenantInfo
from smartauth import pending, tokens
from smartauth.browser import PageRefused, ReturnTo, allow_form_to_end_at, error_page, redirect_error
from smartauth.conf import config
from smartauth.context import RequestContext, context_of
from smartauth.digests import digest, new_secret
from smartauth.errors import ConsentRequired, LoginRequired, OAuthError, Refusal, TemporarilyUnavailable
from smartauth.models import PendingAuthorization
from smartauth.people.rights import person_at
from smartauth.people.upstream.asking import must_sign_in_again, renewed_sign_in, silent_sign_in
from smartauth.people.upstream.proofs import last_proof
from smartauth.policy.granting import picks_encounter
from smartauth.policy.scopes import Scope
from smartauth.receipts.recording import record
from smartauth.records import Person, RecordsUnavailable
from smartauth.views import pressed_twice
from smartauth.views.leading_on import START_AGAIN, by_way_of
from smartauth.views.refused import refuse
from smartauth.views.standing import require_asked, require_client

COOKIE = "smartauth_browser"


@dataclass(frozen=True, slots=True)
class Open:
    """A request that waits for an answer from the person signed in, in the browser it belongs to."""

    pending: PendingAuthorization
    client: RegisteredClient
    tenant: TenantInfo
    person: Person
    auth_time: datetime
    asked: tuple[Scope, ...]
    now: datetime

    @property
    def return_to(self) -> ReturnTo:
        return ReturnTo(self.pending.redirect_uri, self.pending.state)

    @property
    def is_silent(self) -> bool:
        """Return True when the app forbade us to show a page (OIDC Core §3.1.2.1, `prompt`)."""
        return "none" in self.pending.prompts

    @property
    def picks_visit(self) -> bool:
        """Return True when the user chooses which visit it is about."""
        return self.pending.launch is None and picks_encounter(self.asked)

    def show(self, request: HttpRequest, template: str, *, status: int = 200, **facts: object) -> HttpResponse:
        """Return a page about the request, from which forms lead to pages of ours or to the app."""
        response = render(request, template, {"opened": self, **facts}, status=status)
        return allow_form_to_end_at(response, self.pending.redirect_uri)


class AlreadyAnswered(PageRefused):
    """The request has its answer; what that shared is not for this page to say."""

    def __init__(self) -> None:
        super().__init__(
            Refusal("pending.answered", "the request has been answered already"),
            title=_("You have already answered"),
            advice=(_("This request was answered before, perhaps in another window."), START_AGAIN),
            status=409,
        )


View = Callable[[HttpRequest, Open], HttpResponse]


def continuing(view: View) -> Callable[[HttpRequest, UUID], HttpResponse]:
    """Call `view` with the request it is about, once somebody is signed in who can answer it.

    Before that the browser is sent to sign in, or back to the app where it forbade us to ask (OIDC Core §3.1.2.6). A
    form that is sent a second time is answered as it was.
    """

    @functools.wraps(view)
    def wrapper(request: HttpRequest, pk: UUID) -> HttpResponse:
        now = timezone.now()
        cookie = request.COOKIES.get(COOKIE) or new_secret()
        try:
            stored = _require_waiting(pk, digest(cookie), context_of(request), now)
        except AlreadyAnswered as answered:
            return _again(request, pk, answered)
        try:
            response = _continue(request, view, stored, now)
        except AlreadyAnswered as answered:
            response = _again(request, pk, answered)
        except PageRefused as refused:  # Here: the row is this browser's now, so the cookie goes with it.
            response = error_page(request, refused)
        if not request.COOKIES.get(COOKIE):
            # For this browser session, and for nothing but these pages.
            response.set_cookie(
                COOKIE,
                cookie,
                path="/auth/",
                httponly=True,
                samesite="Lax",
                secure=config().base_url.startswith("https://"),
            )
        return response

    return wrapper


def _again(request: HttpRequest, pk: UUID, answered: AlreadyAnswered) -> HttpResponse:
    """Return what the same form was answered a moment ago.

    Raises `answered` where this is another form, and PageRefused where the app may not be told any more.
    """
    again = pressed_twice.find(request)
    if again is None:
        raise answered
    if (stored := pending.find(pk)) is not None:
        require_client(stored)
    return again


def _continue(request: HttpRequest, view: View, stored: PendingAuthorization, now: datetime) -> HttpResponse:
    client = require_client(stored)
    silent = "none" in stored.prompts
    try:
        tenant, asked = require_asked(stored, client)
    except OAuthError as error:
        pending.mark_answered(stored, now)
        return refuse(request, client, ReturnTo(stored.redirect_uri, stored.state), error, silent=silent)
    if not request.user.is_authenticated:
        if url := silent_sign_in(request, stored):
            return HttpResponseRedirect(url)
        if silent:
            return _back(request, stored, LoginRequired(Refusal("prompt.none", "nobody is signed in")))
        return by_way_of("account_login", request)
    proof = last_proof(request)
    if must_sign_in_again(stored, proof, now):
        if url := renewed_sign_in(request, stored):
            return HttpResponseRedirect(url)
        if silent:
            return _back(request, stored, LoginRequired(Refusal("prompt.max_age", "the user signed in too long ago")))
        return by_way_of("account_reauthenticate", request)
    if silent and tenant.slug not in client.skips_consent and not tokens.remembers_any(stored, request.user.pk, now):
        return _back(request, stored, ConsentRequired(Refusal("prompt.none", "the user would have to be asked")))
    pending.bind_to_user(stored, request.user.pk)
    person = person_at(request.user, tenant, client_id=client.client_id, restrictions=client.restrictions, now=now)
    opened = Open(stored, client, tenant, person, proof.auth_time, asked, now)
    try:
        return view(request, opened)
    except RecordsUnavailable as error:
        away = Refusal("records.unavailable", "the FHIR server could not be asked", officer=str(error)[:500])
        if silent:
            return _back(request, stored, TemporarilyUnavailable(away))
        return _away_page(request, opened, away)


def _away_page(request: HttpRequest, opened: Open, away: Refusal) -> HttpResponse:
    """Return the page for records that do not answer: what was sent can be sent again as it was, or the app told no."""
    record(context_of(request), status=503, error="page", refusal=away)
    sent = [(name, value) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken" for value in values]
    response = opened.show(request, "consent/records_away.html", status=503, sent=sent)
    response["Retry-After"] = "5"
    return response


def _require_waiting(pk: UUID, browser: str, context: RequestContext, now: datetime) -> PendingAuthorization:
    """Return the request if this browser may answer it and nobody has. Raises PageRefused."""
    stored = pending.find(pk)
    if stored is None:
        refusal = Refusal("pending.unknown", "there is no such authorization request, or it was long ago")
        raise PageRefused(refusal, title=_("This request is not known here"), advice=START_AGAIN, status=404)
    context.client_id, context.tenant = stored.client.client_id, stored.tenant.slug
    if stored.expires_at <= now:
        raise PageRefused(
            Refusal("pending.expired", "the request was not answered in time"),
            title=_("This page has expired"),
            advice=(_("You had %(minutes)d minutes to answer."), START_AGAIN),
            values={"minutes": config().pending_lifetime.seconds // 60},
            status=410,
        )
    if not pending.bind_to_browser(stored, browser):
        raise PageRefused(
            Refusal("pending.browser", "the request was begun in another browser, or this one keeps no cookies"),
            title=_("This page belongs to another browser"),
            advice=(
                _("It was opened in another browser or window first, or your browser does not keep cookies."),
                _("Allow cookies for this site."),
                START_AGAIN,
            ),
            status=403,
        )
    if stored.answered_at is not None:
        raise AlreadyAnswered()
    return stored


def _back(request: HttpRequest, stored: PendingAuthorization, error: OAuthError) -> HttpResponse:
    pending.mark_answered(stored, timezone.now())
    return redirect_error(request, ReturnTo(stored.redirect_uri, stored.state), error)
