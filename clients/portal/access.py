"""Who may use the partner portal, and which clients are theirs."""

import functools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import reverse

from clients.acting import NotPossible
from clients.models import Client, Draft
from clients.registered import CLIENT_ID
from smartauth.browser import PageRefused, browser_page
from smartauth.conf import config
from smartauth.errors import Refusal

RIGHT = "clients.own_client"
View = Callable[..., HttpResponse]
SIGNED_OUT = {
    "error": "signed_out",
    "reason": "you are signed out",
    "fix": "Copy what you typed last, sign in again, and go on with the draft.",
}


def may_use_portal(user: Any) -> bool:
    """Return True for somebody who may register apps: in the sandbox everybody who is signed in."""
    return bool(user.is_authenticated and (config().is_sandbox or user.has_perm(RIGHT)))


def portal_page(*methods: str, endpoint: str = "developers") -> Callable[[View], View]:
    """Make a page of the portal of a view: whoever is not signed in does so first, and comes back.

    What the view finds cannot be done now, and does not answer itself, ends on the page that says so.
    """

    def decorate(view: View) -> View:
        @functools.wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            is_page = "GET" in methods
            if not request.user.is_authenticated:
                if "application/json" in request.headers.get("Accept", ""):
                    return JsonResponse(SIGNED_OUT, status=401)
                here = request.get_full_path() if is_page else _page_of(kwargs)
                return HttpResponseRedirect(f"{reverse('account_login')}?{urlencode({'next': here})}")
            if request.method == "GET" and not is_page:  # The address of an answer, loaded anew: nothing is repeated.
                return HttpResponseRedirect(_page_of(kwargs))
            if not may_use_portal(request.user):
                raise PageRefused(
                    Refusal("portal.right", "the user may not register apps"),
                    title="You may not register apps here",
                    advice="Ask the operator of this server for an account that may.",
                    status=403,
                )
            try:
                return view(request, *args, **kwargs)
            except NotPossible as error:
                raise _not_now(error) from None

        return browser_page(*dict.fromkeys(("GET", *methods)), endpoint=endpoint)(guarded)

    return decorate


def _not_now(error: NotPossible) -> PageRefused:
    advice = f"{error.refusal.reason}. {error.refusal.fix}".strip()
    return PageRefused(error.refusal, title="This cannot be done now", advice=advice, status=error.status)


def _page_of(words: Mapping[str, Any]) -> str:
    """Return the page on which a form stands that can only be posted.    words: of the form's own path."""
    if "client_id" in words:
        return reverse("client_page", args=[words["client_id"]])
    return reverse("review", args=[words["pk"]]) if "pk" in words else reverse("developers")


def find_own_client(user: Any, client_id: str) -> Client | None:
    """Return a client of the user, or None: that it is somebody else's and that there is none look the same."""
    if CLIENT_ID.fullmatch(client_id) is None:
        return None  # Also what the database cannot be asked for, such as NUL.
    return Client.objects.filter(user=user, client_id=client_id).first()


def find_own_draft(user: Any, pk: int) -> Draft | None:
    """Return a draft of the user, or None."""
    return Draft.objects.filter(owner=user, pk=pk).select_related("client").first()


def not_yours(what: str) -> PageRefused:
    """Return the page for an app or a draft that is not there, or is somebody else's."""
    return PageRefused(
        Refusal("portal.not_yours", f"the user has no such {what}"),
        title=f"You have no such {what}",
        advice="It may have been deleted, or belong to another account. Your apps are on the front page of the portal.",
        status=404,
    )
