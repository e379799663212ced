"""Tokens by which a partner's own programs use the portal's JSON interface.

Of 256 random bits, kept as a digest. They have nothing to do with OAuth: what an app is granted lets it read records,
never manage how apps are registered.
"""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from django.contrib.auth import get_user_model
from django.db import transaction

from clients.acting import NotPossible
from clients.models import ApiToken
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext
from smartauth.digests import digest, new_secret

PREFIX = "devapi_"  # so that whoever finds one, a scanner of source code for instance, knows what it is
MOST_TOKENS = 20  # of one user
LONGEST_LIFETIME = timedelta(days=366)
USUAL_LIFETIME = timedelta(days=90)
USE_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Issued:
    """A token just made. `token` is known now and never again."""

    row: ApiToken
    token: str = field(repr=False)


def issue_token(user: int, label: str, *, lifetime: timedelta, context: RequestContext, now: datetime) -> Issued:
    """Make a token of a user, good for `lifetime` from `now` on. Raises NotPossible beyond the number one may have."""
    token = PREFIX + new_secret()
    with transaction.atomic():
        get_user_model().objects.select_for_update().get(pk=user)  # Two at once must not both be the last allowed.
        if ApiToken.objects.filter(user=user, expires_at__gt=now).count() >= MOST_TOKENS:
            raise NotPossible("api_token.too_many", f"there are {MOST_TOKENS} tokens already", fix="Withdraw some.")
        row = ApiToken.objects.create(
            user_id=user, label=label, token_digest=digest(token), created_at=now, expires_at=now + lifetime
        )
        _record(context, row, "issued")
    return Issued(row, token)


def withdraw_token(user: int, pk: int, *, context: RequestContext) -> bool:
    """Delete a token of a user; return False when there is none."""
    with transaction.atomic():
        row = ApiToken.objects.select_for_update().filter(user=user, pk=pk).first()
        if row is None:
            return False
        _record(context, row, "withdrawn")
        row.delete()
    return True


def find_token(token: str) -> ApiToken | None:
    """Return the row of a token with its user, expired or not, or None."""
    return ApiToken.objects.filter(token_digest=digest(token)).select_related("user").first()


def note_use(row: ApiToken, now: datetime) -> None:
    """Keep that a token was used, not more often than anybody would look."""
    if row.last_used_at is None or now - row.last_used_at >= USE_NOTED_EVERY:
        ApiToken.objects.filter(pk=row.pk).update(last_used_at=now)


def _record(context: RequestContext, row: ApiToken, act: str) -> None:
    details = {"token": row.pk, "label": row.label, "expires_at": row.expires_at.isoformat()}
    record_now(context, AuditEvent("register", rule=f"api_token.{act}", user=row.user_id, details=details))
