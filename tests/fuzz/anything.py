"""Requests without any plan: every path of the URL map, names that mean something, values that mean nothing."""

import json
import re
import uuid
from collections.abc import Iterator

from django.urls import URLPattern, URLResolver, get_resolver
from hypothesis import strategies as st

from smartauth.forms import KNOWN
from tests.fuzz.sending import FORM, MARKUP, Sent

PLACE = re.compile(r"<(?:(?P<kind>\w+):)?\w+>")
FILLINGS = {
    "tenant": ("sandbox", "elsewhere"), "uuid": (str(uuid.UUID(int=7)),), "path": ("Patient/ana", "metadata", "x"),
    "str": ("x", "growth-chart"), "int": ("1",), "slug": ("x",), None: ("x",),
}  # fmt: skip
# The proxy takes any path below a base; which, its own proof tries much harder.
BELOW_A_BASE = tuple(
    f"/fhir/{rest}"
    for rest in ("sandbox/r4", "sandbox/r4/Patient/ana", "sandbox/r4/Patient", "sandbox/r4/Observation/_search",
                 "sandbox/r4/metadata", "sandbox/r4/$export", "sandbox/r4/%00", "elsewhere/r4/Patient", "-/r4")
)  # fmt: skip
# Served straight from files, or pages of Django's own that its tests answer for.
LEFT_OUT = ("admin/", "static/", "launcher/app/")

TEXTS = st.one_of(
    st.sampled_from((
        *("", " ", "\x00", "\x1f", "\u2028", "\ud7ff", "é", "0", "-1", "1" * 400, "true", "null", "[]", "{}", "%",
        "%00", "+"),
        *("a=b&c=d", "x" * 3000, MARKUP, "a.b.c", "..", "javascript:alert(1)", "//evil.example", "S256", "plain",
        "none"),
        *("http://127.0.0.1:8000/fhir/sandbox/r4", "https://cardio.example.org/callback", "growth-chart",
        "bulk-loader"),
        *("code", "authorization_code", "refresh_token", "client_credentials", "password", "login none"),
        "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "urn:ietf:params:oauth:request_uri:x",
        "eyJhbGciOiJub25lIn0.e30.", "eyJhbGciOiJSUzM4NCJ9.eyJpc3MiOiJidWxrLWxvYWRlciJ9.AAAA",
        "patient/*.rs openid launch/patient", "patient/Observation.rs?category=x|y&code=z",
    )),
    st.text(max_size=40),
)  # fmt: skip
FIELDS = st.lists(st.tuples(st.one_of(st.sampled_from(sorted(KNOWN)), st.text(max_size=10)), TEXTS), max_size=8)
# What a server in front hands on: no line breaks and nothing above one byte.
HEADER = st.one_of(
    st.sampled_from((
        *("", " ", "*", "null", "Basic", "Basic !!!", "Basic Z3Jvd3RoLWNoYXJ0Og==", "Basic Og==", "Negotiate abc"),
        *("Bearer", "Bearer x", "Bearer a b", "bearer eyJhbGciOiJub25lIn0.e30.", "DPoP x", "1" * 2000, "\xe4\xff",
        MARKUP),
        *("https://evil.example", "evil.example", "text/html", "application/fhir+json", "gzip", 'W/"1"', "bytes=0-1"),
        *("GET", "PUT"),
    )),
    st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=30),
)  # fmt: skip
NAMES = (
    *("Authorization", "Accept", "Origin", "Cookie", "DPoP", "Referer", "Prefer", "If-None-Match", "If-Match", "Range"),
    *("If-Modified-Since", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-For", "X-HTTP-Method-Override"),
    *("X-Request-ID", "Access-Control-Request-Method", "Access-Control-Request-Headers", "Content-Encoding"),
)
METHODS = ("GET", "POST", "POST", "HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "post")
TYPES = (
    *(
        FORM,
        FORM,
        FORM,
        f"{FORM}; charset=utf-8",
        f"{FORM}; charset=latin-1",
        "application/json",
        "text/plain",
        "",
        ";",
    ),
    *("application/fhir+json", "multipart/form-data; boundary=x", "multipart/form-data"),
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.floats(allow_nan=False), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=6,
)
BODIES = st.one_of(
    st.none(),
    st.none(),
    st.binary(max_size=60),
    JSON.map(lambda tree: json.dumps(tree).encode()),
    st.just(b"[" * 5_000),
    st.just(b"a=" + b"b" * 70_000),
)


def paths() -> tuple[str, ...]:
    """Return a path for every entry of the URL map: whoever adds an endpoint has it tried."""
    found = _paths(get_resolver().url_patterns, "")
    return (*(f"/{path}" for path in found if not path.startswith(LEFT_OUT)), *BELOW_A_BASE)


def _paths(patterns: list[URLPattern | URLResolver], before: str) -> Iterator[str]:
    for pattern in patterns:
        route = before + str(getattr(pattern.pattern, "_route", ""))
        if isinstance(pattern, URLResolver):
            yield from _paths(pattern.url_patterns, route)
        elif hasattr(pattern.pattern, "_route"):
            yield from _filled(route)


def _filled(route: str) -> Iterator[str]:
    place = PLACE.search(route)
    if place is None:
        yield route
        return
    for filling in FILLINGS[place["kind"]]:
        yield from _filled(route[: place.start()] + filling + route[place.end() :])


def requests() -> st.SearchStrategy[Sent]:
    """Give any request at any path."""
    return st.builds(
        Sent,
        path=st.sampled_from(paths()),
        method=st.sampled_from(METHODS),
        fields=FIELDS.map(tuple),
        headers=st.dictionaries(st.sampled_from(NAMES), HEADER, max_size=4),
        content_type=st.sampled_from(TYPES),
        body=BODIES,
        in_query=st.booleans(),
    )
