"""Answers that stand for later requests like them, until a day, or until somebody stops the app or answers anew.

What is remembered hangs on the Authorization it was said with. Whatever revokes that forgets it: stopping the app, a
new password, a locked account, a relation that ended, a stolen token.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db.models import QuerySet

from smartauth.models import Authorization, PendingAuthorization
from smartauth.policy.unasked import same_scopes, stands_until


@dataclass(frozen=True, slots=True)
class Remembered:
    """An answer given before. `scope` is what was granted with it, `ends_at` when that is over, None for no end."""

    authorization: UUID
    scope: str
    ends_at: datetime | None


def find_remembered(pending: PendingAuthorization, asked: str, now: datetime, *, days: int) -> Remembered | None:
    """Return the newest answer that stands for this request: same user, app, tenant, record and scopes; or None.

    asked: what is asked for, as scope text.    days: for how many the tenant lets answers stand now.
    """
    for row in _remembered(pending).filter(remembered_until__gt=now).order_by("-created_at"):
        if row.remembered_until is None or stands_until(row.remembered_until, row.created_at, days) <= now:
            continue
        if str(row.context.get("patient", "")) == pending.patient and same_scopes(asked, row.remembered_scope):
            return Remembered(row.pk, row.scope, row.ends_at)
    return None


def remembers_any(pending: PendingAuthorization, user: int, now: datetime) -> bool:
    """Return True when some answer of a user about this app stands, whatever it was about."""
    return _remembered(pending, user).filter(remembered_until__gt=now).exists()


def forget(pending: PendingAuthorization) -> None:
    """Forget what was remembered for this user, app and record, because it is being answered anew."""
    rows = _remembered(pending)
    if pending.patient:
        rows = rows.filter(context__patient=pending.patient)
    else:
        rows = rows.exclude(context__has_key="patient")
    rows.update(remembered_until=None, remembered_scope="")


def _remembered(pending: PendingAuthorization, user: int | None = None) -> QuerySet[Authorization]:
    return Authorization.objects.filter(
        kind=Authorization.Kind.USER,
        user_id=user or pending.user_id,
        client_id=pending.client_id,
        tenant_id=pending.tenant_id,
        revoked_at__isnull=True,
        remembered_until__isnull=False,
    )
