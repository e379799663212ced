"""The schedule of the watch over key sets: rounds at fixed moments, for as long as nobody says stop."""

import logging
import math
import threading
import time
from collections.abc import Callable

from django.db import InterfaceError, OperationalError, connection

_log = logging.getLogger(__name__)


def go_on(
    do_round: Callable[[threading.Event], None],
    *,
    every: float,
    stop: threading.Event,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Call `do_round`, with `stop`, now and then at moments `every` seconds apart, until `stop` is set.

    The moments are counted from the first one, so rounds do not drift; one that passes while a round still runs is left
    out. `clock` counts seconds. A round that fails, as all do while the database is away, is logged, and the next one
    tries again.
    """
    began = clock()
    while not stop.is_set():
        try:
            do_round(stop)
        except (OperationalError, InterfaceError) as error:
            # The text of the error may name hosts and users of the database.
            _log.warning("no round over key sets: the database does not answer (%s)", type(error).__name__)
            connection.close()
        except Exception:
            # A watch that ended would be missed only when a partner calls; one that goes on fails loudly each time.
            _log.exception("no round over key sets")
        stop.wait(seconds_to_next(clock() - began, every))


def seconds_to_next(elapsed: float, every: float) -> float:
    """Return how long it is to the next multiple of `every` seconds after `elapsed`."""
    return (math.floor(elapsed / every) + 1) * every - elapsed
