"""A client's own side: making a key pair and signing an assertion with it. For commands, the sandbox and tests."""

import uuid
import warnings
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from joserfc import jws
from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey
from msgspec import json

from clients.jwks_rules import MIN_RSA_BITS

CURVES = {"ES256": "P-256", "ES384": "P-384"}
RSA_ALGORITHMS = ("RS384", "RS256", "PS256", "PS384")
ALGORITHMS = (*RSA_ALGORITHMS, *CURVES)
RSA_BITS = 3_072
ASSERTION_LIFETIME = timedelta(seconds=300)

PrivateKey = RSAKey | ECKey


@dataclass(frozen=True, slots=True)
class KeyPair:
    """`private_pem` is PKCS #8 without a password; `public_jwk` names itself, its algorithm and its use."""

    private_pem: bytes = field(repr=False)
    public_jwk: dict[str, Any]

    @property
    def jwks(self) -> dict[str, Any]:
        """Return the JWK Set a client publishes or registers (RFC 7517 §5)."""
        return {"keys": [self.public_jwk]}


def generate_key_pair(alg: str, *, kid: str = "") -> KeyPair:
    """Make a key pair for a signature algorithm out of ALGORITHMS. `kid` defaults to the RFC 7638 thumbprint."""
    key = ECKey.generate_key(CURVES[alg]) if alg in CURVES else RSAKey.generate_key(RSA_BITS)
    public = {**key.as_dict(private=False), "kid": kid or key.thumbprint(), "alg": alg, "use": "sig"}
    return KeyPair(key.as_pem(private=True), public)


def load_private_key(pem: bytes) -> PrivateKey:
    """Read an RSA, P-256 or P-384 private key in PEM. Raises ValueError with one sentence."""
    for kind in (RSAKey, ECKey):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # A weak key is refused below.
                key: PrivateKey = kind.import_key(pem)
        except (ValueError, TypeError, JoseError):
            continue
        if not key.is_private:
            raise ValueError("the file holds a public key; the private one is needed to sign")
        if isinstance(key, RSAKey) and key.raw_value.key_size < MIN_RSA_BITS:
            raise ValueError(f"the RSA key is smaller than {MIN_RSA_BITS} bits")
        if isinstance(key, ECKey) and key.curve_name not in CURVES.values():
            raise ValueError("the elliptic curve is neither P-256 nor P-384")
        return key
    raise ValueError("the file is not an RSA or EC private key in PEM without a password")


def algorithm_of(key: PrivateKey) -> str:
    """Return the algorithm SMART names for such a key: RS384 for RSA, by curve for EC."""
    if isinstance(key, RSAKey):
        return "RS384"
    return next(alg for alg, curve in CURVES.items() if curve == key.curve_name)


def sign_assertion(
    key: PrivateKey, client_id: str, audience: str, *, now: datetime, alg: str = "", kid: str = "", jti: str = ""
) -> str:
    """Return a client assertion that is good for five minutes from `now`, once.

    alg, kid, jti: by default fitting the key, its RFC 7638 thumbprint, and random.
    Raises ValueError when the key cannot sign with `alg`.
    Source: SMART 2.2 client-confidential-asymmetric, "Authentication JWT"; RFC 7523 §3.
    """
    alg = alg or algorithm_of(key)
    issued_at = int(now.timestamp())
    claims = {
        "iss": client_id,
        "sub": client_id,
        "aud": audience,
        "iat": issued_at,
        "exp": issued_at + int(ASSERTION_LIFETIME.total_seconds()),
        "jti": jti or str(uuid.uuid4()),
    }
    header = {"alg": alg, "kid": kid or key.thumbprint(), "typ": "JWT"}
    try:
        return jws.serialize_compact(header, json.encode(claims), key, algorithms=[alg])
    except JoseError as error:
        raise ValueError(f"the key cannot sign with {alg}: {error}") from None
