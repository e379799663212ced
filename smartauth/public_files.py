"""Files that pages of ours fetch, each under the digest of its content: whoever has one need never ask again."""

import functools
from collections.abc import Callable

from django.http import HttpRequest, HttpResponse
from django.views.decorators.csrf import csrf_exempt

from smartauth.context import context_of
from smartauth.errors import OAuthError
from smartauth.responses import error_response, failure_response, private, require_method

A_YEAR = 365 * 24 * 3600
# A file that is opened by itself runs nothing, loads nothing, and is nobody's page.
POLICY = "default-src 'none'; sandbox; frame-ancestors 'none'"


def public_file(*, endpoint: str) -> Callable[[Callable[..., tuple[str, bytes]]], Callable[..., HttpResponse]]:
    """Make a view of a function that returns media type and content of what is under a digest.

    Raises what the function raises as an error answer: a digest of nothing is NotFound.
    Source: RFC 8246; Fetch standard, `X-Content-Type-Options` and `Cross-Origin-Resource-Policy`.
    """

    def decorate(view: Callable[..., tuple[str, bytes]]) -> Callable[..., HttpResponse]:
        @csrf_exempt
        @functools.wraps(view)
        def wrapper(request: HttpRequest, *args: object, **kwargs: object) -> HttpResponse:
            context_of(request).endpoint = endpoint
            try:
                require_method(request, "GET", "HEAD")
                media_type, content = view(request, *args, **kwargs)
            except OAuthError as error:
                return private(error_response(request, error))
            except Exception as error:
                return private(failure_response(request, error))
            response = HttpResponse(content, content_type=media_type)
            response["Cache-Control"] = f"public, max-age={A_YEAR}, immutable"
            response["X-Content-Type-Options"] = "nosniff"
            response["Content-Security-Policy"] = POLICY
            response["Cross-Origin-Resource-Policy"] = "same-origin"
            return response

        return wrapper

    return decorate
