"""What a consent stands on, held still while the consent is written.

Whoever stops an app, locks an account or ends a relation ends in the same transaction what was granted under it, and
would miss a consent that is being written at that moment. So the rows are locked for sharing first: either the change
has been made, and is seen here, or it waits until the consent is there and ends that, too.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import msgspec
from django.db import connection

from smartauth.models import PendingAuthorization

# Whoever signs in or saves a session meanwhile need not wait for the session: only its end does.
HOLD = """
    SELECT c.status = 'approved' AND tenant.is_active AND activation.is_active AND u.is_active,
           c.redirect_uris, c.scope, c.grant_types, activation.allowed_scope, activation.skips_consent,
           coalesce(tenant.policy -> 'sensitive_categories', '[]'), u.password
      FROM clients_client c
      JOIN clients_activation activation ON activation.client_id = c.id
      JOIN clients_tenant tenant ON tenant.id = activation.tenant_id
      JOIN people_user u ON u.id = %(user)s
      JOIN django_session s ON s.session_key = %(session)s
     WHERE c.id = %(client)s AND tenant.id = %(tenant)s
       FOR SHARE OF c, activation, tenant, u FOR KEY SHARE OF s
"""
HOLD_FHIR_USER = "SELECT reference FROM people_fhiruser WHERE user_id = %(user)s AND tenant_id = %(tenant)s FOR SHARE"
HOLD_RELATIONS = """
    SELECT patient FROM people_proxyrelation
     WHERE user_id = %(user)s AND tenant_id = %(tenant)s AND patient = %(patient)s AND starts_at <= %(now)s
       AND coalesce(least(ends_at, of_age_at) > %(now)s, true)
       FOR SHARE
"""
HOLD_ANSWER = """
    SELECT FROM smartauth_authorization WHERE id = %s AND revoked_at IS NULL AND remembered_until > %s FOR SHARE
"""


@dataclass(frozen=True, slots=True)
class Ground:
    """Everything outside the request that decides whether a consent may be written, as it is now and stays until then.

    `stands`: client, tenant, activation and user are all active.    `sensitive`: what the tenant counts as sensitive.
    `related`: the patient of the request, if the user may act for that one by relation.
    """

    stands: bool
    redirect_uris: tuple[str, ...]
    registered_scope: str
    grant_types: frozenset[str]
    allowed_scope: str
    skips_consent: bool
    sensitive: tuple[str, ...]
    password: str
    fhir_user: str | None
    related: frozenset[str]


def hold_ground(pending: PendingAuthorization, *, session_key: str | None, now: datetime) -> Ground | None:
    """Lock what a consent to `pending` stands on until the transaction ends, and return it. Three statements.

    session_key: of the session in which the user answers.    Return None where some of it does not exist any more.
    """
    if not connection.in_atomic_block:
        raise RuntimeError("the ground is held for the transaction that writes the consent")
    names = {
        "client": pending.client_id,
        "tenant": pending.tenant_id,
        "user": pending.user_id,
        "patient": pending.patient,
        "session": session_key,
        "now": now,
    }
    with connection.cursor() as cursor:
        cursor.execute(HOLD, names)
        found = cursor.fetchone()
        if found is None:
            return None
        cursor.execute(HOLD_FHIR_USER, names)
        reference = next((one for (one,) in cursor.fetchall()), None)
        cursor.execute(HOLD_RELATIONS, names)
        related = frozenset(one for (one,) in cursor.fetchall())
    return _as_ground(found, reference, related)


def hold_answer(authorization: UUID, now: datetime) -> bool:
    """Lock an answer that was given before, and return True while it still stands for others like it."""
    with connection.cursor() as cursor:
        cursor.execute(HOLD_ANSWER, [authorization, now])
        return cursor.fetchone() is not None


def _as_ground(found: Sequence[object], reference: str | None, related: frozenset[str]) -> Ground:
    stands, redirect_uris, scope, grant_types, allowed, skips, sensitive, password = found
    if isinstance(sensitive, str):  # The driver hands over JSON as text.
        sensitive = msgspec.json.decode(sensitive)
    return Ground(
        stands=bool(stands),
        redirect_uris=tuple(str(redirect_uris).split()),
        registered_scope=str(scope),
        grant_types=frozenset(msgspec.convert(grant_types, list[str])),
        allowed_scope=str(allowed),
        skips_consent=bool(skips),
        sensitive=msgspec.convert(sensitive, tuple[str, ...]),
        password=str(password),
        fhir_user=reference,
        related=related,
    )
