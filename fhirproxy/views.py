"""The proxy as a Django view: an HttpRequest becomes a RawRequest, a RawResponse becomes an HttpResponse."""

import logging
from typing import Literal
from urllib.parse import quote

from django.db import InterfaceError, OperationalError
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.http.response import HttpResponseBase
from django.views.decorators.csrf import csrf_exempt

from fhirproxy.answers import bug_answer, refusal_answer
from fhirproxy.messages import LARGEST_BODY, RawRequest, RawResponse, Unreadable
from fhirproxy.pipeline import handle
from fhirproxy.readers import readable
from smartauth.bodies import BodyTooLarge, BrokenBody, LengthRequired, read_body
from smartauth.context import context_of
from smartauth.responses import database_away

UNPREFIXED = {"CONTENT_TYPE": "content-type", "CONTENT_LENGTH": "content-length"}


@csrf_exempt
def proxy(request: HttpRequest, tenant: str, place: Literal["r4", "app-state"]) -> HttpResponseBase:
    """Everything at and below `/fhir/<tenant>/r4`, and `/fhir/<tenant>/app-state`."""
    context = context_of(request)
    trace_id = str(context.trace_id)
    raw = _raw(request, tenant, place)
    try:
        response = handle(raw)
    except Exception as error:  # Ours, whatever it is: the caller gets a number, we get the traceback.
        logging.getLogger(__name__).exception("request %s at the proxy failed", trace_id)
        is_away = isinstance(error, OperationalError | InterfaceError)
        response = readable(raw, refusal_answer(database_away(), trace_id) if is_away else bug_answer(trace_id))
    return _as_django(response, has_body=request.method != "HEAD")


def _raw(request: HttpRequest, tenant: str, place: Literal["r4", "app-state"]) -> RawRequest:
    environ = request.environ  # type: ignore[attr-defined]
    script = environ.get("SCRIPT_NAME", "")
    return RawRequest(
        method=environ.get("REQUEST_METHOD", ""),
        target=_target(environ, script),
        prefix=f"{script}/fhir/{tenant}/{place}",
        tenant=tenant,
        headers=_headers(environ),
        body=_body(request),
        context=context_of(request),
        place=place,
    )


def _body(request: HttpRequest) -> bytes | Unreadable:
    try:
        return read_body(request, LARGEST_BODY)
    except BodyTooLarge:
        return Unreadable.TOO_LARGE
    except LengthRequired:
        return Unreadable.WITHOUT_LENGTH
    except BrokenBody:
        return Unreadable.BROKEN


def _target(environ: dict[str, str], script: str) -> str:
    """Return the target as it came over the wire where the server tells, else one written anew from what it decoded.

    Written anew, a percent sign that was left over after decoding is escaped again, and so is decoded once and not
    twice.
    """
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if raw:
        return raw
    path = quote((script + environ.get("PATH_INFO", "")).encode("latin-1"), safe="/-._~$*:@!&'()+,;=")
    query = environ.get("QUERY_STRING", "")
    return f"{path}?{query}" if query else path


def _headers(environ: dict[str, str]) -> tuple[tuple[str, str], ...]:
    found = [(name[5:].replace("_", "-").lower(), value) for name, value in environ.items() if name.startswith("HTTP_")]
    found += [(name, environ[key]) for key, name in UNPREFIXED.items() if environ.get(key)]
    return tuple(found)


def _as_django(raw: RawResponse, *, has_body: bool) -> HttpResponseBase:
    response: HttpResponseBase
    if raw.stream is not None:
        response = StreamingHttpResponse(raw.stream, status=raw.status)
    else:
        response = HttpResponse(raw.body if has_body else b"", status=raw.status)
    if "content-type" not in {name.lower() for name, _ in raw.headers}:
        del response["Content-Type"]
    for name, value in raw.headers:
        response[name] = value
    return response
