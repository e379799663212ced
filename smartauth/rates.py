"""How often one address, and one client, may ask: counted in this process, refused with 429 beyond.

Two counts, so that nobody can stop another by guessing. What proves nothing (an authorization request, a wrong secret,
a public client) is counted against the address it came from. What an authenticated client asks is counted against the
client, wherever it comes from, and never against its address: hospitals and resource servers send much from one.
Source: RFC 6749 §10.10; RFC 9126 §2.3; RFC 6585 §4.
"""

import math
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable
from ipaddress import IPv6Address, ip_address, ip_network

from smartauth.conf import config
from smartauth.context import RequestContext
from smartauth.errors import Refusal, TooManyRequests

SOURCES = 10_000
TRIALS = 10  # fetches a minute of URLs that one credential has us try; each may occupy a thread for five seconds
IPV6_PREFIX = 64  # bits; whoever has one address of IPv6 has as many as they like


class Buckets:
    """A token bucket for each source: a minute's worth at once, refilled evenly. Bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, source: Hashable, per_minute: int, now: float, *, take: bool = True) -> float:
        """Return 0 when there is room for one request of `source`, or how long it is until there is.

        take: use the room up.    now: seconds of a clock that never goes back.
        """
        with self._lock:
            left, when = self._buckets.pop(source, (float(per_minute), now))
            left = min(float(per_minute), left + (now - when) * per_minute / 60)
            has_room = left >= 1
            self._buckets[source] = (left - 1 if has_room and take else left, now)
            while len(self._buckets) > SOURCES:
                self._buckets.popitem(last=False)
            return 0.0 if has_room else (1 - left) * 60 / per_minute


_addresses = Buckets()
_clients = Buckets()
_people = Buckets()
_trials = Buckets()


def require_room(context: RequestContext) -> None:
    """Let a request be looked at. Raises TooManyRequests when too much came from its address that proved nothing."""
    _require(_addresses, context, _address(context), config().rate_per_address, "address", take=False)


def count_unproven(context: RequestContext) -> None:
    """Count a request against its address: it did not prove who it is."""
    _addresses.seconds_to_wait(_source(context, _address(context)), config().rate_per_address, time.monotonic())


def admit_address(context: RequestContext) -> None:
    """Count a request that can prove nothing against its address. Raises TooManyRequests."""
    _require(_addresses, context, _address(context), config().rate_per_address, "address")


def admit_client(context: RequestContext, client_id: str, subject: str = "") -> None:
    """Count a request of a client that has proved who it is. Raises TooManyRequests.

    subject: whose token was shown in place of credentials, so that one user cannot use up what the others may ask.
    """
    context.is_proven = True
    _require(_clients, context, (client_id, subject), config().rate_per_client, "client")


def admit_user(context: RequestContext, user: int) -> None:
    """Count a request of somebody who has signed in, or of a program of theirs. Raises TooManyRequests.

    user: primary key.
    """
    context.is_proven = True
    _require(_people, context, user, config().rate_per_client, "user")


def admit_trial(context: RequestContext, who: str) -> None:
    """Count a fetch from a URL that the holder of a credential chose. Raises TooManyRequests."""
    _require(_trials, context, who, TRIALS, "credential", does="have a key set fetched")


def forget() -> None:
    """Begin to count anew."""
    global _addresses, _clients, _people, _trials
    _addresses, _clients, _people, _trials = Buckets(), Buckets(), Buckets(), Buckets()


def _require(
    buckets: Buckets,
    context: RequestContext,
    who: Hashable,
    per_minute: int,
    kind: str,
    *,
    does: str = "ask this endpoint",
    take: bool = True,
) -> None:
    wait = buckets.seconds_to_wait(_source(context, who), per_minute, time.monotonic(), take=take)
    if wait:
        raise TooManyRequests(
            Refusal(
                f"rate.{kind}",
                f"one {kind} may {does} {per_minute} times a minute",
                fix="Wait as long as Retry-After says, keep tokens until they expire, and ask less often.",
            ),
            retry_after=math.ceil(wait),
        )


def _source(context: RequestContext, who: Hashable) -> Hashable:
    return context.endpoint, who


def _address(context: RequestContext) -> str:
    """Return the caller's address, or of IPv6 the network; "" where the server tells none."""
    try:
        address = ip_address(context.remote_address)
    except ValueError:
        return ""
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address.packed, IPV6_PREFIX), strict=False))
