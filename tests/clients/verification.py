"""From a client to the key that verifies, in one step, with the refusals of the token endpoint."""

from datetime import datetime

from clients.assertion_case import Case
from clients.compact_jws import CompactJws
from clients.jwks_rules import PublicKey
from clients.keys import check_key, check_key_set
from clients.registered import RegisteredClient
from smartauth.conf import config
from tests.factories import AUDIENCES


def find_verification_key(client: RegisteredClient, kid: str, alg: str, *, now: datetime) -> PublicKey:
    """Return the key an assertion with this header is verified with. Raises InvalidClient."""
    assertion = CompactJws("", {"kid": kid, "alg": alg}, {})
    case = Case.under(config(), assertion, client, AUDIENCES, now)
    check_key_set(case)
    check_key(case)
    assert case.key is not None
    return case.key
