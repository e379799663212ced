"""private_key_jwt: a client proves who it is by signing an assertion with its private key.

Source: RFC 7523 §2.2 and §3; SMART 2.2 client-confidential-asymmetric, "Authenticating to the Token Endpoint".
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection

from clients.assertion_case import Case, Check, refuse
from clients.assertion_forms import claimed_client_id, read_assertion
from clients.assertion_rules import AUDIENCE_CHECK, CLIENT_CHECK, HEADER_CHECKS, JTI_CHECK
from clients.assertion_times import TIME_CHECKS
from clients.compact_jws import CompactJws
from clients.key_sets import require_no_transaction
from clients.keys import KEY_CHECKS
from clients.models import AssertionId
from clients.registered import RegisteredClient
from smartauth.conf import config
from smartauth.digests import digest
from smartauth.errors import InvalidClient

# The row is worth a statement of its own but not a wait for the disk: what a crash may lose is a few milliseconds of
# memory of assertions whose answers were lost with it. The same statement notes which key by URL is in use, so that the
# watch over key sets knows what a client would miss; almost always the row for these minutes is there already.
SPEND = """
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true)),
    used AS (
        INSERT INTO clients_keyuse (client_id, kid, used_at)
        SELECT %s, %s, %s FROM quick WHERE %s
        ON CONFLICT (client_id, kid, used_at) DO NOTHING
    )
    INSERT INTO clients_assertionid (client_id, jti_digest, expires_at)
    SELECT %s, %s, %s FROM quick
    ON CONFLICT (client_id, jti_digest) DO NOTHING
"""
KEY_USE_STEP = timedelta(minutes=10)

# Cheap ones first, what needs a key next, the signature last. None of them has an effect.
CHECKS: tuple[Check, ...] = (
    CLIENT_CHECK,
    *HEADER_CHECKS,
    AUDIENCE_CHECK,
    *TIME_CHECKS,
    JTI_CHECK,
    *KEY_CHECKS,
)


@dataclass(frozen=True, slots=True)
class AssertionClaims:
    """The claims of a verified assertion. `expires_at` is its `exp`."""

    client_id: str
    jti: str
    expires_at: datetime


def parse_assertion(assertion: str) -> tuple[CompactJws, str]:
    """Read an assertion and return it with the client_id it claims. Nothing is verified yet. Raises InvalidClient."""
    parsed = read_assertion(assertion)
    return parsed, claimed_client_id(parsed)


def verify_assertion(
    assertion: CompactJws, client: RegisteredClient, *, audiences: frozenset[str], now: datetime
) -> AssertionClaims:
    """Verify a private_key_jwt client assertion of `client`, spend its `jti` and return its claims.

    audiences: our token URLs and issuer, as this request may name them.    now: aware; `exp` may lie at most five
    minutes after it. The `jti` is spent once the signature has verified and stays spent whatever follows, so this must
    not run inside a transaction (RuntimeError).
    Raises InvalidClient; its refusal names the failing check.
    """
    case = Case.under(config(), assertion, client, audiences, now)
    for check in CHECKS:
        check.require(case)
    return _spend(case)


def require_unspent(case: Case) -> None:
    """Raise InvalidClient where the `jti` of the case has been spent, and spend nothing: for who only explains."""
    jti = digest(case.assertion.claims["jti"])
    if AssertionId.objects.filter(client=case.client.pk, jti_digest=jti).exists():
        raise _replayed()


def _spend(case: Case) -> AssertionClaims:
    require_no_transaction()
    client, now, expires_at = case.client, case.now, case.moment("exp")
    assert expires_at is not None  # noqa: S101 - the checks on times saw it
    claims = AssertionClaims(client.client_id, case.assertion.claims["jti"], expires_at)
    used_at = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % KEY_USE_STEP
    use = [client.pk, case.kid, used_at, not client.jwks]
    with connection.cursor() as cursor:
        cursor.execute(SPEND, [*use, client.pk, digest(claims.jti), expires_at + case.leeway])
        if cursor.rowcount != 1:
            raise _replayed()
    return claims


def _replayed() -> InvalidClient:
    return refuse(
        "jti_replayed",
        "an assertion with this jti was used before",
        expected="a jti that this client has not used",
        fix="Sign a fresh assertion with a new random jti for each request; one that was refused for something else "
        "after its signature verified is used up, too.",
    )
