"""The one place where a result or an error becomes an HttpResponse, and where a refusal leaves its receipt."""

import functools
import hashlib
import logging
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from smartauth import rates
from smartauth.context import context_of
from smartauth.cross_origin import (
    EXPOSED_HEADERS,
    PREFLIGHT_AGE,
    REQUEST_HEADERS,
    MayRead,
    allow_origin,
    preflight_response,
)
from smartauth.errors import (
    BoundTokenRefused,
    ContentLengthRequired,
    ContentTooLarge,
    InsufficientScope,
    InvalidClient,
    InvalidToken,
    MethodNotAllowed,
    OAuthError,
    Refusal,
    TemporarilyUnavailable,
    TooManyRequests,
    UseDpopNonce,
)
from smartauth.receipts.recording import record

Json = Mapping[str, Any]
REALM = "smartauth"
_log = logging.getLogger(__name__)


def oauth_json(
    *methods: str, endpoint: str, origins: MayRead | None = None, status: int = 200, empty: int = 200
) -> Callable[[Callable[..., Json | None]], Callable[..., HttpResponse]]:
    """Make a view of a function that returns the members of a JSON answer, or None for an empty one.

    An OAuthError becomes the error answer of RFC 6749 §5.2 and leaves a receipt. Everything is `no-store`.
    A request that does not prove who it is is counted against its address; beyond its rate nothing is looked at.
    origins: whose pages may read the answers, errors included; None for no page.    status: of an answer with a body.
    empty: of one without.
    """

    def decorate(view: Callable[..., Json | None]) -> Callable[..., HttpResponse]:
        def answer(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            context = context_of(request)
            try:
                rates.require_room(context)
                try:
                    require_method(request, *methods)
                    body = view(request, *args, **kwargs)
                finally:
                    if not context.is_proven:
                        rates.count_unproven(context)
            except OAuthError as error:
                return error_response(request, error)
            except Exception as error:  # Ours, whatever it is: the caller gets a number, we get the traceback.
                return failure_response(request, error)
            return _empty(empty) if body is None else json_response(body, status)

        @csrf_exempt
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            context_of(request).endpoint = endpoint
            if origins is None:
                return private(answer(request, *args, **kwargs))
            if request.method == "OPTIONS":
                return private(preflight_response(request, origins, methods))
            return allow_origin(request, private(answer(request, *args, **kwargs)), origins)

        return wrapper

    return decorate


def public_json(
    *, endpoint: str, content_type: str = "application/json"
) -> Callable[[Callable[..., Json]], Callable[..., HttpResponse]]:
    """Make a view of a function that returns a public document: readable from any origin, shortly cached, with ETag.

    Raises what the function raises as an error answer (a document that does not exist is NotFound).
    Source: SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing"; RFC 9111; RFC 9110 §13.
    """

    def decorate(view: Callable[..., Json]) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponse:
            context_of(request).endpoint = endpoint
            try:
                require_method(request, "GET", "HEAD", "OPTIONS")
                response = (
                    _empty(204)
                    if request.method == "OPTIONS"
                    else _cacheable(request, json_response(view(request, *args, **kwargs), content_type=content_type))
                )
            except OAuthError as error:
                response = private(error_response(request, error))
            except Exception as error:
                response = private(failure_response(request, error))
            response["Access-Control-Allow-Origin"] = "*"
            response["Access-Control-Allow-Methods"] = "GET, HEAD, OPTIONS"
            if request.method == "OPTIONS":
                response["Access-Control-Allow-Headers"] = REQUEST_HEADERS
                response["Access-Control-Max-Age"] = PREFLIGHT_AGE
            response["Access-Control-Expose-Headers"] = EXPOSED_HEADERS
            return response

        return wrapper

    return decorate


def json_response(body: Json, status: int = 200, *, content_type: str = "application/json") -> HttpResponse:
    """Return `body` as JSON, whatever the request's Accept says (SMART 2.2 conformance)."""
    return HttpResponse(msgspec.json.encode(body), status=status, content_type=content_type)


def error_response(request: HttpRequest, error: OAuthError) -> HttpResponse:
    """Return the public answer to `error` and write its receipt.

    The answer is the same for every cause of one error code, apart from the trace id.
    """
    context = context_of(request)
    record(context, status=error.status, error=error.code, refusal=error.refusal)
    return _answer_to(error, str(context.trace_id))


def _answer_to(error: OAuthError, trace_id: str) -> HttpResponse:
    response = json_response(
        {"error": error.code, "error_description": error.description, "trace_id": trace_id},
        status=error.status,
    )
    match error:
        case InvalidClient(basic=True):
            response["WWW-Authenticate"] = f'Basic realm="{REALM}"'
        case BoundTokenRefused():
            for name, value in error.headers(REALM).items():
                response[name] = value
        case UseDpopNonce(nonce=nonce):
            response["DPoP-Nonce"] = nonce
        case InvalidToken(presented=presented):
            response["WWW-Authenticate"] = f'Bearer realm="{REALM}"' + (', error="invalid_token"' if presented else "")
        case InsufficientScope(scope=scope, scheme=scheme):
            hint = f', scope="{scope}"' if scope else ""
            response["WWW-Authenticate"] = f'{scheme} realm="{REALM}", error="insufficient_scope"{hint}'
        case ContentTooLarge() | ContentLengthRequired():
            response["Connection"] = "close"  # The rest of the body is not read, so nothing can follow it.
        case MethodNotAllowed(allow=allow):
            response["Allow"] = allow
        case TooManyRequests(retry_after=seconds):
            response["Retry-After"] = str(seconds)
        case TemporarilyUnavailable():
            response["Retry-After"] = "5"
    return response


def failure_response(request: HttpRequest, error: Exception) -> HttpResponse:
    """Return the answer to what went wrong with us: a database that is away, or a bug.

    One fixed sentence; the traceback stays with us, under the trace id the caller was given.
    """
    context = context_of(request)
    _log.error("request %s at %s failed", context.trace_id, context.endpoint, exc_info=error)
    if isinstance(error, OperationalError | InterfaceError):
        return _answer_to(database_away(), str(context.trace_id))  # There is nowhere to keep a receipt.
    return json_response(
        {
            "error": "server_error",
            "error_description": "The server made a mistake",
            "trace_id": str(context.trace_id),
        },
        status=500,
    )


def database_away() -> TemporarilyUnavailable:
    """Return the refusal for a database that does not answer: no database, no access."""
    return TemporarilyUnavailable(Refusal("server.database", "the database did not answer"))


def require_method(request: HttpRequest, *methods: str) -> None:
    """Raise MethodNotAllowed unless the request's method is one of `methods`."""
    if request.method not in methods:
        allow = ", ".join(methods)
        raise MethodNotAllowed(
            Refusal("http.method", "the HTTP method is not allowed", expected=allow, seen=request.method or ""),
            allow=allow,
        )


def _empty(status: int) -> HttpResponse:
    response = HttpResponse(status=status)
    del response["Content-Type"]
    return response


def private(response: HttpResponse) -> HttpResponse:
    """Forbid every cache to keep `response` (RFC 6749 §5.1)."""
    response["Cache-Control"] = "no-store"
    response["Pragma"] = "no-cache"
    return response


def _cacheable(request: HttpRequest, response: HttpResponse) -> HttpResponse:
    # Weak, so that it still stands for the document after a gateway compressed it (RFC 9110 §8.8.3.3).
    etag = f'W/"{hashlib.sha256(response.content).hexdigest()[:32]}"'
    known = [f"W/{tag.strip().removeprefix('W/')}" for tag in request.headers.get("If-None-Match", "").split(",")]
    if etag in known or "W/*" in known:
        response = _empty(304)
    response["ETag"] = etag
    response["Cache-Control"] = "public, max-age=300"
    return response
