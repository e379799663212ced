"""Reading a JSON object from the body of a request, strictly: no member twice, nothing that cannot be stored."""

import json
from typing import Any

from django.http import HttpRequest

from smartauth.bodies import BodyTooLarge, BrokenBody, LengthRequired, read_body
from smartauth.errors import ContentLengthRequired, ContentTooLarge, InvalidRequest, Refusal

JSON = "application/json"
LARGEST = 64 * 1024  # bytes


def json_object(request: HttpRequest, largest: int = LARGEST) -> dict[str, Any]:
    """Return the object in the body, of at most `largest` bytes.

    Raises InvalidRequest, ContentTooLarge, ContentLengthRequired.
    """
    content_type = request.headers.get("Content-Type", "")
    if content_type.partition(";")[0].strip().lower() != JSON:
        refusal = Refusal("http.content_type", "the body is not JSON", expected=JSON, seen=content_type[:100])
        raise InvalidRequest(refusal, "The body must be application/json")
    try:
        raw = read_body(request, largest)
    except BrokenBody:
        raise InvalidRequest(Refusal("http.body", "the body ended before its Content-Length")) from None
    except LengthRequired:
        raise ContentLengthRequired(Refusal("http.length", "the body has no Content-Length")) from None
    except BodyTooLarge:
        refusal = Refusal("http.size", "the body is too large", expected=f"at most {largest} bytes")
        raise ContentTooLarge(refusal) from None
    try:
        found = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_number)
        json.dumps(found, ensure_ascii=False).encode()  # Half a surrogate pair is no text and cannot be stored.
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise InvalidRequest(
            Refusal("http.json", "the body is not one JSON object in UTF-8 with each member once"),
            "The body must be a JSON object",
        )
    return found


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise ValueError("a member occurs twice")
    return members


def _no_number(text: str) -> Any:
    raise ValueError(f"{text} is no JSON")
