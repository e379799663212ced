"""A form that is sent twice gets the answer of the first time again, for as long as somebody may press twice.

A browser shows only the answer to the second press. Without this the app would never hear of the first.
The answer holds a code, which is kept nowhere in clear: it is sealed, and found by who sent which form.
"""

from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from msgspec import json

from smartauth import tokens
from smartauth.browser import RedirectToClient
from smartauth.digests import digest
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "answer to a consent form"
KEPT = 10  # seconds


def keep(request: HttpRequest, answer: RedirectToClient, code: str = "") -> RedirectToClient:
    """Remember the answer to a form, with the code in it, and return it. Call it in the transaction of the answer."""
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("an answer is kept in the transaction that gives it")
    if request.method == "POST":
        sealed = encrypt(json.encode([answer["Location"], code]), purpose=PURPOSE)
        cache.set(_name(request), sealed, KEPT)
    return answer


def find(request: HttpRequest) -> RedirectToClient | None:
    """Return what the same form was answered a moment ago; None where it was another one, or the code was used.

    A code that comes back after its use would end what was granted (RFC 6749 §4.1.2).
    """
    sealed = cache.get(_name(request)) if request.method == "POST" else None
    if sealed is None:
        return None
    try:
        url, code = json.decode(decrypt(sealed, purpose=PURPOSE))
    except Unsealable:  # The keys of the server were changed meanwhile.
        return None
    return None if code and not tokens.is_unused(code) else RedirectToClient(url)


def _name(request: HttpRequest) -> str:
    sent = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    who = [request.session.session_key, request.user.pk, request.path]
    return f"pressed:{digest(json.encode([who, sent]).decode())}"
