"""Ending tokens. The row stays and says so; a mark ends it in every worker's memory.  Source: RFC 7009."""

from datetime import datetime
from uuid import UUID

from django.db import connection, models, transaction

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext, new_context
from smartauth.digests import digest
from smartauth.errors import Refusal, UnauthorizedClient
from smartauth.models import AccessToken, Authorization, RefreshToken

BATCH = 1_000
UNRELATED = """
    SELECT smartauth_revoke_unrelated(user_id, tenant_id)
      FROM (SELECT DISTINCT user_id, tenant_id FROM people_proxyrelation WHERE least(ends_at, of_age_at) <= %s) AS ended
"""


def revoke_for_client(token: str, *, client_pk: int, context: RequestContext, now: datetime) -> bool:
    """Revoke a token of the client: an access token alone, a refresh token with its whole Authorization.

    An already dead token is fine. Return False for what is neither.
    Raises UnauthorizedClient for another client's token, which stays alive.
    Source: RFC 7009 §2.1 and §2.2.
    """
    key = digest(token)
    access = AccessToken.objects.filter(token_checksum=key).values("application_id", "revoked_at").first()
    if access is not None:
        _require_owner(access["application_id"], client_pk)
        if access["revoked_at"] is None:
            revoke_access_token(key, now=now, context=context)
        return True
    refresh = RefreshToken.objects.filter(token_checksum=key).values("application_id", "authorization_id").first()
    if refresh is not None:
        _require_owner(refresh["application_id"], client_pk)
        revoke_authorization(refresh["authorization_id"], by="client", now=now, context=context)
    return refresh is not None


def revoke_access_token(
    token_digest: str, *, now: datetime, context: RequestContext | None = None, administrator: int | None = None
) -> None:
    """Revoke one access token; durable when this returns, seen by every worker within a second.

    administrator: primary key of the user who did it in the administration.
    """
    with transaction.atomic():
        if AccessToken.objects.filter(token_checksum=token_digest, revoked_at__isnull=True).update(revoked_at=now):
            authorization = _with_names().get(access_tokens__token_checksum=token_digest)
            _audit(authorization, "access_token", context, administrator)


def revoke_authorization(
    pk: UUID, *, by: str, now: datetime, context: RequestContext | None = None, administrator: int | None = None
) -> None:
    """Revoke an Authorization and with it every token under it. `by`: who or what ended it."""
    with transaction.atomic():
        if Authorization.objects.filter(pk=pk, revoked_at__isnull=True).update(revoked_at=now, revoked_by=by):
            _audit(_with_names().get(pk=pk), f"authorization.{by}", context, administrator)


def revoke_for_user(
    user: int, *, by: str, now: datetime, context: RequestContext, administrator: int | None = None
) -> None:
    """Revoke everything a user has granted (RFC 9700 §4.14: after a stolen password a thief's apps must go, too)."""
    for pk in Authorization.objects.filter(user=user, revoked_at__isnull=True).values_list("pk", flat=True):
        revoke_authorization(pk, by=by, now=now, context=context, administrator=administrator)


def revoke_app(*, user: int, client_id: str, tenant: str, by: str, now: datetime, context: RequestContext) -> int:
    """Revoke all that a user has granted one client at one tenant; return how many Authorizations that were.

    Nothing of the consent remains: whoever launches the app again is asked again.    tenant: slug.
    Source: SMART 2.2 conformance, `management_endpoint`; 45 CFR §170.315(g)(10)(vi).
    """
    granted = Authorization.objects.filter(
        kind=Authorization.Kind.USER,
        user=user,
        client__client_id=client_id,
        tenant__slug=tenant,
        revoked_at__isnull=True,
    )
    with transaction.atomic():
        found = list(granted.values_list("pk", flat=True))
        for pk in found:
            revoke_authorization(pk, by=by, now=now, context=context)
    return len(found)


def revoke_all(
    *,
    client_id: str = "",
    username: str = "",
    patient: str = "",
    tenant: str = "",
    by: str,
    now: datetime,
    context: RequestContext,
    administrator: int | None = None,
) -> int:
    """Revoke every Authorization that fits all that is given, and return how many that were.

    patient: logical id at `tenant` (slug): what was granted about the patient, and by the patient.
    Raises ValueError when nothing narrows it down, or a patient is given without a tenant.
    """
    if not (client_id or username or patient) or (patient and not tenant):
        raise ValueError("name a client, a user, or a patient and a tenant")
    found = Authorization.objects.filter(revoked_at__isnull=True)
    if client_id:
        found = found.filter(client__client_id=client_id)
    if username:
        found = found.filter(user__username=username)
    if tenant:
        found = found.filter(tenant__slug=tenant)
    if patient:
        own = models.Q(user__fhir_users__reference=f"Patient/{patient}", user__fhir_users__tenant=models.F("tenant"))
        found = found.filter(models.Q(context__patient=patient) | own).distinct()
    pks = list(found.values_list("pk", flat=True))
    for pk in pks:
        revoke_authorization(pk, by=by, now=now, context=context, administrator=administrator)
    return len(pks)


def revoke_issued_since(
    since: datetime, *, rule: str, now: datetime, context: RequestContext, administrator: int | None = None
) -> int:
    """Revoke every access token issued at or after `since` that has not expired; return how many that were."""
    live = AccessToken.objects.filter(created__gte=since, expires__gt=now, revoked_at__isnull=True)
    count = 0
    while batch := list(live.values_list("pk", flat=True)[:BATCH]):
        count += AccessToken.objects.filter(pk__in=batch).update(revoked_at=now)
    details = {"access_tokens": count} | ({} if administrator is None else {"administrator": administrator})
    record_now(context, AuditEvent("revoke", rule=rule, details=details))
    return count


def revoke_unrelated(now: datetime) -> None:
    """Revoke what hangs on relations that time has ended. Where somebody ended them, the database did it at once."""
    with connection.cursor() as cursor:
        cursor.execute(UNRELATED, [now])


def _with_names() -> models.QuerySet[Authorization]:
    return Authorization.objects.select_related("client", "tenant")


def _audit(authorization: Authorization, rule: str, context: RequestContext | None, administrator: int | None) -> None:
    client, tenant = authorization.client, authorization.tenant
    record_now(
        context or new_context(),
        AuditEvent(
            "revoke",
            rule=rule,
            client_id=client.client_id if client else "",
            tenant=tenant.slug if tenant else "",
            user=authorization.user_id,
            authorization=authorization.pk,
            details={} if administrator is None else {"administrator": administrator},
        ),
    )


def _require_owner(owner: int | None, client_pk: int) -> None:
    if owner != client_pk:
        raise UnauthorizedClient(Refusal("revoke.not_yours", "the token was issued to another client"))
