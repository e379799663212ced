"""Our signing keys: made, kept sealed, published, and used to sign. Parsed once per process.

Source: RFC 7517, RFC 7638; OIDC Core §10.1.1 for rotation.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from joserfc import jwt
from joserfc.jwk import ECKey, Key, RSAKey, import_key

from smartauth.audit.recording import AuditEvent, record_now
from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.marks import MarkedCache, keys_mark
from smartauth.models import SigningKey
from smartauth.sealing import decrypt, encrypt

PURPOSE = "signing key"
# What each purpose is signed with; the first is the default. A client may register another for its ID tokens.
ALGORITHMS = {SigningKey.Purpose.ACCESS_TOKEN: ("ES256",), SigningKey.Purpose.ID_TOKEN: ("RS256", "ES256")}
RSA_BITS = 3072
# A client may have read our JWKS just before a key was added and keep it for as long as the document's max-age.
PUBLISHED_BEFORE_USE = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Signer:
    """An active key, ready to sign."""

    kid: str
    alg: str
    key: Key

    def sign(self, claims: dict[str, Any], *, typ: str) -> str:
        """Return a compact JWS over `claims` with header `typ` and our `kid`."""
        return jwt.encode({"alg": self.alg, "kid": self.kid, "typ": typ}, claims, self.key, algorithms=[self.alg])


@dataclass(frozen=True, slots=True)
class _Published:
    """The JWKs of one moment. `until`: when the first of them may go, None while none is retired."""

    jwks: tuple[dict[str, Any], ...]
    until: datetime | None


_signers: MarkedCache[tuple[str, str], Signer] = MarkedCache(max_size=8)
_published: MarkedCache[None, _Published] = MarkedCache(max_size=1)


def access_token_signer(now: datetime) -> Signer:
    """Return the key that signs access tokens, making the very first one if there is none."""
    return _signer(SigningKey.Purpose.ACCESS_TOKEN, "ES256", now)


def id_token_signer(alg: str, now: datetime) -> Signer:
    """Return the key that signs ID tokens with `alg`, making the very first one if there is none."""
    return _signer(SigningKey.Purpose.ID_TOKEN, alg, now)


def published_keys(now: datetime) -> tuple[dict[str, Any], ...]:
    """Return the public JWKs of every key that signs, will sign, or signed something still alive.

    Every key that may sign is made here at the latest: a client that has just read the set must know it.
    """
    make_missing(now)
    found = _published.get(
        None, lambda: _load_published(now), tags=lambda _: (keys_mark(),), expires_at=lambda one: one.until
    )
    return found.jwks


def find_id_token_key(kid: str) -> Key | None:
    """Return the public key that signed ID tokens under `kid`, also one that signs and is published no more."""
    row = SigningKey.objects.filter(kid=kid, purpose=SigningKey.Purpose.ID_TOKEN).first()
    return import_key(row.public_jwk) if row else None


def make_missing(now: datetime) -> None:
    """Make the first key of every use that has none."""
    for purpose, algs in ALGORITHMS.items():
        for alg in algs:
            _signer(purpose, alg, now)


def make_key(purpose: str, alg: str) -> SigningKey:
    """Return a new, unsaved key in state next."""
    key = ECKey.generate_key("P-256") if alg == "ES256" else RSAKey.generate_key(RSA_BITS)
    kid = key.thumbprint()
    public = {**key.as_dict(private=False), "kid": kid, "use": "sig", "alg": alg}
    sealed = encrypt(key.as_pem(private=True), purpose=PURPOSE)
    return SigningKey(kid=kid, purpose=purpose, alg=alg, public_jwk=public, sealed_private_key=sealed)


def rotate(
    purpose: str, alg: str, *, context: RequestContext, now: datetime, administrator: int | None = None
) -> SigningKey:
    """Move the keys of one use on by a step, record it, and return the key that was made or activated.

    administrator: primary key of the user who did it in the administration; None for the command.

    With no next key, one is made and published; with one that was published long enough, it becomes active and the old
    one retires. Raises ValueError when the next key is too young to sign.
    """
    with transaction.atomic():
        rows = SigningKey.objects.select_for_update().filter(purpose=purpose, alg=alg)
        list(rows)  # Locks them all: two steps at once would make two next keys.
        waiting = rows.filter(state=SigningKey.State.NEXT).order_by("created_at").first()
        if waiting is None:
            waiting = make_key(purpose, alg)
            waiting.save()
        else:
            ready_at = waiting.created_at + PUBLISHED_BEFORE_USE
            if now < ready_at:
                raise ValueError(f"the next key may sign from {ready_at.isoformat()} on, when caches know it")
            rows.filter(state=SigningKey.State.ACTIVE).update(state=SigningKey.State.RETIRED, retired_at=now)
            waiting.state, waiting.activated_at = SigningKey.State.ACTIVE, now
            waiting.save()
        details = {"kid": waiting.kid, "state": str(waiting.state)}
        record_now(context, AuditEvent("administer", rule="key.rotated", user=administrator, details=details))
    return waiting


def withdraw(
    kid: str, *, context: RequestContext, now: datetime, administrator: int | None = None
) -> tuple[SigningKey, SigningKey | None]:
    """Take a key away at once that somebody else may have, and record it; return it, and the one that signs instead.

    Verifiers that remember our JWKS fail for new tokens until they read it again: better than to believe the old key.
    The row goes, so that nothing can believe it any more. Raises LookupError when there is no such key.
    """
    with transaction.atomic():
        row = SigningKey.objects.select_for_update().filter(kid=kid).first()
        if row is None:
            raise LookupError(f"there is no signing key {kid}")
        row.delete()
        successor = _successor(row, now) if row.state == SigningKey.State.ACTIVE else None
        details = {"kid": kid, "instead": successor.kid if successor else ""}
        record_now(context, AuditEvent("administer", rule="key.withdrawn", user=administrator, details=details))
    return row, successor


def _successor(row: SigningKey, now: datetime) -> SigningKey:
    """Return the key that signs from now on: the next one where there is one, because some have seen it already."""
    waiting = SigningKey.objects.filter(purpose=row.purpose, alg=row.alg, state=SigningKey.State.NEXT)
    successor = waiting.order_by("created_at").first() or make_key(row.purpose, row.alg)
    successor.state, successor.activated_at = SigningKey.State.ACTIVE, now
    successor.save()
    return successor


def longest_use() -> timedelta:
    """Return how long a retired key may still be needed to verify something it signed."""
    settings = config()
    longest = max(
        settings.access_token_lifetime,
        settings.public_token_lifetime,
        settings.service_token_lifetime,
        settings.id_token_lifetime,
    )
    return longest + timedelta(minutes=5)


def longest_hint() -> timedelta:
    """Return how long after its key retired an ID token may come back as a hint that somebody signs out.

    Apps keep ID tokens as long as they keep a grant (OIDC RP-Initiated Logout §2, on expired hints).
    """
    return config().refresh_token_lifetime


def _signer(purpose: SigningKey.Purpose, alg: str, now: datetime) -> Signer:
    return _signers.get((purpose, alg), lambda: _load_signer(purpose, alg, now), tags=lambda _: (keys_mark(),))


def _load_signer(purpose: SigningKey.Purpose, alg: str, now: datetime) -> Signer:
    active = SigningKey.objects.filter(purpose=purpose, alg=alg, state=SigningKey.State.ACTIVE)
    row = active.first() or _first(purpose, alg, now)
    return Signer(row.kid, row.alg, _parse(row.alg, row.sealed_private_key, config().encryption_keys))


def _first(purpose: SigningKey.Purpose, alg: str, now: datetime) -> SigningKey:
    """Make the first key of a new installation. Nobody can hold an older JWKS, so it signs at once."""
    row = make_key(purpose, alg)
    row.state, row.activated_at = SigningKey.State.ACTIVE, now
    try:
        with transaction.atomic():
            row.save(force_insert=True)
    except IntegrityError:  # Another worker was first.
        return SigningKey.objects.get(purpose=purpose, alg=alg, state=SigningKey.State.ACTIVE)
    return row


def _load_published(now: datetime) -> _Published:
    alive = ~Q(state=SigningKey.State.RETIRED) | Q(retired_at__gt=now - longest_use())
    rows = SigningKey.objects.filter(alive).order_by("-created_at").values_list("public_jwk", "retired_at")
    retired = [retired_at for _, retired_at in rows if retired_at is not None]
    return _Published(tuple(jwk for jwk, _ in rows), min(retired) + longest_use() if retired else None)


@lru_cache(maxsize=16)
def _parse(alg: str, sealed: str, _keys: tuple[str, ...]) -> Key:
    pem = decrypt(sealed, purpose=PURPOSE)
    return ECKey.import_key(pem) if alg.startswith("ES") else RSAKey.import_key(pem)
