"""A form about an authorization request that is sent twice sends the browser to the app twice, the same way.

Without this the app would never hear of the first answer, which holds its code.
"""

from django.http import HttpRequest, HttpResponse
from msgspec import json

from smartauth import tokens
from smartauth.browser import RedirectToClient
from smartauth.sent_twice import Answers

ANSWERS = Answers("answer to a consent form", kept=10)


def keep(request: HttpRequest, answer: HttpResponse, code: str = "") -> HttpResponse:
    """Remember a redirect that answers a form, with the code in it, and return it. Call it in its transaction."""
    ANSWERS.keep(request, _form(request), [answer["Location"], code])
    return answer


def find(request: HttpRequest) -> HttpResponse | None:
    """Return what the same form was answered a moment ago; None where it was another one, or the code was used.

    A code that comes back after its use would end what was granted (RFC 6749 §4.1.2).
    """
    kept = ANSWERS.find(request, _form(request))
    if kept is None:
        return None
    url, code = kept
    return None if code and not tokens.is_unused(code) else RedirectToClient(url)


def _form(request: HttpRequest) -> str:
    sent = sorted((name, values) for name, values in request.POST.lists() if name != "csrfmiddlewaretoken")
    return json.encode([request.path, sent]).decode() if request.method == "POST" else ""
