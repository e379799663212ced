"""Reading the form of an OAuth request, strictly: what is repeated, broken or not a form is refused.

Source: RFC 6749 §3.1, §3.2 and appendix B.
"""

from collections.abc import Mapping

from django.core.exceptions import TooManyFieldsSent
from django.http import HttpRequest, QueryDict

from smartauth.bodies import BodyTooLarge, BrokenBody, LengthRequired, read_body
from smartauth.errors import ContentLengthRequired, ContentTooLarge, InvalidRequest, Refusal

FORM = "application/x-www-form-urlencoded"
# The parameters that mean something to some endpoint. Others are ignored, however often they come (RFC 6749 §3.1).
KNOWN = frozenset(
    {
        *("acr_values", "aud", "claims", "client_assertion", "client_assertion_type", "client_id", "client_secret"),
        *("code", "code_challenge", "code_challenge_method", "code_verifier", "display", "dpop_jkt", "grant_type"),
        *("id_token_hint", "launch", "login_hint", "logout_hint", "max_age", "nonce", "post_logout_redirect_uri"),
        *("prompt", "redirect_uri", "refresh_token", "registration"),
        *("request", "request_uri", "resource", "response_mode", "response_type", "scope", "state", "token"),
        *("token_type_hint", "ui_locales"),
    }
)
LARGEST_FORM = 64 * 1024  # bytes; an OAuth request has no reason to be larger


def form(request: HttpRequest) -> dict[str, str]:
    """Return the parameters of a form-encoded body, each at most once; an empty value counts as absent.

    Parameters in the URL are not read. Raises InvalidRequest, ContentTooLarge, ContentLengthRequired.
    Source: RFC 6749 §3.2 and appendix B.
    """
    return single_valued(form_fields(request))


def form_fields(request: HttpRequest) -> QueryDict:
    """Return the fields of a form-encoded body as they came: repeated, empty and unreadable ones are not judged yet.

    Raises InvalidRequest, ContentTooLarge, ContentLengthRequired.
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
    return _decode(raw)


def query_fields(request: HttpRequest) -> QueryDict:
    """Return the fields of the URL's query as they came. Raises InvalidRequest when it is no query at all."""
    return _decode(request.META.get("QUERY_STRING", "").encode("latin-1"))


def single_valued(fields: QueryDict) -> dict[str, str]:
    """Return `fields` as plain values without the empty ones.

    Raises InvalidRequest when a parameter that has a meaning is repeated, or when something is no text.
    """
    parts = [part for name, found in fields.lists() for part in (name, *found)]
    if any("\x00" in part for part in parts) or not all(map(is_utf8, parts)):
        raise InvalidRequest(Refusal("http.encoding", "a parameter is not UTF-8 text"))
    values: dict[str, str] = {}
    for name, found in fields.lists():
        if len(found) > 1 and name in KNOWN:
            raise InvalidRequest(
                Refusal("http.parameter_repeated", "a parameter occurs more than once", seen=name[:100]),
                "A parameter occurs more than once",
            )
        if found[0]:
            values[name] = found[0]
    return values


def is_utf8(part: str) -> bool:
    """Return True when `part` is as it was sent: decoding is lenient, and replaces what it cannot read."""
    return "\N{REPLACEMENT CHARACTER}" not in part


def require_param(params: Mapping[str, str], name: str) -> str:
    """Return the parameter called `name`. Raises InvalidRequest when it is absent or empty."""
    if name not in params:
        raise InvalidRequest(
            Refusal("http.parameter_missing", f"{name} is missing", expected=name), f"The parameter {name} is missing"
        )
    return params[name]


def _decode(raw: bytes) -> QueryDict:
    try:
        return QueryDict(raw.decode("ascii"), encoding="utf-8")
    except (ValueError, TooManyFieldsSent):
        raise InvalidRequest(
            Refusal("http.encoding", "the parameters are not form-encoded, or there are too many of them")
        ) from None


def _is_utf8(options: str) -> bool:
    return all(
        name.strip().lower() != "charset" or value.strip().strip('"').lower() == "utf-8"
        for name, _, value in (option.partition("=") for option in options.split(";"))
    )
