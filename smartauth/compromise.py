"""What to do when somebody else may have one of our private keys: nothing it signed is believed any more."""

import time
from collections.abc import Callable

from django.utils import timezone

from smartauth import keys, tokens
from smartauth.context import RequestContext
from smartauth.marks.poller import TRUSTED_FOR
from smartauth.models import SigningKey


def withdraw_key(
    kid: str,
    *,
    context: RequestContext,
    administrator: int | None = None,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Withdraw a signing key and revoke the access tokens issued since it began to sign; return how many these were.

    It takes two seconds: until then a worker may still sign with the key it remembers.
    Raises LookupError when there is no such key.
    """
    row, _ = keys.withdraw(kid, context=context, now=timezone.now(), administrator=administrator)
    if row.purpose != SigningKey.Purpose.ACCESS_TOKEN or row.activated_at is None:
        return 0
    pause(TRUSTED_FOR)
    return tokens.revoke_issued_since(
        row.activated_at, rule="key.withdrawn", now=timezone.now(), context=context, administrator=administrator
    )
