"""What a person had granted the same app for the same record before, and ending it for what they grant now."""

from datetime import datetime
from uuid import UUID

from django.db import transaction
from django.db.models import Q, QuerySet

from smartauth.context import RequestContext
from smartauth.models import Authorization, PendingAuthorization
from smartauth.tokens.revoking import revoke_authorization


def find_earlier(pending: PendingAuthorization, now: datetime) -> datetime | None:
    """Return when the user last granted the app something for this record that still lasts, or None."""
    newest = _earlier(pending).filter(Q(expires_at__gt=now)).order_by("-created_at")
    return newest.values_list("created_at", flat=True).first()


def revoke_earlier(pending: PendingAuthorization, *, but: UUID, now: datetime, context: RequestContext) -> int:
    """Revoke what the user had granted the app for this record before; return how many Authorizations that were.

    but: the one that takes their place.
    """
    with transaction.atomic():
        found = list(_earlier(pending).exclude(pk=but).values_list("pk", flat=True))
        for pk in found:
            revoke_authorization(pk, by="replaced", now=now, context=context)
    return len(found)


def _earlier(pending: PendingAuthorization) -> QuerySet[Authorization]:
    rows = Authorization.objects.filter(
        kind=Authorization.Kind.USER,
        user_id=pending.user_id,
        client_id=pending.client_id,
        tenant_id=pending.tenant_id,
        revoked_at__isnull=True,
    )
    return (
        rows.filter(context__patient=pending.patient) if pending.patient else rows.exclude(context__has_key="patient")
    )
