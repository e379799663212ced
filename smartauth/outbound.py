"""What every HTTP connection we make has in common, whoever it goes to."""

import ssl
from pathlib import Path

import pycurl


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
    curl.setopt(pycurl.SSL_VERIFYPEER, 1)
    curl.setopt(pycurl.SSL_VERIFYHOST, 2)
    # The wheel's libcurl looks for authorities where its build machine kept them; Python knows where this one does.
    trust = ssl.get_default_verify_paths()
    if trust.cafile and Path(trust.cafile).is_file():
        curl.setopt(pycurl.CAINFO, trust.cafile)
    if trust.capath and Path(trust.capath).is_dir():
        curl.setopt(pycurl.CAPATH, trust.capath)
    return curl
