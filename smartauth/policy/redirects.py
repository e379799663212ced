"""Where an authorization response may go, and how it is written into that URL. Pure.

Source: RFC 6749 §3.1.2 and §4.1.2; RFC 8252 §7.3; RFC 9700 §2.1.
"""

from collections.abc import Iterable, Mapping
from difflib import SequenceMatcher
from urllib.parse import quote, urlencode, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def is_registered(uri: str, registered: Iterable[str], *, native: bool) -> bool:
    """Return True when `uri` is, character for character, one of `registered`.

    A native app that listens on loopback may use any port there: it takes the one the system gives it.
    """
    known = tuple(registered)
    if uri in known:
        return True
    portless = _without_port(uri) if native else None
    return portless is not None and portless in {_without_port(one) for one in known}


def nearest(uri: str, registered: Iterable[str]) -> str:
    """Return the registered URI most like `uri`, for the owner of the client to compare; "" when there is none."""
    return max(registered, key=lambda one: SequenceMatcher(None, one, uri[:2_000]).ratio(), default="")


def with_parameters(uri: str, parameters: Mapping[str, str]) -> str:
    """Return `uri` with `parameters` after its own query, which is kept as it is."""
    return f"{uri}{'&' if '?' in uri else '?'}{urlencode(parameters, quote_via=quote)}"


def form_action_source(uri: str) -> str:
    """Return what a Content-Security-Policy must name so that a form may end at `uri` (CSP 3, `form-action`).

    Browsers apply the directive to redirects after the form, too.
    """
    parts = urlsplit(uri)
    if parts.scheme not in ("http", "https"):
        return f"{parts.scheme}:"
    # A host-source has no form for an IPv6 address; the scheme is the narrowest that can be said.
    return f"{parts.scheme}:" if "[" in parts.netloc else f"{parts.scheme}://{parts.netloc}"


def shown_target(uri: str) -> str:
    """Return what people are told of where `uri` leads: its host, or the scheme of an app on their device."""
    parts = urlsplit(uri)
    return parts.netloc or parts.scheme


def _without_port(uri: str) -> str | None:
    """Return an http loopback URL without its port, None for any other URL."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        return None
    if not uri.startswith("http://") or parts.hostname not in LOOPBACK or "@" in parts.netloc or "#" in uri:
        return None
    host = parts.netloc if port is None else parts.netloc.rpartition(":")[0]
    return f"http://{host}{uri[len('http://') + len(parts.netloc) :]}"
