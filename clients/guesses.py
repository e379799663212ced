"""Guessing at client secrets: after a burst of wrong ones nothing more is looked at for a while.

A secret of ours has 256 bits and cannot be guessed; what this ends is the noise of trying, and somebody is told. It
counts by client and network, so that no stranger can keep a client out that comes from elsewhere, and in this process:
several workers look at several times as many.  Source: RFC 6749 §2.3.1 and §10.10.
"""

import ipaddress
import math
import threading
from collections import OrderedDict
from datetime import datetime

from smartauth.alarms import raise_alarm
from smartauth.audit.recording import AuditEvent, record_now
from smartauth.context import RequestContext
from smartauth.errors import Refusal, TooManyRequests

AT_ONCE = 10  # wrong secrets
EVERY = 30.0  # seconds until one more is looked at
SOURCES = 10_000

Source = tuple[str, str]  # client_id as claimed, network


class Guesses:
    """A token bucket of wrong secrets for each source. Bounded; the least recently seen sources leave first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[Source, tuple[float, float]] = OrderedDict()

    def seconds_to_wait(self, source: Source, now: float) -> float:
        """Return how long it is until a secret of `source` is looked at again: 0 for at once."""
        with self._lock:
            return max(0.0, (1 - self._left(source, now)) * EVERY)

    def add(self, source: Source, now: float) -> bool:
        """Count a wrong secret. True: it was the last of a burst."""
        with self._lock:
            left = self._left(source, now) - 1
            self._buckets[source] = (max(0.0, left), now)
            self._buckets.move_to_end(source)
            while len(self._buckets) > SOURCES:
                self._buckets.popitem(last=False)
            return left < 1

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._buckets.clear()

    def _left(self, source: Source, now: float) -> float:
        left, when = self._buckets.get(source, (float(AT_ONCE), now))
        return min(float(AT_ONCE), left + max(0.0, now - when) / EVERY)


guesses = Guesses()


def require_patience(client_id: str, *, context: RequestContext, now: datetime) -> None:
    """Raise TooManyRequests while wrong secrets of this client from this network are too many.

    client_id: as claimed, whether there is one or not: how this answers says nothing about who exists.
    """
    source = _source(client_id, context)
    wait = guesses.seconds_to_wait(source, now.timestamp()) if source else 0.0
    if wait > 0:
        raise TooManyRequests(
            Refusal(
                "client.guessing",
                "too many wrong secrets of this client came from this network; none is looked at for a while",
                expected=f"at most {AT_ONCE} at once, then one in {EVERY:.0f} s",
                seen=f"network {source[1]}" if source else "",
                fix="Stop the program that repeats a wrong secret, and correct the secret.",
            ),
            retry_after=math.ceil(wait),
        )


def note_wrong_secret(client_id: str, *, context: RequestContext, now: datetime) -> None:
    """Count a secret that was wrong; what ends a burst raises an alarm and leaves an audit record."""
    source = _source(client_id, context)
    if source and guesses.add(source, now.timestamp()):
        # As it was noted: a text that is no client_id could add words of its own to the line, or be a secret.
        named = context.client_id or "(no client_id)"
        raise_alarm("client-secret-guessing", client_id=named, network=source[1])
        event = AuditEvent("alarm", rule="client.guessing", client_id=context.client_id, details={"network": source[1]})
        record_now(context, event)


def _source(client_id: str, context: RequestContext) -> Source | None:
    """Return whom to count, None where the address is not known: all the world in one bucket would lock clients out."""
    if not context.remote_address:
        return None
    address = ipaddress.ip_address(context.remote_address)
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped  # A socket for both kinds tells IPv4 addresses so; they are no one network.
    # Who has one IPv6 address has the 2^64 around it.
    length = 32 if address.version == 4 else 64
    return client_id[:255], str(ipaddress.ip_network((address.packed, length), strict=False))
