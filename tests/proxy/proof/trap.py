"""A listener nobody should ever be led to: it counts who comes."""

import socket
import threading
from functools import cache


class Trap:
    """Listens on a loopback port of its own, closes every connection, and counts them."""

    def __init__(self) -> None:
        self.visits = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/r4"
        threading.Thread(target=self._count, daemon=True).start()

    def _count(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            self.visits += 1
            connection.close()


@cache
def trap() -> Trap:
    """Return the one trap of this process."""
    return Trap()
