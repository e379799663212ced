"""A form of the portal that is sent twice does its work once; for a minute the second time shows what the first did.

What is secret stands on that answer, so the form has a number, which is in the page and nowhere here.
"""

from dataclasses import astuple, dataclass, field

from django.http import HttpRequest

from smartauth.digests import new_secret
from smartauth.sent_twice import Answers

ANSWERS = Answers("answer to a form", kept=60)
FIELD = "form"
LONGEST = 100  # characters of what may be a number of ours


@dataclass(frozen=True, slots=True)
class Done:
    """What a form has done. `secret`: in clear, "" where none was made."""

    client_id: str
    secret: str = field(default="", repr=False)
    said: str = ""


def new_form() -> str:
    """Return the number of a form that is about to be shown."""
    return new_secret()


def keep(request: HttpRequest, done: Done) -> None:
    """Remember what the form of this request has done. Call it in the transaction that does it."""
    ANSWERS.keep(request, _form(request), list(astuple(done)))


def find(request: HttpRequest) -> Done | None:
    """Return what this form did when it was sent before in this session, None for the first time or long after."""
    kept = ANSWERS.find(request, _form(request))
    return None if kept is None else Done(*kept)


def _form(request: HttpRequest) -> str:
    form: str = request.POST.get(FIELD, "")
    return form if len(form) <= LONGEST else ""
