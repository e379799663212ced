"""Whether a person is sent to the identity provider without a page of ours in between, and with which question."""

from datetime import datetime
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils.translation import gettext

from smartauth.conf import UpstreamIdp, config
from smartauth.models import PendingAuthorization
from smartauth.people.upstream.attempts import was_asked_silently
from smartauth.people.upstream.proofs import Proof, is_from_upstream

ASK_FIRST = frozenset({"login", "select_account"})
SHORTEST = 60  # seconds; a younger proof than this is always a new one, whatever the difference of the clocks


def provider_name(idp: UpstreamIdp) -> str:
    """Return what people call the provider, in their language where nobody gave it a name."""
    return idp.name or gettext("your organisation")


def begin_url(then: str, **asked: str) -> str:
    """Return the path that sends somebody to the provider and from there to `then`. asked: prompt, max_age."""
    return f"{reverse('upstream_sign_in')}?{urlencode({'next': then} | asked)}"


def silent_sign_in(request: HttpRequest, stored: PendingAuthorization) -> str | None:
    """Return where to ask the provider, once and without a page, whether it knows who is there; None where not.

    Not after a form: browsers apply `form-action` of its page to every redirect. Not where somebody was signed in for
    this request before: they signed out, and want to be somebody else.
    """
    may_ask = config().upstream_idp is not None and request.method == "GET" and stored.user_id is None
    if not may_ask or ASK_FIRST & set(stored.prompts) or was_asked_silently(request, request.path):
        return None
    return begin_url(request.path, prompt="none")


def renewed_sign_in(request: HttpRequest, stored: PendingAuthorization) -> str | None:
    """Return where the provider is asked for the newer proof that an app wants, None where it is asked for here."""
    if config().upstream_idp is None or request.method != "GET" or not is_from_upstream(request):
        return None
    max_age = stored.max_age or 0
    if "none" in stored.prompts:
        asked = was_asked_silently(request, request.path)
        return None if asked else begin_url(request.path, prompt="none", max_age=str(max_age))
    if "login" in stored.prompts or max_age < SHORTEST:
        return begin_url(request.path, prompt="login")
    return begin_url(request.path, max_age=str(max_age))


def must_sign_in_again(stored: PendingAuthorization, proof: Proof, now: datetime) -> bool:
    """Say whether the app wants a newer proof of who is there (OIDC Core §3.1.2.1, `prompt` and `max_age`)."""
    if proof.shown_at >= (stored.opened_at or stored.created_at):
        return False
    too_old = stored.max_age is not None and (now - proof.auth_time).total_seconds() > stored.max_age
    return "login" in stored.prompts or too_old
