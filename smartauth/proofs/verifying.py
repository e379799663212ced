"""A proof is verified once and spent: it is good for one request, at any worker."""

from collections.abc import Mapping
from datetime import datetime

from django.db import connection

from clients.jws_signatures import holds
from clients.key_sets import require_no_transaction
from clients.registered import RegisteredClient
from smartauth.conf import config
from smartauth.digests import digest
from smartauth.errors import Refusal, UseDpopNonce
from smartauth.proofs.nonces import is_good, new_nonce
from smartauth.proofs.rules import FRESH, ProofClaims, check_claims, check_header, parse_proof, refuse

# Like that of assertion ids: what a crash may lose is a few milliseconds of memory of requests lost with it.
SPEND = """
    WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
    INSERT INTO smartauth_proofid (digest, expires_at) SELECT %s, %s FROM quick
    ON CONFLICT (digest) DO NOTHING
"""


def key_of(client: RegisteredClient, headers: Mapping[str, str], *, url: str, now: datetime) -> str | None:
    """Return the thumbprint of the key that tokens of this request are bound to, None for a client that has no such.

    Only who is registered for bound tokens gets them: SMART apps expect `Bearer`. Then there is no way without a proof.
    headers: of a POST to `url`. Raises InvalidDpopProof.  Source: RFC 9449 §5 and §5.2.
    """
    if not client.dpop_bound_access_tokens:
        return None
    return verify_proof(headers.get("DPoP", ""), method="POST", url=url, now=now, needs_nonce=client.require_dpop_nonce)


def verify_proof(
    header: str,
    *,
    method: str,
    url: str,
    now: datetime,
    needs_nonce: bool,
    token: str = "",
    bound_to: str | None = None,
) -> str:
    """Verify the proof in a DPoP header, spend its `jti` and return the thumbprint of its key.

    method, url: of the request, the URL as we publish it.    token: the access token it comes with, "" for none.
    bound_to: the thumbprint it must be, None for any.    needs_nonce: the client's own setting.
    The `jti` is spent last, when all else holds, and stays spent: not inside a transaction (RuntimeError). One
    statement. Raises InvalidDpopProof, UseDpopNonce.  Source: RFC 9449 §4.3.
    """
    settings = config()
    proof = parse_proof(header)
    alg, proven = check_header(proof.header, algorithms=settings.dpop_algorithms)
    claims = check_claims(proof.claims, method=method, url=url, token=token, now=now, window=settings.dpop_window)
    if not holds(proof, proven.key, alg):
        raise refuse("signature", "the signature does not verify with the key in the header", seen=f"alg {alg}")
    if bound_to is not None and proven.jkt != bound_to:
        raise refuse(
            "key",
            "the proof is by another key than the token is bound to",
            expected=bound_to,
            seen=proven.jkt,
            fix="Keep the key pair as long as the tokens.",
        )
    _check_nonce(claims.nonce, now, needs_nonce=needs_nonce or settings.dpop_nonces == "required")
    _spend(proven.jkt, claims)
    return proven.jkt


def _check_nonce(nonce: object, now: datetime, *, needs_nonce: bool) -> None:
    """One that was sent must be ours and fresh even where none is needed: the app believes it has one of us."""
    if nonce is None and not needs_nonce:
        return
    if isinstance(nonce, str) and is_good(nonce, now):
        return
    missing = nonce is None
    refusal = Refusal(
        "dpop.nonce_missing" if missing else "dpop.nonce",
        "the proof has no nonce, and one is demanded" if missing else "the nonce of the proof is not ours, or too old",
        fix="Make a new proof with the nonce from the header DPoP-Nonce of this answer.",
    )
    raise UseDpopNonce(refusal, nonce=new_nonce(now))


def _spend(jkt: str, claims: ProofClaims) -> None:
    require_no_transaction()
    settings = config()
    until = claims.made_at + settings.dpop_window + settings.clock_leeway
    with connection.cursor() as cursor:
        # With the key, so that nobody spends the jti of others.
        cursor.execute(SPEND, [digest(f"{jkt} {claims.jti}"), until])
        if cursor.rowcount != 1:
            raise refuse("replayed", "a proof with this jti was used before", fix=FRESH)
