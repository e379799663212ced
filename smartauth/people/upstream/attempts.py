"""What is remembered of a sign-in while the person is away at the identity provider: in the session, for one answer."""

import base64
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from django.contrib.sessions.backends.base import SessionBase
from django.contrib.sessions.models import Session
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone

from smartauth.digests import new_secret

SESSION_KEY = "upstream_attempts"
SILENT_KEY = "upstream_asked_silently"
LONGEST = timedelta(minutes=15)  # a person may take to sign in there
MOST = 10  # tabs in which one person signs in at once; a browser that restores a session opens many

Prompt = Literal["", "none", "login"]


@dataclass(frozen=True, slots=True)
class Attempt:
    """One journey to the provider. `at`: seconds since the epoch.  max_age: seconds.  next: a path of ours, or "".

    Source: OIDC Core §3.1.2.1; RFC 7636 §4.1.
    """

    nonce: str
    verifier: str
    at: float
    next: str
    prompt: Prompt
    max_age: int

    @property
    def began(self) -> datetime:
        return datetime.fromtimestamp(self.at, UTC)

    @property
    def challenge(self) -> str:
        """Return the S256 challenge of the verifier."""
        hashed = hashlib.sha256(self.verifier.encode("ascii")).digest()
        return base64.urlsafe_b64encode(hashed).rstrip(b"=").decode("ascii")


def begin(request: HttpRequest, *, then: str, prompt: Prompt, max_age: int, now: datetime) -> tuple[str, Attempt]:
    """Remember a new attempt in the session and return it with its `state`."""
    attempt = Attempt(new_secret(), new_secret(), now.timestamp(), then, prompt, max_age)
    state = new_secret()
    with _alone(request) as session:
        kept: dict[str, Any] = session.get(SESSION_KEY, {})
        session[SESSION_KEY] = dict([*kept.items(), (state, asdict(attempt))][-MOST:])
        if prompt == "none":
            asked = [path for path in _asked_silently(session) if path != then]
            session[SILENT_KEY] = [*asked, then][-MOST:]
    return state, attempt


def take(request: HttpRequest, state: str, *, now: datetime) -> Attempt | None:
    """Return the attempt with this `state`, once and not too late; None for any other."""
    with _alone(request) as session:
        kept: dict[str, Any] = session.get(SESSION_KEY, {})
        found = kept.pop(state, None)
        if found is None:
            return None
        session[SESSION_KEY] = kept
    attempt = Attempt(**cast(dict[str, Any], found))
    return attempt if now - attempt.began <= LONGEST else None


def was_asked_silently(request: HttpRequest, path: str) -> bool:
    """Return True when the provider was asked in this session whether somebody is signed in, on the way to `path`."""
    return path in _asked_silently(request.session)


def _asked_silently(session: SessionBase) -> list[str]:
    found: list[str] = session.get(SILENT_KEY, [])
    return found


@contextmanager
def _alone(request: HttpRequest) -> Iterator[SessionBase]:
    """Change what the session keeps while no other request of the same browser does, and save it at once.

    Django saves the whole session at the end of a request, as it was at its beginning: of tabs that begin together all
    but one would be forgotten. It does not save it where the answer is a 5xx, and that answer would not count.
    """
    own = request.session
    with transaction.atomic():
        if not Session.objects.select_for_update().filter(
            session_key=own.session_key or "", expire_date__gt=timezone.now()
        ):
            if own.session_key:  # Signed out in another tab at this moment: what was begun went with the session.
                own.flush()
            yield own  # A new one; it has a name once the response is made.
            return
        shared = type(own)(own.session_key)
        yield shared
        if shared.modified:
            shared.save()
    # What else this request saves, such as a new name for the session, must not bring back what was taken.
    is_modified = own.modified
    for name in (SESSION_KEY, SILENT_KEY):
        if name in shared:
            own[name] = shared[name]
    own.modified = is_modified
