"""A form that is sent twice is given the answer of the first time again, for as long as somebody may press twice.

A browser shows only the answer to the second press. What is kept of the first is found by who sent what, sealed, and
locked under what was sent: where that holds a number which is in the page alone, we cannot open it by ourselves.
"""

import base64
import hashlib
from dataclasses import dataclass

from cryptography.fernet import Fernet
from django.core.cache import cache
from django.db import transaction
from django.http import HttpRequest
from msgspec import json

from smartauth.digests import digest
from smartauth.sealing import Unsealable, decrypt, encrypt


@dataclass(frozen=True, slots=True)
class Answers:
    """The answers to one kind of form. `purpose`: what they are sealed for. `kept`: seconds."""

    purpose: str
    kept: int

    def keep(self, request: HttpRequest, sent: str, answer: list[str]) -> None:
        """Remember the answer to what was sent, unless that is "". Call it in the transaction that does the work."""
        if not transaction.get_connection().in_atomic_block:
            raise RuntimeError("what a form was answered is kept in the transaction that does its work")
        if sent:
            locked = _lock(sent).encrypt(json.encode(answer))
            cache.set(self._name(request, sent), encrypt(locked, purpose=self.purpose), self.kept)

    def find(self, request: HttpRequest, sent: str) -> list[str] | None:
        """Return what the same was answered when this user sent it a moment ago in this session, else None."""
        sealed = cache.get(self._name(request, sent)) if sent else None
        if sealed is None:
            return None
        try:
            answer: list[str] = json.decode(_lock(sent).decrypt(decrypt(sealed, purpose=self.purpose)))
        except Unsealable:  # The keys of the server were changed meanwhile.
            return None
        return answer

    def _name(self, request: HttpRequest, sent: str) -> str:
        who = [self.purpose, request.session.session_key, request.user.pk, sent]
        return f"sent:{digest(json.encode(who).decode())}"


def _lock(sent: str) -> Fernet:
    return Fernet(base64.urlsafe_b64encode(hashlib.sha256(sent.encode()).digest()))
