"""Sign-ins, good and bad, and sign-outs in the audit trail."""

from collections.abc import Callable
from typing import Any

from allauth.mfa.signals import authenticator_added, authenticator_removed, authenticator_reset
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.http import HttpRequest

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import context_of
from smartauth.people.models import User


def listen() -> None:
    """Record from now on. Called once, at start."""
    user_logged_in.connect(_signed_in, dispatch_uid="audit")
    user_logged_out.connect(_signed_out, dispatch_uid="audit")
    user_login_failed.connect(_failed, dispatch_uid="audit")
    authenticator_added.connect(_second_factor("second-factor-added"), weak=False, dispatch_uid="audit")
    authenticator_reset.connect(_second_factor("second-factor-renewed"), weak=False, dispatch_uid="audit")
    authenticator_removed.connect(_second_factor("second-factor-removed"), weak=False, dispatch_uid="audit")


def _signed_in(sender: object, request: HttpRequest, user: User, **kwargs: Any) -> None:
    _record("sign-in", request, user)


def _signed_out(sender: object, request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _record("sign-out", request, user)


def _failed(sender: object, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    """Record whose password was guessed at. A name nobody has is not kept: it may be a password in the wrong field."""
    user = User.objects.filter(username=credentials.get("username", "")).first()
    _record("sign-in-failed", request, user)


def _second_factor(action: str) -> Callable[..., None]:
    def record(request: HttpRequest, user: User, **kwargs: Any) -> None:
        _record(action, request, user)

    return record


def _record(action: str, request: HttpRequest | None, user: User | None) -> None:
    if hasattr(request, "context"):  # A script or test may sign somebody in without a request of ours.
        context = context_of(request)
        record_now(context, AuditEvent(action, client_id=context.client_id, user=user.pk if user else None))
