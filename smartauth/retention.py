"""What is kept for how long, and the deletion of the rest, in batches that never lock a table for long."""

from datetime import datetime, timedelta

from django.contrib.sessions.models import Session
from django.db.models import Model, Q, QuerySet

from clients.models import ApiToken, AssertionId, InitialAccessToken, KeyFinding, KeyUse
from smartauth import keys, tokens
from smartauth.conf import config
from smartauth.marks.models import Mark
from smartauth.marks.poller import MARKS_KEPT_FOR
from smartauth.models import (
    AccessToken,
    Authorization,
    AuthorizationCode,
    Launch,
    PendingAuthorization,
    ProofId,
    RefreshToken,
    RefusedAuthorization,
    SigningKey,
)
from smartauth.receipts.models import Receipt, RefusalCount

BATCH = 1_000
# A dead token is remembered for a while, so that a partner who shows it learns that it expired or was revoked.
DEAD_FOR = timedelta(days=7)
# A late reload of the consent page learns that it expired or was answered, and not that nobody knows it; so does an
# app that comes late with its launch.
ANSWERED_FOR = timedelta(days=1)


def purge(now: datetime) -> dict[str, int]:
    """Delete what nobody needs any more and return how many rows of each kind went.

    Spent codes and rotated refresh tokens stay as long as their Authorization, because a second use of them must be
    recognised; spent ids of assertions and proofs stay until none with that `jti` could be accepted again.
    """
    long_dead = now - DEAD_FOR
    is_remembered = Q(remembered_until__isnull=False, remembered_until__gt=now)
    dead_authorizations = Authorization.objects.filter(
        ~Q(kind=Authorization.Kind.SERVICE)
        & (Q(expires_at__lt=long_dead) & ~is_remembered | Q(revoked_at__lt=long_dead))
        | Q(kind=Authorization.Kind.SERVICE, revoked_at__lt=long_dead)
    )
    doomed: dict[str, QuerySet[Model]] = {
        "authorization requests": PendingAuthorization.objects.filter(expires_at__lt=now - ANSWERED_FOR).order_by(
            "expires_at"
        ),
        "launches": Launch.objects.filter(expires_at__lt=now - ANSWERED_FOR).order_by("expires_at"),
        "refused requests": RefusedAuthorization.objects.filter(expires_at__lt=now).order_by("expires_at"),
        # What was granted for as long as a session lasts ends with its row.
        "sessions": Session.objects.filter(expire_date__lt=now).order_by("expire_date"),
        "assertion ids": AssertionId.objects.filter(expires_at__lt=now - config().clock_leeway).order_by("expires_at"),
        "key uses": KeyUse.objects.filter(used_at__lt=now - DEAD_FOR).order_by("used_at"),
        "key findings": KeyFinding.objects.filter(resolved_at__lt=now - config().receipt_lifetime),
        "initial access tokens": InitialAccessToken.objects.filter(
            Q(expires_at__lt=long_dead) | Q(uses_left=0, created_at__lt=long_dead)
        ),
        "api tokens": ApiToken.objects.filter(expires_at__lt=long_dead).order_by("expires_at"),
        "proof ids": ProofId.objects.filter(expires_at__lt=now).order_by("expires_at"),
        "access tokens": AccessToken.objects.filter(expires__lt=long_dead).order_by("expires"),
        "authorization codes": AuthorizationCode.objects.filter(authorization__in=dead_authorizations),
        "refresh tokens": RefreshToken.objects.filter(authorization__in=dead_authorizations),
        "authorizations": dead_authorizations,
        "receipts": Receipt.objects.filter(at__lt=now - config().receipt_lifetime).order_by("at"),
        "refusal counts": RefusalCount.objects.filter(minute__lt=now - config().receipt_lifetime),
        "marks": Mark.objects.filter(created_at__lt=now - timedelta(seconds=MARKS_KEPT_FOR)),
        "signing keys": _dead_keys(now),
    }
    _forget_private_keys(now)
    tokens.revoke_unrelated(now)
    return {name: _delete(rows) for name, rows in doomed.items()}


def _dead_keys(now: datetime) -> QuerySet[SigningKey]:
    """Return the keys that nothing alive needs; ID tokens come back as hints long after they have expired."""
    retired = SigningKey.objects.filter(state=SigningKey.State.RETIRED)
    return retired.filter(
        ~Q(purpose=SigningKey.Purpose.ID_TOKEN) & Q(retired_at__lt=now - keys.longest_use())
        | Q(retired_at__lt=now - keys.longest_hint())
    )


def _forget_private_keys(now: datetime) -> None:
    """Keep of a key that is kept for hints only what verifies them."""
    retired = SigningKey.objects.filter(state=SigningKey.State.RETIRED, retired_at__lt=now - keys.longest_use())
    retired.exclude(sealed_private_key="").update(sealed_private_key="")


def _delete(rows: "QuerySet[Model]") -> int:
    deleted = 0
    while batch := list(rows.values_list("pk", flat=True)[:BATCH]):
        rows.model._default_manager.filter(pk__in=batch).delete()
        deleted += len(batch)
    return deleted
