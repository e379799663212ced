"""The authority a token would have if it were issued now: for the simulator, which issues none.

It is made of the same row and by the same functions as that of a real token.
"""

from datetime import datetime, timedelta
from uuid import UUID

from clients.models import Activation, Client, Tenant
from smartauth import endpoints
from smartauth.models import Authorization
from smartauth.people.models import FhirUser, ProxyRelation, User
from smartauth.policy.access import Access
from smartauth.tokens import rows
from smartauth.tokens.rows import TokenRow

NOBODY = UUID(int=0)
LIFETIME = timedelta(minutes=5)


class Unimaginable(ValueError):
    """There can be no such token. The text is one sentence for the operator."""


def hypothetical_access(
    *, client_id: str, tenant: str, username: str, patient: str, scope: str, now: datetime, sandbox: bool
) -> Access:
    """Return the authority of a token of this client at this tenant.

    username: who would be signed in, "" for nobody.  patient: logical id in context, "" for none.  scope: as granted,
    "" for all the client may have.
    Raises Unimaginable for names that do not exist, and InvalidToken where the proxy would not take the token.
    """
    client = Client.objects.filter(client_id=client_id).first()
    if client is None:
        raise Unimaginable(f"There is no client {client_id!r}.")
    where = Tenant.objects.filter(slug=tenant).first()
    if where is None:
        raise Unimaginable(f"There is no tenant {tenant!r}.")
    user = User.objects.filter(username=username).first() if username else None
    if username and user is None:
        raise Unimaginable(f"There is no user {username!r}.")
    row = _row(client, where, user, patient=patient, scope=scope or client.scope, now=now)
    return rows.access_of(rows.require_live(row, now=now, sandbox=sandbox))


def _row(client: Client, tenant: Tenant, user: User | None, *, patient: str, scope: str, now: datetime) -> TokenRow:
    activation = Activation.objects.filter(client=client, tenant=tenant).first()
    relations = ProxyRelation.objects.filter(user=user, tenant=tenant, starts_at__lte=now)
    relations = relations.exclude(ends_at__lte=now).exclude(of_age_at__lte=now)
    claims = {
        "aud": endpoints.fhir_base(tenant.slug),
        "sub": str(user.subject) if user else client.client_id,
        **({"patient": patient} if patient else {}),
    }
    return TokenRow(
        digest="",
        expires=now + LIFETIME,
        revoked_at=None,
        claims=claims,
        scope=scope,
        authorization=NOBODY,
        kind=Authorization.Kind.USER if user else Authorization.Kind.SERVICE,
        authorization_revoked_at=None,
        authorization_expires_at=None,
        client_id=client.client_id,
        client_status=client.status,
        registered_scope=client.scope,
        grant_types=client.grant_types,
        restrictions=client.restrictions,
        redirect_uris=client.redirect_uris,
        allowed_origins=client.allowed_origins,
        tenant=tenant.slug,
        tenant_is_active=tenant.is_active,
        activation_is_active=activation.is_active if activation else None,
        allowed_scope=activation.allowed_scope if activation else None,
        user=user.pk if user else None,
        user_is_active=user.is_active if user else None,
        fhir_user=FhirUser.objects.filter(user=user, tenant=tenant).values_list("reference", flat=True).first(),
        relations=[(one.patient, None) for one in relations] if user else None,
    )
