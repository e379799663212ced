"""What every HTTP connection we make has in common, whoever it goes to."""

import ipaddress
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pycurl

QUICK_EXIT = 322  # CURLOPT_QUICK_EXIT, for which pycurl 7.49 has no name
HAS_QUICK_EXIT = pycurl.version_info()[2] >= 0x075700  # libcurl 7.87; the wheel that is locked has a newer one
IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


def make_curl(connect_timeout: int) -> pycurl.Curl:
    """Return a libcurl handle that follows nothing, asks nobody else, and verifies whom it talks to.

    connect_timeout: milliseconds. The caller sets the URL, the schemes, its own limits and an address guard.
    """
    curl = pycurl.Curl()
    curl.setopt(pycurl.NOSIGNAL, 1)  # Signals and threads do not mix.
    curl.setopt(pycurl.FOLLOWLOCATION, 0)
    curl.setopt(pycurl.PROXY, "")  # Empty, not unset: unset would read the environment.
    curl.setopt(pycurl.NETRC, 0)
    curl.setopt(pycurl.CONNECTTIMEOUT_MS, connect_timeout)
    # Else closing a handle waits, past every limit, for a name that is still being looked up: whoever serves the name
    # decides how long. The thread that looks it up ends by itself.
    if HAS_QUICK_EXIT:
        curl.setopt(QUICK_EXIT, 1)
    curl.setopt(pycurl.SSL_VERIFYPEER, 1)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2)
    # The wheel's libcurl looks for authorities where its build machine kept them; Python knows where this one does.
    trust = ssl.get_default_verify_paths()
    if trust.cafile and Path(trust.cafile).is_file():
        curl.setopt(pycurl.CAINFO, trust.cafile)
    if trust.capath and Path(trust.capath).is_dir():
        curl.setopt(pycurl.CAPATH, trust.capath)
    return curl


@contextmanager
def connecting_only_where(curl: pycurl.Curl, may_connect: Callable[[IPAddress], bool]) -> Iterator[list[str]]:
    """Let a handle connect to the addresses `may_connect` accepts, and yield those that were refused.

    They are judged where the socket is made: what was looked up is what is connected to, whatever DNS answers a second
    time. The transfer is made within the block.
    """
    refused: list[str] = []
    sockets: list[socket.socket] = []

    def open_socket(purpose: int, target: tuple[int, int, int, tuple[str, int]]) -> socket.socket | int:
        family, kind, protocol, (host, *_) = target
        address = ip_address(host)
        if address is None or not may_connect(address):
            refused.append(host)
            return int(pycurl.SOCKET_BAD)
        # pycurl works on a duplicate; ours is closed when the transfer is over.
        sockets.append(socket.socket(family, kind, protocol))
        return sockets[-1]

    curl.setopt(pycurl.OPENSOCKETFUNCTION, open_socket)
    try:
        yield refused
    finally:
        for one in sockets:
            one.close()


def ip_address(host: str) -> IPAddress | None:
    """Return the address that a host is written as, without its zone; None for a name."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return None
