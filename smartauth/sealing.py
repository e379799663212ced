"""Authenticated encryption for what only we may read: private keys, credentials, page cursors."""

import base64
from functools import cache

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from smartauth.conf import config


class Unsealable(ValueError):
    """The text was not sealed by us for this purpose, or with a key that is no longer configured."""


def encrypt(plaintext: bytes, *, purpose: str) -> str:
    """Seal `plaintext` with the first configured key. What is sealed for one purpose does not open for another."""
    return _fernet(config().encryption_keys, purpose).encrypt(plaintext).decode()


def decrypt(text: str, *, purpose: str) -> bytes:
    """Open what `encrypt` sealed with any configured key. Raises Unsealable."""
    try:
        # Decoders forgive what follows the padding and the last unused bits; what is ours has one spelling.
        if base64.urlsafe_b64encode(base64.urlsafe_b64decode(text)).decode() != text:
            raise Unsealable("not sealed by this server for this purpose")
        return _fernet(config().encryption_keys, purpose).decrypt(text.encode())
    except (InvalidToken, ValueError):
        raise Unsealable("not sealed by this server for this purpose") from None


@cache
def _fernet(keys: tuple[str, ...], purpose: str) -> MultiFernet:
    derived = []
    for key in keys:
        hkdf = HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"smartauth {purpose}".encode())
        derived.append(Fernet(base64.urlsafe_b64encode(hkdf.derive(base64.urlsafe_b64decode(key)))))
    return MultiFernet(derived)
