"""DPoP proofs as an app makes them, and as it should not.  RFC 9449 §4.2."""

import base64
import hashlib
import json
import secrets
import time
from dataclasses import dataclass, field
from typing import Any

from joserfc import jws
from joserfc.jwk import ECKey, RSAKey

ISSUER = "http://127.0.0.1:8000"
TOKEN_URL = f"{ISSUER}/auth/sandbox/token"


def ath_of(token: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(token.encode()).digest()).rstrip(b"=").decode()


@dataclass(frozen=True, slots=True)
class Holder:
    """Somebody who holds a key pair."""

    key: ECKey | RSAKey = field(default_factory=lambda: ECKey.generate_key("P-256"))
    alg: str = "ES256"

    @property
    def jkt(self) -> str:
        return self.key.thumbprint()

    def proof(
        self, method: str = "POST", url: str = TOKEN_URL, token: str = "", *, header: Any = None, **claims: Any
    ) -> str:
        """Return a good proof, with changes to claims and header; a change to ... leaves a member out."""
        good = {"jti": secrets.token_urlsafe(16), "htm": method, "htu": url, "iat": int(time.time())}
        if token:
            good["ath"] = ath_of(token)
        members = {"typ": "dpop+jwt", "alg": self.alg, "jwk": self.key.as_dict(private=False)} | (header or {})
        payload = {name: value for name, value in (good | claims).items() if value is not ...}
        return self.sign({name: value for name, value in members.items() if value is not ...}, json.dumps(payload))

    def sign(self, header: dict[str, Any], payload: str) -> str:
        """Sign anything with our key, whatever the header says."""
        signed = ".".join(_b64(text.encode()) for text in (json.dumps(header), payload))
        signature = jws.JWSRegistry(algorithms=[self.alg]).get_alg(self.alg).sign(signed.encode(), self.key)
        return f"{signed}.{_b64(signature)}"


def _b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
