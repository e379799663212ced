"""Sign-ins, good and bad, and sign-outs in the audit trail."""

from collections.abc import Callable, Mapping
from typing import Any

from allauth.account.authentication import get_authentication_records
from allauth.account.signals import password_changed
from allauth.mfa.models import Authenticator
from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.people import changes, wrong_passwords
from smartauth.people.models import User

UPSTREAM = "upstream"  # as smartauth.people.upstream.proofs names that way in


def listen() -> None:
    """Record from now on. Called once, at start."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    password_changed.connect(_new_password, dispatch_uid="audit")
    authenticator_added.connect(_second_factor("second-factor-added"), weak=False, dispatch_uid="audit")
    authenticator_reset.connect(_second_factor("second-factor-renewed"), weak=False, dispatch_uid="audit")
    authenticator_removed.connect(_second_factor("second-factor-removed"), weak=False, dispatch_uid="audit")


def _signed_in(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    wrong_passwords.move_to_session(request, user.pk)
    changes.move_to_session(request, user.pk)
    ways = {proof["method"] for proof in get_authentication_records(request, user)}
    _record("sign-in", request, user, details={"by": UPSTREAM} if UPSTREAM in ways else {})


def _signed_out(sender: object, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _record("sign-out", request, user)


def _failed(sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Record whose password was guessed at. A name nobody has is not kept: it may be a password in the wrong field."""
    user = User.objects.filter(username=credentials.get("username", "")).first()
    if user is not None:
        wrong_passwords.note(user.pk)
    _record("sign-in-failed", request, user)


def _new_password(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    _record(changes.PASSWORD, request, user)


def _second_factor(action: str) -> Callable[..., None]:
    def record(request: HttpRequest, user: User, authenticator: Authenticator, **kwargs: Any) -> None:
        _record(action, request, user, details={"type": authenticator.type})

    return record


def _record(
    action: str, request: HttpRequest | None, user: User | None, *, details: Mapping[str, str] | None = None
) -> None:
    if hasattr(request, "context"):  # A script or test may sign somebody in without a request of ours.
        context = context_of(request)
        whose = user.pk if user else None
        record_now(context, AuditEvent(action, client_id=context.client_id, user=whose, details=details or {}))
