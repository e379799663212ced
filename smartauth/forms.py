"""Reading the form of an OAuth request, strictly: what is repeated, broken or not a form is refused.

Source: RFC 6749 §3.1, §3.2 and appendix B.
"""

from collections.abc import Mapping

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, QueryDict

from smartauth.bodies import BodyTooLarge, BrokenBody, LengthRequired, read_body
from smartauth.errors import ContentLengthRequired, ContentTooLarge, InvalidRequest, Refusal

FORM = "application/x-www-form-urlencoded"
LARGEST_FORM = 64 * 1024  # bytes; an OAuth request has no reason to be larger


def form(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of a form-encoded body, each at most once; an empty value counts as absent.

    Parameters in the URL are not read. Raises InvalidRequest, ContentTooLarge, ContentLengthRequired.
    Source: RFC 6749 §3.2 and appendix B.
    """
    content_type, _, options = request.headers.get("Content-Type", "").partition(";")
    if content_type.strip().lower() != FORM or not _is_utf8(options):
        raise InvalidRequest(
            Refusal(
                "http.content_type",
                "the body is not form-encoded UTF-8",
                expected=FORM,
                seen=request.headers.get("Content-Type", "")[:100],
            ),
            "The body must be application/x-www-form-urlencoded",
        )
    try:
        raw = read_body(request, LARGEST_FORM)
    except BrokenBody:
        raise InvalidRequest(Refusal("http.body", "the body ended before its Content-Length")) from None
    except LengthRequired:
        fix = "Send the form in one piece, with a Content-Length."
        raise ContentLengthRequired(Refusal("http.length", "the body has no Content-Length", fix=fix)) from None
    except BodyTooLarge:
        refusal = Refusal("http.size", "the body is too large", expected=f"at most {LARGEST_FORM} bytes")
        raise ContentTooLarge(refusal) from None
    return single_valued(_decode(raw))


def single_valued(fields: QueryDict) -> dict[str, str]:
    """Return `fields` as plain values without the empty ones. Raises InvalidRequest when a name is repeated."""
    values: dict[str, str] = {}
    for name, found in fields.lists():
        if len(found) > 1:
            raise InvalidRequest(
                Refusal("http.parameter_repeated", "a parameter occurs more than once", seen=name[:100]),
                "A parameter occurs more than once",
            )
        if found[0]:
            values[name] = found[0]
    return values


def require_param(params: Mapping[str, str], name: str) -> str:
    """Return the parameter called `name`. Raises InvalidRequest when it is absent or empty."""
    if name not in params:
        raise InvalidRequest(
            Refusal("http.parameter_missing", f"{name} is missing", expected=name), f"The parameter {name} is missing"
        )
    return params[name]


def _decode(raw: bytes) -> QueryDict:
    try:
        fields = QueryDict(raw.decode("ascii"), encoding="utf-8")
        # Decoding is lenient about bytes that are not UTF-8; a replacement character was never sent on purpose.
        readable = not any("\N{REPLACEMENT CHARACTER}" in part for pair in fields.items() for part in pair)
    except (ValueError, TooManyFieldsSent):
        readable = False
    if not readable or any("\x00" in part for name, values in fields.lists() for part in (name, *values)):
        raise InvalidRequest(
            Refusal("http.encoding", "the body is not form-encoded UTF-8 text, or has too many parameters")
        )
    return fields


def _is_utf8(options: str) -> bool:
    return all(
        name.strip().lower() != "charset" or value.strip().strip('"').lower() == "utf-8"
        for name, _, value in (option.partition("=") for option in options.split(";"))
    )
