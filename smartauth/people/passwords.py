"""A new password ends what was granted under the old one: whoever knew that may have granted it (RFC 9700 §4.14).

Django tells its password validators of every change, by whatever page, command or script, and of no change that only
stores the same password in a newer way. So this one is a validator, although it forbids nothing.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.utils import timezone

from smartauth.context import RequestContext, new_context
from smartauth.people.models import User
from smartauth.tokens import revoke_for_user

_by: ContextVar[tuple[RequestContext, int] | None] = ContextVar("password_changed_by", default=None)


class EndsGrants:
    """Forbids nothing, and ends what the user had granted."""

    def validate(self, password: str, user: Any = None) -> None:
        """Accept any password."""

    def get_help_text(self) -> str:
        """Return what people are told who are about to choose one."""
        return "With a new password, apps that were connected before have to ask again."

    def password_changed(self, password: str, user: User) -> None:
        """Revoke everything the user has granted."""
        context, administrator = _by.get() or (new_context(), None)
        revoke_for_user(user.pk, by="password", now=timezone.now(), context=context, administrator=administrator)


@contextmanager
def changed_by(administrator: int, context: RequestContext) -> Iterator[None]:
    """Name the administrator who changes somebody's password within, by primary key, for the audit trail."""
    token = _by.set((context, administrator))
    try:
        yield
    finally:
        _by.reset(token)
