"""private_key_jwt: a client proves who it is by signing an assertion with its private key.

Source: RFC 7523 §2.2 and §3; SMART 2.2 client-confidential-asymmetric, "Authenticating to the Token Endpoint".
"""

from datetime import datetime, timedelta

from django.db import connection

from clients.assertion_rules import AssertionClaims, check_claims, check_header, claimed_client_id, refuse
from clients.compact_jws import CompactJws, MalformedJwt, parse_compact_jws
from clients.jwks_rules import PublicKey
from clients.jws_signatures import holds
from clients.key_sets import require_no_transaction
from clients.keys import find_verification_key
from clients.registered import RegisteredClient
from smartauth.conf import config
from smartauth.digests import digest

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


def parse_assertion(assertion: str) -> tuple[CompactJws, str]:
    """Read an assertion and return it with the client_id it claims. Nothing is verified yet. Raises InvalidClient."""
    try:
        parsed = parse_compact_jws(assertion)
    except MalformedJwt as error:
        raise refuse(
            error.rule,
            f"the client_assertion cannot be read: {error.reason}",
            expected="one signed JWT in compact form",
            fix="Send the assertion as the library made it.",
        ) from None
    return parsed, claimed_client_id(parsed)


def verify_assertion(
    assertion: CompactJws, client: RegisteredClient, *, audiences: frozenset[str], now: datetime
) -> AssertionClaims:
    """Verify a private_key_jwt client assertion of `client`, spend its `jti` and return its claims.

    audiences: our token URLs and issuer, as this request may name them.    now: aware; `exp` may lie at most five
    minutes after it. Cheap checks come first; the `jti` is spent once the signature has verified and stays spent
    whatever follows, so this must not run inside a transaction (RuntimeError).
    Raises InvalidClient; its refusal names the failing check.
    """
    settings = config()
    header = check_header(assertion.header, algorithms=settings.assertion_algorithms, jwks_uri=client.jwks_uri)
    registered_alg = client.token_endpoint_auth_signing_alg
    if registered_alg and header.alg != registered_alg:
        raise refuse(
            "alg_registered",
            "the assertion is signed with another algorithm than the registered one",
            expected=registered_alg,
            seen=header.alg,
            fix="Sign with the registered token_endpoint_auth_signing_alg.",
        )
    if claimed_client_id(assertion) != client.client_id:
        raise refuse("client_id", "the assertion is from another client", expected=client.client_id)
    claims = check_claims(
        assertion.claims,
        client_id=client.client_id,
        audiences=audiences,
        now=now,
        max_lifetime=settings.assertion_lifetime,
        leeway=settings.clock_leeway,
    )
    key = find_verification_key(client, header.kid, header.alg, now=now)
    _verify_signature(assertion, key, header.alg)
    _spend(client, claims, header.kid, now)
    return claims


def _verify_signature(assertion: CompactJws, key: PublicKey, alg: str) -> None:
    if not holds(assertion, key, alg):
        raise refuse(
            "signature",
            "the signature does not verify with the published key",
            seen=f"alg {alg}",
            fix="Check that the private key belongs to the published key of that kid.",
        )


def _spend(client: RegisteredClient, claims: AssertionClaims, kid: str, now: datetime) -> None:
    require_no_transaction()
    used_at = now - (now - datetime.min.replace(tzinfo=now.tzinfo)) % KEY_USE_STEP
    use = [client.pk, kid, used_at, not client.jwks]
    with connection.cursor() as cursor:
        cursor.execute(SPEND, [*use, client.pk, digest(claims.jti), claims.expires_at + config().clock_leeway])
        if cursor.rowcount != 1:
            raise refuse(
                "jti_replayed",
                "an assertion with this jti was used before",
                fix="Sign a fresh assertion with a new random jti for each request.",
            )
