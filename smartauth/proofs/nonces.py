"""Nonces for proofs: text that only we can have made, and lately. Nothing is stored, so every worker knows every one.

Source: RFC 9449 §8 and §9.
"""

from datetime import datetime

from smartauth.conf import config
from smartauth.sealing import Unsealable, decrypt, encrypt

PURPOSE = "dpop nonce"
LONGEST = 300  # characters; ours have fewer


def new_nonce(now: datetime) -> str:
    """Return a nonce that is good for a few minutes from now on."""
    return encrypt(str(int(now.timestamp())).encode(), purpose=PURPOSE)


def is_good(nonce: str, now: datetime) -> bool:
    """Return True for a nonce that we gave out within its lifetime."""
    if len(nonce) > LONGEST or not nonce.isascii():
        return False
    try:
        made = int(decrypt(nonce, purpose=PURPOSE))
    except Unsealable:
        return False
    age = now.timestamp() - made
    # Another worker's clock may be ahead of ours.
    return -config().clock_leeway.total_seconds() <= age <= config().dpop_nonce_lifetime.total_seconds()
