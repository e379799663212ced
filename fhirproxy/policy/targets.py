"""The request target: raw path and query to decoded segments and pairs, once, or a refusal.

Everything is decoded exactly once and then held against a short list of allowed characters, so that no spelling of a
path can mean one thing here and another upstream. Source: RFC 3986 §2, RFC 9112 §3.2; WHATWG URL, urlencoded parsing.
"""

import re
from dataclasses import dataclass
from urllib.parse import quote, unquote_to_bytes

from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from smartauth.errors import Refusal

MAX_TARGET = 8 * 1024
MAX_PAIRS = 100
MAX_NAME = 128
MAX_VALUE = 2 * 1024
CURSOR = "c"  # our own page cursor, the only value that is long by nature
SEGMENT = re.compile(r"[A-Za-z0-9\-._$*]+")
BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
UNRESERVED = "-._~$"  # beside letters and digits: what we write without an escape

Pairs = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Target:
    """A decoded request target below a FHIR base: `Patient/p1?_summary=true` is (("Patient", "p1"), (…))."""

    segments: tuple[str, ...]
    pairs: Pairs = ()
    trailing_slash: bool = False


def parse_target(raw: str, *, prefix: str) -> Target:
    """Read an origin-form target whose path begins with `prefix`, the path of the tenant's FHIR base.

    Raises FhirRefusal: 414 for size, 404 for a trailing slash below the base, else 400.
    """
    if len(raw) > MAX_TARGET:
        raise _too_long("target.length", "the request target is longer than 8 KiB")
    if not raw.startswith("/") or "#" in raw:
        raise bad_request("target.form", "the request target is not a plain path and query")
    if not raw.isascii() or CONTROL.search(raw) or " " in raw:
        raise bad_request("target.characters", "the request target holds characters that must be percent-encoded")
    path, _, query = raw.partition("?")
    if path != prefix and not path.startswith(prefix + "/"):
        raise bad_request("target.prefix", "the path of the FHIR base must be written plainly")
    segments, trailing_slash = _segments(path[len(prefix) :])
    return Target(segments, parse_query(query), trailing_slash)


def _segments(path: str) -> tuple[tuple[str, ...], bool]:
    if path in ("", "/"):
        return (), False
    parts = path[1:].split("/")
    trailing_slash = parts[-1] == ""
    if trailing_slash:
        parts.pop()
    if "" in parts:
        raise bad_request("target.double_slash", "the path has an empty segment")
    return tuple(_segment(part) for part in parts), trailing_slash


def _segment(part: str) -> str:
    if BROKEN_ESCAPE.search(part):
        raise bad_request("target.escape", "a percent sign in the path is not followed by two hex digits")
    text = unquote_to_bytes(part).decode("latin-1")
    if SEGMENT.fullmatch(text) is None or text in (".", ".."):
        raise bad_request("target.segment", "the path holds a character that FHIR paths never have")
    return text


def parse_query(query: str) -> Pairs:
    """Read a query string or a form body as (name, value) pairs, in order. Raises FhirRefusal (400 or 414)."""
    if not query:
        return ()
    parts = query.split("&")
    if len(parts) > MAX_PAIRS:
        raise _too_long("query.pairs", "there are more than 100 parameters")
    return tuple(_pair(part) for part in parts)


def parse_form(body: bytes) -> Pairs:
    """Read an application/x-www-form-urlencoded body by the rules of a query string. Raises FhirRefusal."""
    if len(body) > MAX_TARGET:
        raise _too_long("form.length", "the form is longer than 8 KiB")
    try:
        text = body.decode("ascii")
    except UnicodeDecodeError:
        raise bad_request("form.characters", "the form holds characters that must be percent-encoded") from None
    if CONTROL.search(text) or " " in text:
        raise bad_request("form.characters", "the form holds characters that must be percent-encoded")
    return parse_query(text)


def _pair(part: str) -> tuple[str, str]:
    raw_name, separator, raw_value = part.partition("=")
    if not raw_name or not separator or not raw_value:
        raise bad_request("query.empty", "a parameter has no name or no value")
    name, value = _decode(raw_name), _decode(raw_value)
    longest = MAX_TARGET if name == CURSOR else MAX_VALUE
    if len(name) > MAX_NAME or len(value.encode()) > longest:
        raise _too_long("query.length", "a parameter name or value is too long")
    # Some servers split names at these and would see a parameter that we did not.
    if re.search(r"[;\[\]]", name):
        raise bad_request("query.name", "a parameter name holds ; or a bracket")
    return name, value


def _decode(text: str) -> str:
    if BROKEN_ESCAPE.search(text):
        raise bad_request("query.escape", "a percent sign in the query is not followed by two hex digits")
    try:
        decoded = unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise bad_request("query.utf8", "a parameter is not UTF-8") from None
    if CONTROL.search(decoded):
        raise bad_request("query.control", "a parameter holds a control character")
    return decoded


def _too_long(rule: str, reason: str) -> FhirRefusal:
    return FhirRefusal(414, "too-long", Refusal(rule, reason))


def render(segments: tuple[str, ...], pairs: Pairs) -> str:
    """Write segments and pairs as a relative target; the inverse of reading it. No leading slash."""
    path = "/".join(quote(segment, safe=UNRESERVED) for segment in segments)
    query = "&".join(f"{quote(name, safe=UNRESERVED)}={quote(value, safe=UNRESERVED)}" for name, value in pairs)
    return f"{path}?{query}" if query else path
