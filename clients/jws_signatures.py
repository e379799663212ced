"""Does a signature hold? One place for what joserfc must be told each time."""

from functools import cache

from joserfc import jws
from joserfc.errors import JoseError

from clients.compact_jws import MAX_LENGTH, CompactJws
from clients.jwks_rules import PublicKey


class _Registry(jws.JWSRegistry):
    """joserfc's checks, with room for a long `kid`, `jku` or `jwk`: our own cap on the whole came before."""

    max_header_length = MAX_LENGTH
    max_signature_length = 2 * 1024


def holds(signed: CompactJws, key: PublicKey, alg: str) -> bool:
    """Return True when `key` made the signature with `alg`, which the caller has chosen from a list of its own."""
    try:
        jws.deserialize_compact(signed.text, key, algorithms=[alg], registry=_registry(alg))
    except (JoseError, ValueError):
        return False
    return True


@cache
def _registry(alg: str) -> _Registry:
    # Header members nobody knows are ignored (RFC 7515 §4); what is critical was refused before.
    return _Registry(algorithms=[alg], strict_check_header=False)
