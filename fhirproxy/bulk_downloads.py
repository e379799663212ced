"""Who may hold a download: each takes a thread of the server for as long as its reader likes, and there are few.

Counted in this process.
"""

import threading
from collections import Counter

from fhirproxy.policy.outcomes import FhirRefusal
from smartauth.errors import Refusal

MOST_DOWNLOADS = 4  # at a time: apps at the bedside need threads too
MOST_OF_ONE_CLIENT = 2  # so that no reader who stalls keeps all others out

Client = tuple[str, str]  # tenant, client_id

_lock = threading.Lock()
_held: Counter[Client] = Counter()


def take(client: Client) -> None:
    """Take a place for one download. Raises FhirRefusal (429) when the client, or everybody together, has enough."""
    with _lock:
        if _held[client] >= MOST_OF_ONE_CLIENT:
            raise _too_many(
                "bulk.client_files",
                f"this client is reading {MOST_OF_ONE_CLIENT} files already",
                "Read to the end of one, or close its connection, before the next.",
            )
        if _held.total() >= MOST_DOWNLOADS:
            raise _too_many("bulk.too_many_files", "too many files are being read at the moment", "Try again.")
        _held[client] += 1


def give_back(client: Client) -> None:
    """Leave a place that was taken."""
    with _lock:
        _held[client] -= 1
        if not _held[client]:
            del _held[client]


def _too_many(rule: str, reason: str, fix: str) -> FhirRefusal:
    return FhirRefusal(429, "throttled", Refusal(rule, reason, fix=fix), retry_after=10)
