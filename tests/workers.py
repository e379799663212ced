"""Connections to each worker process of a running server: which of them answers is otherwise left to chance.

Read from /proc, which only Linux has.
"""

import http.client
from pathlib import Path
from urllib.parse import urlsplit

import pytest

TRIES = 64  # connections; the kernel spreads them over the workers


def connect_to_each_worker(base_url: str, count: int) -> list[http.client.HTTPConnection]:
    """Return `count` open connections, each to another worker process of the server at `base_url`."""
    if not Path("/proc/net/tcp").exists():
        pytest.skip("NO /proc: which worker holds a connection is not known on this system")
    parts = urlsplit(base_url)
    found: dict[int, http.client.HTTPConnection] = {}
    for _ in range(TRIES):
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=30)
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        if found.setdefault(_pid_of_peer(connection), connection) is not connection:
            connection.close()
        if len(found) == count:
            return list(found.values())
    raise AssertionError(f"{len(found)} of {count} workers took a connection")


def _pid_of_peer(connection: http.client.HTTPConnection) -> int:
    """Return the process that holds the other end of a loopback connection."""
    ours, theirs = connection.sock.getsockname()[1], connection.sock.getpeername()[1]
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        fields = line.split()
        local, remote = (int(address.rpartition(":")[2], 16) for address in fields[1:3])
        if (local, remote) == (theirs, ours):
            return _pid_with(f"socket:[{fields[9]}]")
    raise AssertionError("the connection is not there")


def _pid_with(socket: str) -> int:
    for folder in Path("/proc").glob("[0-9]*/fd"):
        try:
            if any(str(file.readlink()) == socket for file in folder.iterdir()):
                return int(folder.parent.name)
        except OSError:  # It ended meanwhile, or is somebody else's.
            continue
    raise AssertionError("nobody we may look at holds the other end")
