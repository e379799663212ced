"""Alarms: lines in the log that somebody should be woken by. Names and numbers only, never what a resource says."""

import logging
import threading
import time
from collections import OrderedDict

QUIET = 60.0  # seconds in which the same alarm is not raised again in this process
REMEMBERED = 10_000  # alarms

_raised: OrderedDict[tuple[str, ...], float] = OrderedDict()
_lock = threading.Lock()
_log = logging.getLogger(__name__)


def raise_alarm(kind: str, **facts: str | int) -> None:
    """Write `alarm <kind> name=value …` to the log of this module, once a minute for the same names and texts.

    kind: a stable word an operator's monitoring may look for. Numbers may differ without making it another alarm.
    """
    key = (kind, *(f"{name}={value}" for name, value in facts.items() if isinstance(value, str)))
    if _is_fresh(key):
        _log.error("alarm %s %s", kind, " ".join(f"{name}={value}" for name, value in facts.items()))


def _is_fresh(key: tuple[str, ...]) -> bool:
    now = time.monotonic()
    with _lock:
        if now - _raised.get(key, -QUIET) < QUIET:
            return False
        _raised[key] = now
        _raised.move_to_end(key)
        while len(_raised) > REMEMBERED:
            _raised.popitem(last=False)
        return True
