"""Reading a request's body whole, within a limit."""

from django.http import HttpRequest


class BrokenBody(Exception):
    """The body ended before its Content-Length."""


class BodyTooLarge(Exception):
    """The body is larger than the limit."""


class LengthRequired(Exception):
    """The body has no Content-Length (RFC 9110 §15.5.12)."""


def read_body(request: HttpRequest, limit: int) -> bytes:
    """Return the body, at most `limit` bytes. Raises BrokenBody, BodyTooLarge, LengthRequired.

    A chunked body is refused: the WSGI server hands over one that broke off as if it were whole, and a search whose
    last parameters got lost would be a search for more than was asked.
    """
    environ = request.environ  # type: ignore[attr-defined]
    if environ.get("HTTP_TRANSFER_ENCODING"):
        raise LengthRequired
    length = environ.get("CONTENT_LENGTH") or "0"
    if not (length.isascii() and length.isdigit()):
        raise BrokenBody
    if int(length) > limit:
        raise BodyTooLarge
    try:
        body = request.read(int(length))
    except OSError as error:
        raise BrokenBody from error
    if len(body) < int(length):
        raise BrokenBody
    return body
