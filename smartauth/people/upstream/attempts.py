"""What is remembered of a sign-in while the person is away at the identity provider: in the session, for one answer."""

import base64
import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, cast

from django.contrib.sessions.backends.base import UpdateError
from django.http import HttpRequest

from smartauth.digests import new_secret

SESSION_KEY = "upstream_attempts"
SILENT_KEY = "upstream_asked_silently"
LONGEST = timedelta(minutes=15)  # a person may take to sign in there
MOST = 5  # tabs in which one person signs in at once

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
    kept: dict[str, Any] = request.session.get(SESSION_KEY, {})
    request.session[SESSION_KEY] = dict([*kept.items(), (state, asdict(attempt))][-MOST:])
    if prompt == "none":
        request.session[SILENT_KEY] = then
    return state, attempt


def take(request: HttpRequest, state: str, *, now: datetime) -> Attempt | None:
    """Return the attempt with this `state`, once and not too late; None for any other."""
    kept: dict[str, Any] = request.session.get(SESSION_KEY, {})
    found = kept.pop(state, None)
    if found is None:
        return None
    request.session[SESSION_KEY] = kept
    try:
        request.session.save()  # Now: an answer that ends in a 5xx counts as well, and Django keeps no session then.
    except UpdateError:  # Signed out in another tab at this moment, and with the session went what was begun in it.
        request.session.flush()
        return None
    attempt = Attempt(**cast(dict[str, Any], found))
    return attempt if now - attempt.began <= LONGEST else None


def was_asked_silently(request: HttpRequest, path: str) -> bool:
    """Return True when the provider was asked in this session whether somebody is signed in, on the way to `path`."""
    return bool(request.session.get(SILENT_KEY) == path)
