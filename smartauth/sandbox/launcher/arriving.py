"""What a request shows of the launch it may belong to, before anybody has judged it. It proves nothing here."""

import base64
import binascii
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from django.http import HttpRequest
from django.http.request import UnreadablePostError

from smartauth.forms import FORM, LARGEST_FORM

BROWSER_PARTS = ("authorize", "sign-in", "picker", "consent", "callback", "logout")
PATHS = (
    (re.compile(r"/fhir/[^/]+/r4/(?:metadata|\.well-known/smart-configuration)/?"), "discovery"),
    (re.compile(r"/\.well-known/[a-z-]+(?:\.json)?(?:/fhir/[^/]+/r4)?"), "discovery"),
    (re.compile(r"/fhir/[^/]+/r4(?:/.*)?"), "fhir"),
    (re.compile(r"/auth/(?:[^/]+/)?(?P<name>authorize|par|token|userinfo|introspect|revoke)"), ""),
    (re.compile(r"/auth/consent/(?P<pk>[0-9a-f-]{36})"), "consent"),
    (re.compile(r"/auth/consent/(?P<pk>[0-9a-f-]{36})/patient"), "picker"),
    (re.compile(r"/auth/refused/(?P<pk>[0-9a-f-]{36})"), "callback"),
    (re.compile(r"/account/(?:login|reauthenticate)/"), "sign-in"),
    (re.compile(r"/auth/(?:[^/]+/)?logout(?:/confirm)?"), "logout"),
)
WAITING = re.compile(r"/auth/(?:consent|refused)/(?P<pk>[0-9a-f-]{36})")
OURS = "pending "  # before the id of a request that waits, so that it is nothing else's digest


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request of a kind that launches have.

    `params` are those of the query, or of the form where it has one; `shown` is what it may be known by.
    """

    part: str
    params: Mapping[str, str]
    shown: tuple[str, ...]
    client_id: str

    @property
    def is_by_browser(self) -> bool:
        """Return True for a page that a person visits."""
        return self.part in BROWSER_PARTS


def read(request: HttpRequest) -> Arrived | None:
    """Return what a request shows, or None for one that no launch has."""
    found = next(((match, part) for path, part in PATHS if (match := path.fullmatch(request.path_info))), None)
    if found is None:
        return None
    match, part = found
    part = part or match["name"]
    query = dict(parse_qsl(request.META.get("QUERY_STRING", "")))
    params = query if part in ("fhir", "discovery") else query | form_of(request)
    return Arrived(part, params, tuple(_shown(part, params, request, match)), _claimed(params, request))


def waiting_at(url: str) -> str:
    """Return what a request of ours that waits for a person is known by, "" when `url` is of none."""
    match = WAITING.match(urlsplit(url).path)
    return f"{OURS}{match['pk']}" if match else ""


def form_of(request: HttpRequest) -> dict[str, str]:
    """Return the fields of a small form; the view reads it again from the start. {} for anything else."""
    length = request.META.get("CONTENT_LENGTH") or "0"
    is_form = request.headers.get("Content-Type", "").partition(";")[0].strip().lower() == FORM
    is_small = length.isascii() and length.isdigit() and int(length) <= LARGEST_FORM
    if not (is_form and is_small) or request.META.get("HTTP_TRANSFER_ENCODING"):
        return {}
    try:
        return dict(parse_qsl(request.body.decode("ascii")))
    except (UnreadablePostError, ValueError):
        return {}


def _shown(part: str, params: Mapping[str, str], request: HttpRequest, match: re.Match[str]) -> list[str]:
    match part:
        case "authorize" | "par":
            return [params.get("launch", ""), params.get("request_uri", "")]
        case "token":
            return [params.get("code", ""), params.get("refresh_token", "")]
        case "introspect" | "revoke":
            return [params.get("token", "")]
        case "logout":
            return [params.get("id_token_hint", ""), params.get("request", "")]
        case "fhir" | "userinfo" | "discovery":
            return [request.META.get("HTTP_AUTHORIZATION", "").partition(" ")[2].strip()]
        case "sign-in":
            return [waiting_at(params.get("next", ""))]
    return [f"{OURS}{match['pk']}"]


def _claimed(params: Mapping[str, str], request: HttpRequest) -> str:
    """Return the client a request says it is from."""
    scheme, _, value = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    name = ""
    if scheme.lower() == "basic":
        name = unquote(_decoded(value).partition(":")[0])
    _, _, rest = params.get("client_assertion", "").partition(".")
    return params.get("client_id", "") or _subject(_decoded(rest.partition(".")[0])) or name


def _subject(text: str) -> str:
    try:
        claims: Any = json.loads(text)
    except ValueError:
        return ""
    subject = claims.get("sub") if isinstance(claims, dict) else None
    return subject if isinstance(subject, str) else ""


def _decoded(text: str) -> str:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
    except (binascii.Error, ValueError):
        return ""
