"""Reading what somebody pastes where public keys are asked for: a JWK Set, one JWK, or a public key in PEM. Pure.

People paste the private part by mistake. It is recognised in any form, so that nothing of it is kept.
"""

import json
import re
import warnings
from dataclasses import dataclass
from typing import Any

from joserfc.errors import JoseError, SecurityWarning
from joserfc.jwk import ECKey, RSAKey

from clients.private_keys import holds_private_key
from clients.serializers import is_storable

# In a key set no such member is harmless, however short.
PRIVATE_MEMBER = re.compile(r"""["'](?:d|p|q|dp|dq|qi|oth|k)["']\s*:""")
CONTROL = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Pasted:
    """What was pasted. `jwks` is an object where it could be read, else the text, on one line; None for nothing.

    `is_private`: a private key was in it, and `jwks` is None.
    """

    jwks: dict[str, Any] | str | None
    is_private: bool = False


def read_pasted_keys(text: str) -> Pasted:
    """Return the key set in `text`. A single key becomes a set; one from PEM is named by its thumbprint (RFC 7638)."""
    text = text.strip()
    if not text:
        return Pasted(None)
    if holds_private_key(text):
        return Pasted(None, is_private=True)
    if text.startswith("-----BEGIN"):
        return _from_pem(text)
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    if not is_storable(document):
        document = None
    if isinstance(document, dict) and "keys" not in document and "kty" in document:
        document = {"keys": [document]}
    if PRIVATE_MEMBER.search(text) or holds_private_key(document):
        return Pasted(None, is_private=True)
    return Pasted(document if isinstance(document, dict) else CONTROL.sub(" ", text))


def _from_pem(text: str) -> Pasted:
    for kind in (RSAKey, ECKey):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SecurityWarning)  # A weak key becomes a finding.
                key: RSAKey | ECKey = kind.import_key(text.encode())
        except (ValueError, TypeError, JoseError):
            continue
        if key.is_private:
            return Pasted(None, is_private=True)
        return Pasted({"keys": [{**key.as_dict(private=False), "kid": key.thumbprint(), "use": "sig"}]})
    return Pasted(CONTROL.sub(" ", text))
