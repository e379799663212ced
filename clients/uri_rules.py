"""Which URLs a client may register. Pure.

Source: RFC 6749 §3.1.2; RFC 7591 §5; RFC 8252 §7; SMART 2.2 app-launch, "Register App with EHR".
"""

import re
from urllib.parse import parse_qsl, urlsplit

# RFC 3986 §2 without "*", which is no character of a fixed URL anybody uses and is one of a pattern.
URI_TEXT = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()+,;=%-]+")
LOOPBACK_HOSTS = frozenset({"localhost", "127.0.0.1", "::1"})
HOST = re.compile(r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?\.?|\[[0-9a-f:.]+\]")
REVERSE_DOMAIN = re.compile(r"[a-z][a-z0-9-]*(?:\.[a-z0-9][a-z0-9-]*)+")
MAX_LENGTH = 2_000


def redirect_uri_problem(uri: str, *, native: bool, sandbox: bool) -> str:
    """Say why `uri` may not be a redirect URI, or return "". `native`: an app on a device; `sandbox`: a test server.

    https; http on loopback for native apps and in the sandbox; a private-use scheme in reverse-domain form for native
    apps. It is one complete URL: no wildcard, fragment or user information.
    """
    scheme = uri.partition(":")[0]
    if native and REVERSE_DOMAIN.fullmatch(scheme):
        return _common_problem(uri)
    return web_url_problem(uri, http_on_loopback=native or sandbox)


def web_url_problem(uri: str, *, http_on_loopback: bool) -> str:
    """Say why `uri` is not a complete https URL (or http on loopback, if allowed), or return ""."""
    common = _common_problem(uri)
    if common:
        return common
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return "it is not an https URL"
    host = (parts.hostname or "").lower()
    if HOST.fullmatch(f"[{host}]" if ":" in host else host) is None:
        return "its host is missing or malformed"
    if parts.scheme == "http" and not (http_on_loopback and host in LOOPBACK_HOSTS):
        return "it is http; https is required"
    return ""


def launch_url_problem(uri: str, *, http_on_loopback: bool) -> str:
    """Say why an EHR cannot open `uri`, or return "".  Source: SMART 2.2 app-launch, "Launch App: EHR Launch"."""
    problem = web_url_problem(uri, http_on_loopback=http_on_loopback)
    if problem:
        return problem
    set_by_ehr = {"iss", "launch"} & {name for name, _ in parse_qsl(urlsplit(uri).query, keep_blank_values=True)}
    return f"its query has {' and '.join(sorted(set_by_ehr))}, which the EHR adds" if set_by_ehr else ""


def origin_problem(origin: str, *, http_on_loopback: bool) -> str:
    """Say why `origin` is not a browser origin as browsers write it (RFC 6454 §6.2), or return ""."""
    problem = web_url_problem(origin, http_on_loopback=http_on_loopback)
    if problem:
        return problem
    parts = urlsplit(origin)
    if origin != f"{parts.scheme}://{parts.netloc}" or origin != origin.lower():
        return "it is not scheme://host[:port] in lower case, without a path or a last slash"
    if parts.port == {"http": 80, "https": 443}[parts.scheme]:
        return "it names the default port, which browsers leave out"
    return ""


def _common_problem(uri: str) -> str:
    if not 1 <= len(uri) <= MAX_LENGTH:
        return "it is empty or too long"
    if URI_TEXT.fullmatch(uri) is None:
        return "it has a character that is not allowed in a fixed URL"
    if "#" in uri:
        return "it has a fragment"
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return "it is not a URL"
    if not parts.scheme or uri.partition(":")[0] != parts.scheme:
        return "it is not an absolute URL with a scheme in lower case"
    if "@" in parts.netloc:
        return "it has user information"
    if port == 0:
        return "its port is not one"
    return ""
