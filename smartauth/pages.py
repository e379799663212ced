"""Pages that belong to no other part: the landing page, signing in, and error pages."""

import logging
from typing import Any
from urllib.parse import urlencode

from allauth.account.utils import get_next_redirect_url
from allauth.account.views import LoginView, LogoutView, ReauthenticateView, SignupView
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.middleware.csrf import REASON_NO_CSRF_COOKIE
from django.shortcuts import render
from django.urls import reverse
from django.utils.functional import SimpleLazyObject
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from clients.portal.access import may_use_portal
from clients.tenants import find_default_tenant
from smartauth import endpoints, languages, second_factors, skins
from smartauth.browser import PageRefused, error_page, too_many_page
from smartauth.conf import config
from smartauth.context import context_of
from smartauth.errors import Refusal, TooManyRequests
from smartauth.people import changes, wrong_passwords
from smartauth.people.upstream.asking import begin_url, provider_name
from smartauth.people.upstream.proofs import is_from_upstream

_log = logging.getLogger(__name__)

AFTER_GUESSES = 300  # seconds; how long wrong passwords of one user count
MINUTE = 60  # seconds; how long requests of one address count


def site(request: HttpRequest) -> dict[str, Any]:
    """Give every template the mode, which a sandbox tells on every page, the languages, whose look, whose portal."""
    return {
        "is_sandbox": config().is_sandbox,
        "trace_id": str(context_of(request).trace_id),
        "languages": languages.choices(request),
        "wrong_passwords": lambda: wrong_passwords.take(request),  # Told once.
        "skin": SimpleLazyObject(lambda: skins.skin_of(request)),
        "account_changes": lambda: changes.take(request),  # Told once.
        "has_portal": lambda: may_use_portal(request.user),  # Asked only by pages that tell it.
    }


def landing(request: HttpRequest) -> HttpResponse:
    """Say what this server is and where its documents are."""
    tenant = find_default_tenant()
    documents = [(_("Public keys"), endpoints.jwks_uri())]
    if tenant is not None:
        documents = [
            (_("OpenID configuration"), f"{endpoints.issuer()}/.well-known/openid-configuration"),
            (_("SMART configuration"), f"{tenant.fhir_base}/.well-known/smart-configuration"),
            (_("Capability statement"), f"{tenant.fhir_base}/metadata"),
            *documents,
        ]
    # On the configured origin: the app's session belongs to that, whatever this host is called in the address bar.
    launcher = f"{config().base_url}/launcher/"
    facts = {"tenant": tenant, "documents": documents, "launcher": launcher, "sample_app": f"{launcher}app/"}
    return render(request, "landing.html", facts)


class SignIn(LoginView):
    """The sign-in page, which says with its status too when it does not look at a password any more."""

    template_name = "account/login.html"

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        facts: dict[str, Any] = super().get_context_data(**kwargs)
        return facts | {"upstream": _upstream(facts.get("redirect_field_value") or "")}

    def form_invalid(self, form: Any) -> HttpResponse:
        response: HttpResponse = super().form_invalid(form)
        if any(error.code == "too_many_login_attempts" for error in form.non_field_errors().as_data()):
            response.status_code = 429
            response["Retry-After"] = str(AFTER_GUESSES)
        return response


sign_in = SignIn.as_view()
sign_up = SignupView.as_view(template_name="account/signup.html")
_by_password = ReauthenticateView.as_view(template_name="account/reauthenticate.html")
sign_out = LogoutView.as_view(template_name="account/logout.html")


def sign_in_again(request: HttpRequest) -> HttpResponse:
    """Ask the person signed in for a fresh proof: where they gave the first one, here or at the identity provider."""
    then = get_next_redirect_url(request) or "/"
    if request.user.is_authenticated and config().upstream_idp and is_from_upstream(request):
        facts = {"upstream": _upstream(then, prompt="login"), "redirect_field_value": then}
        return render(request, "account/reauthenticate_upstream.html", facts)
    response: HttpResponse = _by_password(request)
    return response


def _upstream(then: str, **asked: str) -> dict[str, str] | None:
    """Return name and address of the identity provider for a page, None where there is none."""
    idp = config().upstream_idp
    return {"name": provider_name(idp), "url": begin_url(then, **asked)} if idp else None


def admin_login(request: HttpRequest) -> HttpResponse:
    """Send the administrator to the one sign-in there is."""
    page = "account_login"
    if request.user.is_authenticated:
        if not request.user.is_staff or second_factors.admits_staff(request):  # Another proof would not help.
            return forbidden(request)
        page = second_factors.page_to_prove(request)
    return HttpResponseRedirect(f"{reverse(page)}?{urlencode({'next': request.GET.get('next', '/admin/')})}")


def to_admin(request: HttpRequest) -> HttpResponse:
    """Accept the address without its last slash."""
    return HttpResponseRedirect("/admin/")


def bad_request(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request that cannot be read."""
    return _error(
        request,
        400,
        _("This request cannot be understood"),
        _("Something in the address or the form is wrong."),
    )


def forbidden(request: HttpRequest, exception: Exception | None = None, reason: str = "") -> HttpResponse:
    """Answer a request that is not allowed. `reason`: why the CSRF protection says so."""
    if reason == REASON_NO_CSRF_COOKIE:
        title, advice = (
            _("Your browser sent no cookie"),
            _("Allow cookies for this site, then go back and load the page again."),
        )
        return _error(request, 403, title, advice)
    if reason:
        title, advice = (
            _("This page is out of date"),
            _("Go back, load the page again, and repeat what you did."),
        )
        return _error(request, 403, title, advice)
    return _error(request, 403, _("You may not see this page"), _("Sign in as someone who may, or go back."))


def not_found(request: HttpRequest, exception: Exception | None = None) -> HttpResponse:
    """Answer a request for nothing."""
    return _error(
        request,
        404,
        _("There is no such page"),
        _("Check the address, or start at the front page."),
    )


def too_many(request: HttpRequest) -> HttpResponse:
    """Answer when signing in was tried too often from one address; django-allauth finds this in the URL map."""
    context_of(request).endpoint = "page"
    refusal = Refusal("page.429", "signing in was tried too often from one address")
    return too_many_page(request, TooManyRequests(refusal, retry_after=MINUTE))


def server_error(request: HttpRequest) -> HttpResponse:
    """Answer after our own mistake: one fixed sentence; the traceback stays with us, under the number on the page."""
    context = context_of(request)
    _log.error("request %s at %s failed; its traceback stands beside this line", context.trace_id, request.path)
    title, advice = (
        gettext("The server made a mistake"),
        gettext("Please try again; if it happens again, tell us the number."),
    )
    return render(request, "bare.html", {"title": title, "advice": advice, "skin": None}, status=500)


def _error(request: HttpRequest, status: int, title: str, advice: str) -> HttpResponse:
    context_of(request).endpoint = "page"
    return error_page(request, PageRefused(Refusal(f"page.{status}", title), title=title, advice=advice, status=status))
