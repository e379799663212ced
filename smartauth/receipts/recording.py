"""Writing receipts, without ever standing in the way of the answer."""

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from django.db import Error, connection

from smartauth.context import RequestContext
from smartauth.errors import Refusal
from smartauth.receipts.models import Receipt
from smartauth.storable import storable

LONGEST = 2_000  # characters kept of each text
# A source may leave this many receipts at once, and one more per second; beyond that its refusals are only counted.
BURST = 120
PER_SECOND = 1.0
SOURCES = 10_000

COUNT = """
    INSERT INTO receipts_refusalcount (minute, source, rule, count) VALUES (%s, %s, %s, 1)
    ON CONFLICT ON CONSTRAINT refusal_count_once_per_minute
    DO UPDATE SET count = receipts_refusalcount.count + 1
"""


class _Flood:
    """A token bucket per source, in this process; bounded, least recently seen sources leave first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def admits(self, source: str) -> bool:
        with self._lock:
            now = time.monotonic()
            left, when = self._buckets.pop(source, (float(BURST), now))
            left = min(float(BURST), left + (now - when) * PER_SECOND)
            admitted = left >= 1
            self._buckets[source] = (left - 1 if admitted else left, now)
            while len(self._buckets) > SOURCES:
                self._buckets.popitem(last=False)
            return admitted


_flood = _Flood()


def record(context: RequestContext, *, status: int, error: str, refusal: Refusal) -> None:
    """Store why a request was refused, under its trace id.

    Called outside every transaction of the request. A receipt that cannot be written is logged by rule and trace id:
    the answer matters more than its explanation.
    """
    source = context.remote_address or context.client_id
    try:
        if _flood.admits(source):
            _write(context, status, error, refusal)
        else:
            minute = datetime.now(UTC).replace(second=0, microsecond=0)
            with connection.cursor() as cursor:
                cursor.execute(COUNT, [minute, source[:255], refusal.rule])
    except Error:
        logging.getLogger(__name__).exception("receipt %s (%s) was not written", context.trace_id, refusal.rule)


def _storable(value: Any) -> Any:
    match value:
        case str():
            return storable(value, LONGEST)
        case list() | tuple():
            return [_storable(one) for one in value]
        case Mapping():
            return {name: _storable(one) for name, one in value.items()}
    return value


def _write(context: RequestContext, status: int, error: str, refusal: Refusal) -> None:
    Receipt.objects.create(
        trace_id=context.trace_id,
        at=datetime.now(UTC),
        endpoint=context.endpoint,
        method=storable(context.method, 16),
        status=status,
        error=error,
        rule=refusal.rule,
        reason=storable(refusal.reason, LONGEST),
        expected=storable(refusal.expected, LONGEST),
        seen=storable(refusal.seen, LONGEST),
        fix=storable(refusal.fix, LONGEST),
        officer=storable(refusal.officer, LONGEST),
        decision=_storable(context.explanation.as_json()) if context.explanation else {},
        client_id=storable(context.client_id, 255),
        tenant=context.tenant,
        remote_address=context.remote_address,
        correlation_id=context.correlation_id,
    )
