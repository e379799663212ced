"""A fresh proof before something that lasts, from people whose only proof is at the identity provider.

allauth asks for a password or a second factor before a new one is set up, and lets pass whoever has neither.
"""

import functools
from collections.abc import Callable
from datetime import timedelta
from urllib.parse import urlencode

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from smartauth.conf import config
from smartauth.people.upstream.asking import begin_url
from smartauth.people.upstream.proofs import is_from_upstream, last_proof

GOOD_FOR = timedelta(minutes=5)

View = Callable[..., HttpResponse]


def freshly_proven(view: View) -> View:
    """Send people without a password to the identity provider first, unless they have just come from there."""

    @functools.wraps(view)
    def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
        if not _must_prove(request):
            return view(request, *args, **kwargs)
        if request.method == "GET":
            return HttpResponseRedirect(begin_url(request.path, prompt="login"))
        return HttpResponseRedirect(f"{reverse('account_reauthenticate')}?{urlencode({'next': request.path})}")

    return wrapper


def _must_prove(request: HttpRequest) -> bool:
    if config().upstream_idp is None or not request.user.is_authenticated or request.user.has_usable_password():
        return False
    return is_from_upstream(request) and timezone.now() - last_proof(request).shown_at > GOOD_FOR
