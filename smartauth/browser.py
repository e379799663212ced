"""How a request by a browser ends: on a page of ours, or back at the app. The counterpart of `responses.py` for people.

Until client and redirect URI are proven nothing is redirected anywhere (RFC 6749 §4.1.2.1, RFC 9700 §4.11.2).
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.encoding import iri_to_uri
from django.utils.translation import gettext
from django.utils.translation import gettext_noop as _

from smartauth import endpoints
from smartauth.conf import config
from smartauth.context import RequestContext, context_of
from smartauth.errors import MethodNotAllowed, OAuthError, Refusal, TooManyRequests
from smartauth.policy.redirects import form_action_source, with_parameters
from smartauth.receipts.recording import record
from smartauth.responses import require_method


class PageRefused(Exception):
    """The request ends here, on a page. `title` and `advice` are for the person; `refusal` is for the receipt.

    They are in English, and translated where the page is made: `advice` sentence by sentence, with `values` put in.
    """

    def __init__(
        self,
        refusal: Refusal,
        *,
        title: str,
        advice: str | tuple[str, ...],
        status: int = 400,
        values: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(refusal.reason)
        self.refusal = refusal
        self.title = title
        self.advice = (advice,) if isinstance(advice, str) else advice
        self.values = values or {}
        self.status = status


@dataclass(frozen=True, slots=True)
class ReturnTo:
    """The proven redirect URI of a client, and the `state` that goes back with every answer; "" when it had none."""

    redirect_uri: str
    state: str


class RedirectToClient(HttpResponse):
    """A redirect to a registered URI of any scheme: Django's own class knows http, https and ftp only.

    303, so that a browser that posted a form does not post it again (RFC 9700 §4.12).
    """

    status_code = 303

    def __init__(self, url: str) -> None:
        super().__init__()
        self["Location"] = iri_to_uri(url)
        self["Cache-Control"] = "no-store"
        self["Referrer-Policy"] = "no-referrer"
        del self["Content-Type"]


def browser_page(*methods: str, endpoint: str) -> Callable[[Callable[..., HttpResponse]], Callable[..., HttpResponse]]:
    """Make a page of a view: what it refuses becomes the error page and leaves a receipt. Nothing is cached."""

    def decorate(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            context_of(request).endpoint = endpoint
            try:
                require_method(request, *methods)
                response = view(request, *args, **kwargs)
            except PageRefused as refused:
                response = error_page(request, refused)
            except MethodNotAllowed as error:
                response = error_page(request, _as_page(error))
                response["Allow"] = error.allow
            except TooManyRequests as error:
                response = too_many_page(request, error)
            except (OperationalError, InterfaceError):
                response = _unavailable(request)
            response["Cache-Control"] = "no-store"
            return response

        return wrapper

    return decorate


def error_page(request: HttpRequest, refused: PageRefused) -> HttpResponse:
    """Return the page that says why it does not go on, and write the receipt its number leads to."""
    context = context_of(request)
    record(context, status=refused.status, error="page", refusal=refused.refusal)
    advice = " ".join(gettext(sentence) % refused.values for sentence in refused.advice)
    return render(request, "error.html", {"title": gettext(refused.title), "advice": advice}, status=refused.status)


def too_many_page(request: HttpRequest, error: TooManyRequests) -> HttpResponse:
    """Return the page for somebody whose address asks too often."""
    title = _("Too many requests")
    advice = _("Too much came from your network at once. Please wait a little and try again.")
    response = error_page(request, PageRefused(error.refusal, title=title, advice=advice, status=error.status))
    response["Retry-After"] = str(error.retry_after)
    return response


def redirect_error(request: HttpRequest, return_to: ReturnTo, error: OAuthError) -> RedirectToClient:
    """Send an error back to the app, with its `state`, and write the receipt.  Source: RFC 6749 §4.1.2.1."""
    context = context_of(request)
    record(context, status=303, error=error.code, refusal=error.refusal)
    return RedirectToClient(error_url(return_to, *told_error(context, error)))


def told_error(context: RequestContext, error: OAuthError) -> tuple[str, str]:
    """Return `error` and `error_description` as an app is told them."""
    return error.code, f"{error.description} (trace {context.trace_id})"


def error_url(return_to: ReturnTo, error: str, description: str) -> str:
    """Return the URL at which an app is told an error.  Source: RFC 6749 §4.1.2.1."""
    return _url(return_to, {"error": error, "error_description": description})


def redirect_code(return_to: ReturnTo, code: str) -> RedirectToClient:
    """Send an authorization code back to the app.  Source: RFC 6749 §4.1.2."""
    return RedirectToClient(_url(return_to, {"code": code}))


def page_policy_text(form_target: str = "") -> str:
    """Return the Content-Security-Policy of a page: nothing from elsewhere, framed by nobody (RFC 9700 §4.16).

    form_target: a source expression where a form may end besides our own pages.
    """
    targets = f"'self' {form_target}".rstrip()
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; font-src 'self'; "
        f"connect-src 'self'; form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


def allow_form_to_end_at(response: HttpResponse, redirect_uri: str) -> HttpResponse:
    """Let the browser follow a form on this page to the app: it applies `form-action` to redirects, too."""
    response["Content-Security-Policy"] = page_policy_text(form_action_source(redirect_uri))
    return response


def _url(return_to: ReturnTo, parameters: dict[str, str]) -> str:
    if return_to.state:
        parameters["state"] = return_to.state
    if config().callback_iss:
        parameters["iss"] = endpoints.issuer()  # RFC 9207 §2, on errors as well
    return with_parameters(return_to.redirect_uri, parameters)


def _as_page(error: OAuthError) -> PageRefused:
    return PageRefused(
        error.refusal,
        title=_("This request cannot be understood"),
        advice=_("Go back to the app and start again."),
        status=error.status,
    )


def _unavailable(request: HttpRequest) -> HttpResponse:
    """Return the page for a database that is away: there is nowhere to keep a receipt, or a session."""
    response = render(
        request,
        "bare.html",
        {
            "title": gettext("Not available at the moment"),
            "advice": gettext("Please wait a little and try again."),
            "skin": None,
        },
        status=503,
    )
    response["Retry-After"] = "5"
    return response
