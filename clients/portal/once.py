"""A form that is sent twice does its work once: the second time the answer of the first is given again, for a minute.

Whoever presses twice sees only the second answer, and what is secret stands on the first. It is kept sealed under the
number of the form, which is in the page and nowhere here.
"""

import base64
import hashlib
from dataclasses import dataclass, field

from cryptography.fernet import Fernet
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from msgspec import json

from smartauth.digests import digest, new_secret
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "answer to a form"
FIELD = "form"
KEPT = 60  # seconds
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
    if not transaction.get_connection().in_atomic_block:
        raise RuntimeError("what a form has done is kept in the transaction that does it")
    form = _form(request)
    if form:
        said = json.encode([done.client_id, done.secret, done.said])
        cache.set(_name(request, form), encrypt(_lock(form).encrypt(said), purpose=PURPOSE), KEPT)


def find(request: HttpRequest) -> Done | None:
    """Return what this form did when it was sent before in this session, None for the first time or long after."""
    form = _form(request)
    kept = cache.get(_name(request, form)) if form else None
    if kept is None:
        return None
    try:
        return Done(*json.decode(_lock(form).decrypt(decrypt(kept, purpose=PURPOSE))))
    except Unsealable:  # The keys of the server were changed within the minute.
        return None


def _form(request: HttpRequest) -> str:
    form: str = request.POST.get(FIELD, "")
    return form if len(form) <= LONGEST else ""


def _name(request: HttpRequest, form: str) -> str:
    return f"form:{digest(f'{request.session.session_key} {request.user.pk} {form}')}"


def _lock(form: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(form.encode()).digest()))
