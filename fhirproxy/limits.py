"""How much one client may ask for, counted in this process: requests at a time, requests a minute, resources an hour.

Too many requests are refused with 429. Many resources are not refused: somebody is told.
"""

import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager

from clients.tenants import TenantPolicy
from fhirproxy.alarms import raise_alarm
from fhirproxy.policy.outcomes import FhirRefusal
from smartauth.errors import Refusal
from smartauth.policy.access import Access
from smartauth.rates import Buckets

SOURCES = 10_000
HOUR = 3_600.0  # seconds

Source = tuple[str, str, str]  # tenant, client_id, subject


class Results:
    """How many resources each source was given in the present hour of its own. Bounded."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._hours: OrderedDict[Source, tuple[float, int]] = OrderedDict()

    def add(self, source: Source, given: int, limit: int, now: float) -> int:
        """Return the sum when this is what took it beyond `limit`, else 0."""
        with self._lock:
            began, before = self._hours.pop(source, (now, 0))
            if now - began >= HOUR:
                began, before = now, 0
            self._hours[source] = (began, before + given)
            while len(self._hours) > SOURCES:
                self._hours.popitem(last=False)
            return before + given if before <= limit < before + given else 0


class Slots:
    """How many requests of each client are being answered."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._taken: Counter[tuple[str, str]] = Counter()

    def take(self, client: tuple[str, str], limit: int) -> bool:
        """Take a place for one request. False: there is none."""
        with self._lock:
            if limit and self._taken[client] >= limit:
                return False
            self._taken[client] += 1
            return True

    def give_back(self, client: tuple[str, str]) -> None:
        """Leave a place that was taken."""
        with self._lock:
            self._taken[client] -= 1
            if not self._taken[client]:
                del self._taken[client]


_rates = Buckets()
_results = Results()
_slots = Slots()


@contextmanager
def admitted(access: Access, policy: TenantPolicy) -> Iterator[None]:
    """Hold a place for one request of a client. Raises FhirRefusal (429) when it asks too much or too often."""
    per_minute = policy.max_requests_per_minute
    wait = _rates.seconds_to_wait(_source(access), per_minute, time.monotonic()) if per_minute else 0.0
    if wait:
        raise _too_many("limit.rate", f"this client and user may send {per_minute} requests a minute", math.ceil(wait))
    client = (access.tenant, access.client_id)
    if not _slots.take(client, policy.max_concurrent):
        raise _too_many("limit.concurrent", f"this client may have {policy.max_concurrent} requests at a time", 1)
    try:
        yield
    finally:
        _slots.give_back(client)


def watch_results(access: Access, policy: TenantPolicy, given: int) -> None:
    """Count what a client and user were given; raise the mass reading alarm once an hour where it is too much."""
    limit = policy.max_results_per_hour
    total = _results.add(_source(access), given, limit, time.monotonic()) if limit and given else 0
    if total:
        raise_alarm(
            "mass-reading",
            tenant=access.tenant,
            client=access.client_id,
            user="" if access.user is None else str(access.user),
            results=total,
        )


def forget() -> None:
    """Begin to count anew."""
    global _rates, _results, _slots
    _rates, _results, _slots = Buckets(), Results(), Slots()


def _source(access: Access) -> Source:
    return access.tenant, access.client_id, access.subject


def _too_many(rule: str, reason: str, retry_after: int) -> FhirRefusal:
    refusal = Refusal(rule, reason, fix="Wait as long as Retry-After says, and send fewer requests at a time.")
    return FhirRefusal(429, "throttled", refusal, retry_after=max(1, retry_after))
