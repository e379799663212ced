"""Letting pages of registered origins read our answers, and nobody else's pages. No cookie is ever involved.

Source: Fetch standard, CORS protocol; SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS)
support".
"""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse

from smartauth.context import context_of

# What apps send and what they read, at the OAuth endpoints and the FHIR API alike.
REQUEST_HEADERS = (
    "Authorization, Content-Type, Accept, Prefer, "
    "If-Match, If-None-Match, If-None-Exist, If-Modified-Since, DPoP, X-Request-ID"
)
EXPOSED_HEADERS = (
    "ETag, Location, Content-Location, Last-Modified, "
    "WWW-Authenticate, DPoP-Nonce, Retry-After, X-Progress, X-Request-ID, X-Trace-Id"
)
PREFLIGHT_AGE = "600"  # seconds a browser may remember

# (origin, client_id): whether pages of the origin may read what this client is told; "" when no client was named.
MayRead = Callable[[str, str], bool]


def preflight_response(request: HttpRequest, may_read: MayRead, methods: tuple[str, ...]) -> HttpResponse:
    """Answer a preflight. It names no client, so an origin of any will do; the request itself is judged by its own."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    origin = request.headers.get("Origin", "")
    if origin and may_read(origin, ""):
        response["Access-Control-Allow-Origin"] = origin
        # GET is named where it is refused, too: then the page reads why.
        response["Access-Control-Allow-Methods"] = ", ".join(dict.fromkeys(("GET", *methods)))
        response["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response["Access-Control-Max-Age"] = PREFLIGHT_AGE
    response["Vary"] = "Origin"
    return response


def allow_origin(request: HttpRequest, response: HttpResponse, may_read: MayRead) -> HttpResponse:
    """Let the page read `response`, an error too, if its origin is one of the client the request names.

    A request refused before it could name a client is told nothing but that, so an origin of any client may read it.
    """
    origin = request.headers.get("Origin", "")
    if origin and may_read(origin, context_of(request).client_id):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    response["Vary"] = "Origin"
    return response
