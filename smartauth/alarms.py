"""Alarms: lines in the log that somebody should be woken by. Names and numbers only, never what a resource says."""

import logging

from fhirproxy.timed import TimedCache

QUIET = 60.0  # seconds in which the same alarm is not raised again in this process

_raised: TimedCache[tuple[str, ...], bool] = TimedCache(max_size=10_000)
_log = logging.getLogger(__name__)


def raise_alarm(kind: str, **facts: str | int) -> None:
    """Write `alarm <kind> name=value …` to the log of this module, once a minute for the same names and texts.

    kind: a stable word an operator's monitoring may look for. Numbers may differ without making it another alarm.
    """
    key = (kind, *(f"{name}={value}" for name, value in facts.items() if isinstance(value, str)))
    fresh: list[bool] = []
    _raised.get(key, lambda: (bool(fresh.append(True)), QUIET))
    if fresh:
        _log.error("alarm %s %s", kind, " ".join(f"{name}={value}" for name, value in facts.items()))
