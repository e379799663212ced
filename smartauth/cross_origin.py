"""Letting pages of registered origins read our answers, and nobody else's pages. No cookie is ever involved.

Source: Fetch standard, CORS protocol; SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS)
support".
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse

from smartauth.context import context_of

REQUEST_HEADERS = "Authorization, Content-Type, Accept, DPoP, X-Request-ID"
EXPOSED_HEADERS = "WWW-Authenticate, DPoP-Nonce, Retry-After, X-Trace-Id"
PREFLIGHT_AGE = "600"  # seconds a browser may remember


@dataclass(frozen=True, slots=True)
class CrossOrigin:
    """Whose pages may read: the origins of one client, and whether any client has an origin."""

    of_client: Callable[[str], frozenset[str]]
    is_known: Callable[[str], bool]


def preflight_response(request: HttpRequest, origins: CrossOrigin, methods: tuple[str, ...]) -> HttpResponse:
    """Answer a preflight. It names no client, so an origin of any will do; the request itself is judged by its own."""
    response = HttpResponse(status=204)
    del response["Content-Type"]
    origin = request.headers.get("Origin", "")
    if origin and origins.is_known(origin):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Allow-Methods"] = ", ".join(methods)
        response["Access-Control-Allow-Headers"] = REQUEST_HEADERS
        response["Access-Control-Max-Age"] = PREFLIGHT_AGE
    response["Vary"] = "Origin"
    return response


def allow_origin(request: HttpRequest, response: HttpResponse, origins: CrossOrigin) -> HttpResponse:
    """Let the page read `response`, an error too, if its origin is one of the client the request names."""
    origin, client_id = request.headers.get("Origin", ""), context_of(request).client_id
    if origin and client_id and origin in origins.of_client(client_id):
        response["Access-Control-Allow-Origin"] = origin
        response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
    response["Vary"] = "Origin"
    return response
