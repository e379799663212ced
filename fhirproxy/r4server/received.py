"""What arrived under the base URL, so that a test can say what was forwarded, and that nothing was."""

import threading
from collections import deque

from fhirproxy.r4server.encoding import JsonObject
from fhirproxy.r4server.messages import Request

KEPT = 1000
KEPT_BODY = 64 * 1024  # bytes


class ReceivedLog:
    """The last requests in the order they came, in memory only."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: deque[JsonObject] = deque(maxlen=KEPT)

    def add(self, request: Request, target: str) -> None:
        """Remember a request; `target` is its request target as it stood on the wire."""
        entry: JsonObject = {
            "method": request.method,
            "target": target,
            "headers": [list(pair) for pair in request.headers],
            "body": request.body[:KEPT_BODY].decode("utf-8", errors="replace"),
        }
        with self._lock:
            self._kept.append(entry)

    def as_json(self) -> list[JsonObject]:
        """Return ``[{"method", "target", "headers": [[name, value], ...], "body"}, ...]``, oldest first."""
        with self._lock:
            return list(self._kept)

    def clear(self) -> None:
        """Forget all requests."""
        with self._lock:
            self._kept.clear()
