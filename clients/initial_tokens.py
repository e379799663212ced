"""Initial access tokens: who holds one may register clients by protocol.  Source: RFC 7591 §3 and §5."""

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction
from django.db.models import F, QuerySet

from clients.models import InitialAccessToken
from clients.tenants import TenantInfo
from smartauth.digests import digest, new_secret
from smartauth.errors import InvalidToken, Refusal


def make_initial_token(
    *,
    tenants: Iterable[TenantInfo] = (),
    label: str = "",
    expires_at: datetime | None = None,
    uses: int | None = None,
    token: str = "",
) -> str:
    """Store a new initial access token and return it in clear, which nobody can afterwards.

    tenants: where its clients are active, or wait for an operator.    expires_at, uses: None for no limit.
    token: one made before, of 256 random bits.
    """
    token = token or new_secret()
    with transaction.atomic():
        row = InitialAccessToken.objects.create(
            token_digest=digest(token), label=label, expires_at=expires_at, uses_left=uses
        )
        row.tenants.set([tenant.pk for tenant in tenants])
    return token


def require_initial_token(token: str, *, now: datetime) -> InitialAccessToken:
    """Return the row of `token` without using it. Raises InvalidToken as `take_initial_token` does."""
    return _require(InitialAccessToken.objects.all(), token, now)


def take_initial_token(token: str, *, now: datetime) -> InitialAccessToken:
    """Use `token` once more and return its row. Call it inside a transaction: a registration that fails uses up none.

    Raises InvalidToken; the answer does not say whether it is unknown, expired or used up.
    """
    row = _require(InitialAccessToken.objects.select_for_update(), token, now)
    InitialAccessToken.objects.filter(pk=row.pk, uses_left__isnull=False).update(uses_left=F("uses_left") - 1)
    return row


def _require(rows: "QuerySet[InitialAccessToken]", token: str, now: datetime) -> InitialAccessToken:
    row = rows.filter(token_digest=digest(token)).first()
    if row is None:
        raise InvalidToken(
            Refusal(
                "registration.initial_token",
                "the initial access token is not one of ours, or was withdrawn",
                fix="Ask the operator for one.",
            )
        )
    if row.expires_at is not None and row.expires_at <= now:
        raise InvalidToken(
            Refusal(
                "registration.initial_token_expired", "the initial access token has expired", fix="Ask for another."
            )
        )
    if row.uses_left == 0:
        raise InvalidToken(
            Refusal("registration.initial_token_used", "the initial access token is used up", fix="Ask for another.")
        )
    return row
