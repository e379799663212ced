"""What happens to every request: who is calling from where, under which trace id, and whether the host is ours."""

import ipaddress
import re
from collections.abc import Callable

from django.core.exceptions import DisallowedHost
from django.http import HttpRequest, HttpResponse
from django.urls import Resolver404, resolve

from smartauth.browser import page_policy_text
from smartauth.conf import config
from smartauth.context import context_of, new_context
from smartauth.errors import InvalidRequest, NotFound, OAuthError, Refusal, UriTooLong
from smartauth.receipts.recording import record
from smartauth.responses import error_response, private

GetResponse = Callable[[HttpRequest], HttpResponse]
CORRELATION_ID = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
# Paths whose callers are programs: no session, no cookies, no CSRF token; every view there answers its own errors.
PROTOCOL = re.compile(
    r"/fhir/|/style/|/skin/|/brands[/.]|/\.well-known/|/(?:healthz|readyz)$"
    # Of what is below /auth/ only these are pages of a person, or will be.
    r"|/auth/(?!(?:[^/]+/)?(?:authorize|consent|refused|logout)(?:/|$))"
)
# Pages between an app's request and its answer. An app in the frame of an EHR, as the launcher is one, opens them in a
# window beside it, which tells the frame of the answer: cut off from its opener, as other pages are, it could not.
BESIDE_APPS = ("/auth/", "/account/", "/launcher/")
JSON_PAGES = "/developers/api/"  # for programs too, which may come with a session of the portal
# bytes of path and query as they came; an authorization request with every scope of US Core has a third of it
LONGEST_URL = 32 * 1024
PROBES = ("/healthz", "/readyz")


def trace(get_response: GetResponse) -> GetResponse:
    """Give the request a context and every answer its trace id; refuse hosts and schemes that are not ours."""

    def middleware(request: HttpRequest) -> HttpResponse:
        request.context = new_context(method=request.method or "")  # type: ignore[attr-defined]
        context = context_of(request)
        _read_hop(request)
        correlation_id = request.headers.get("X-Request-ID", "")
        if CORRELATION_ID.fullmatch(correlation_id):
            context.correlation_id = correlation_id
        response = _refuse_foreign(request) or _refuse_long(request) or get_response(request)
        response["X-Trace-Id"] = str(context.trace_id)
        return response

    return middleware


def page_policy(get_response: GetResponse) -> GetResponse:
    """Add to pages what only a browser enforces; a policy that a page set for itself stays."""

    def middleware(request: HttpRequest) -> HttpResponse:
        response = get_response(request)
        if response.get("Content-Type", "").startswith("text/html"):
            response.setdefault("Content-Security-Policy", page_policy_text())
            response.setdefault("Cache-Control", "no-store")
        if request.path_info.startswith(BESIDE_APPS):
            response.setdefault("Cross-Origin-Opener-Policy", "unsafe-none")
        return response

    return middleware


def protocol_lane(get_response: GetResponse) -> GetResponse:
    """Call protocol views directly, past everything that only pages need: it costs more than some of them do."""

    def middleware(request: HttpRequest) -> HttpResponse:
        if PROTOCOL.match(request.path_info) is None:
            return get_response(request)
        try:
            match = resolve(request.path_info)
        except Resolver404:
            return private(error_response(request, _nothing_here(request)))
        request.resolver_match = match
        return match.func(request, *match.args, **match.kwargs)

    return middleware


def _read_hop(request: HttpRequest) -> None:
    """Take the caller's address and scheme from the last trusted hop, and from nobody else (RFC 9700 §4.13)."""
    peer = request.META.get("REMOTE_ADDR", "")
    forwarded = [part.strip() for part in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if part.strip()]
    if _is_trusted(peer):
        scheme = request.META.get("HTTP_X_FORWARDED_PROTO", "")
        if scheme in ("http", "https"):
            request.environ["wsgi.url_scheme"] = scheme  # type: ignore[attr-defined]
        while forwarded and _is_trusted(peer):
            peer = forwarded.pop()
    context_of(request).remote_address = peer if _is_address(peer) else ""


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _is_trusted(address: str) -> bool:
    networks = config().trusted_proxies
    if not networks or not _is_address(address):
        return False
    parsed = ipaddress.ip_address(address)
    return any(parsed.version == network.version and parsed in network for network in networks)


def _refuse_foreign(request: HttpRequest) -> HttpResponse | None:
    if request.path_info in PROBES:
        return None
    try:
        request.get_host()
    except DisallowedHost:
        seen = request.META.get("HTTP_HOST", "")[:200]
        foreign = Refusal("http.host", "This host is not served here.", config().base_url, seen)
        return _refuse(request, InvalidRequest(foreign, foreign.reason))
    if not request.is_secure() and not config().is_sandbox:
        plain = Refusal("http.scheme", "This server is reached by https only.", config().base_url)
        return _refuse(request, InvalidRequest(plain, plain.reason))
    return None


def _refuse_long(request: HttpRequest) -> HttpResponse | None:
    """Refuse what is too long to be a request of ours. The FHIR API has a limit of its own."""
    length = len(request.META.get("PATH_INFO", "")) + len(request.META.get("QUERY_STRING", ""))
    if length <= LONGEST_URL or request.path_info.startswith("/fhir/"):
        return None
    refusal = Refusal(
        "http.url_size",
        "The URL is too long.",
        expected=f"at most {LONGEST_URL} bytes",
        seen=f"{length} bytes",
        fix="Send the parameters by POST, in the body.",
    )
    return _refuse(request, UriTooLong(refusal))


def _nothing_here(request: HttpRequest) -> NotFound:
    context_of(request).endpoint = "none"
    fix = "Copy the URL from the smart-configuration document, without a trailing slash."
    return NotFound(Refusal("http.path", "there is nothing at this URL", seen=request.path_info[:200], fix=fix))


def _refuse(request: HttpRequest, error: OAuthError) -> HttpResponse:
    if PROTOCOL.match(request.path_info) or request.path_info.startswith(JSON_PAGES):
        return private(error_response(request, error))
    record(context_of(request), status=error.status, error=error.code, refusal=error.refusal)
    return HttpResponse(f"{error.refusal.reason}\n", status=error.status, content_type="text/plain")
