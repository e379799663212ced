"""Request headers: the few we read, each screened; everything else does not exist.

Source: FHIR R4 http; RFC 9110 §5.3 (repeated fields), §12.5.1; RFC 6750 §2.1.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from fhirproxy.policy.outcomes import FhirRefusal, bad_request
from smartauth.errors import InvalidToken, Refusal
from smartauth.policy.showing import Scheme, split_authorization

FORM = "application/x-www-form-urlencoded"
JSON_TYPES = frozenset(
    {"json", "application/json", "application/fhir+json", "text/json", "*/*", "application/*"}
)  # fmt: skip
METHOD_OVERRIDES = frozenset({"x-http-method-override", "x-http-method", "x-method-override"})
SINGLE = ("authorization", "content-type", "content-length", "if-none-exist", "content-encoding", "expect")
REQUEST_ID = re.compile(r"[A-Za-z0-9\-_.]{1,64}")
TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
MAX_TOKEN = 8 * 1024

RawHeaders = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Headers:
    """What a request may say beside its target; values are as sent, empty when absent."""

    authorization: str = ""
    dpop: str = ""
    accept: str = ""
    content_type: str = ""
    if_match: str = ""
    if_none_match: str = ""
    if_modified_since: str = ""
    if_none_exist: str = ""
    prefer: str = ""
    origin: str = ""
    request_id: str = ""

    @property
    def is_lenient(self) -> bool:
        """Return True when unknown harmless parameters may be dropped. Source: FHIR R4 search, "Handling Errors"."""
        return "handling=lenient" in [part.strip().lower() for part in re.split(r"[,;]", self.prefer)]


def screen_headers(method: str, raw: RawHeaders, *, has_body: bool) -> Headers:
    """Return the headers we read. Raises FhirRefusal (400 or 415) for those that try to mean two things.

    `raw`: names in any case. A gateway may have joined repeats, so a comma in a single-valued header is a repeat.
    """
    found: dict[str, str] = {}
    for name, value in raw:
        key = name.lower()
        if key in METHOD_OVERRIDES:
            raise bad_request("header.method_override", "method override headers are refused")
        if key in SINGLE and (key in found or ("," in value and key != "if-none-exist")):
            raise bad_request("header.repeated", f"the header {key} is repeated")
        if key in found:
            value = f"{found[key]}, {value}"
        found[key] = value
    _screen_body(method, found, has_body=has_body)
    request_id = found.get("x-request-id", "")
    return Headers(
        authorization=found.get("authorization", ""),
        dpop=found.get("dpop", ""),
        accept=found.get("accept", ""),
        content_type=found.get("content-type", ""),
        if_match=found.get("if-match", ""),
        if_none_match=found.get("if-none-match", ""),
        if_modified_since=found.get("if-modified-since", ""),
        if_none_exist=found.get("if-none-exist", ""),
        prefer=found.get("prefer", ""),
        origin=found.get("origin", ""),
        request_id=request_id if REQUEST_ID.fullmatch(request_id) else "",
    )


def _screen_body(method: str, found: dict[str, str], *, has_body: bool) -> None:
    if "content-length" in found and "transfer-encoding" in found:
        raise bad_request("header.framing", "Content-Length and Transfer-Encoding are both present")
    if found.get("content-encoding", "identity").strip().lower() != "identity":
        raise FhirRefusal(415, "not-supported", Refusal("header.content_encoding", "the body is encoded"))
    if found.get("expect", "100-continue").strip().lower() != "100-continue":
        raise bad_request("header.expect", "the Expect header asks for something unknown")
    if method in ("GET", "HEAD") and has_body:
        raise bad_request("header.body", "a GET or HEAD request has a body")


def access_token(authorization: str) -> tuple[Scheme, str]:
    """Return the scheme and the token of an Authorization header. Raises InvalidToken.

    Source: RFC 6750 §2.1; RFC 9449 §7.1.
    """
    shown = split_authorization(authorization)
    if shown is None:
        refusal = Refusal("bearer.missing", "no bearer token was sent", fix="Send Authorization: Bearer <token>.")
        raise InvalidToken(refusal, presented=False)
    scheme, token = shown
    if len(token) > MAX_TOKEN or TOKEN.fullmatch(token) is None:
        fix = "Send the access_token whole, without quotes or line breaks."
        reason = "the bearer token has characters no token has, or is too long"
        raise InvalidToken(Refusal("bearer.malformed", reason, seen=f"{len(token)} characters", fix=fix))
    return scheme, token


def require_json_accepted(accept: str, formats: Iterable[str]) -> None:
    """Raise FhirRefusal (406) unless JSON is acceptable; `_format` wins over Accept. Source: FHIR R4 http, _format."""
    asked = tuple(formats)
    if asked:
        if not all(_is_json(value) for value in asked):
            raise not_acceptable("_format")
    elif not accepts_json(accept):
        raise not_acceptable("Accept")


def media_ranges(accept: str) -> list[str]:
    """Return the media ranges a client takes, without parameters; those of weight zero are left out."""
    parsed = [_media_type(part) for part in accept.split(",") if part.strip()]
    return [media for media, parameters in parsed if parameters.get("q", "1").rstrip("0") not in ("", "0.")]


def accepts_json(accept: str) -> bool:
    """Return True when JSON is acceptable: named, within a range, or nothing was said."""
    return not accept.strip() or any(_is_json(part) for part in accept.split(","))


def require_form(content_type: str) -> None:
    """Raise FhirRefusal (415) unless the body is a form in UTF-8."""
    media, parameters = _media_type(content_type)
    if media != FORM or not set(parameters) <= {"charset"} or parameters.get("charset", "utf-8") != "utf-8":
        raise FhirRefusal(415, "not-supported", Refusal("header.content_type", f"the body of a search is {FORM}"))


def require_media(content_type: str, allowed: frozenset[str]) -> None:
    """Raise FhirRefusal (415) unless the body is one of the `allowed` media types in UTF-8."""
    media, parameters = _media_type(content_type)
    is_plain = set(parameters) <= {"charset", "fhirversion"} and parameters.get("charset", "utf-8") == "utf-8"
    if media not in allowed or not is_plain or parameters.get("fhirversion", "4.0") not in ("4.0", "4.0.1"):
        expected = " or ".join(sorted(allowed))
        raise FhirRefusal(415, "not-supported", Refusal("header.content_type", f"the body here is {expected}"))


def _is_json(text: str) -> bool:
    media, parameters = _media_type(text)
    if parameters.get("q", "1").rstrip("0") in ("", "0."):  # RFC 9110 §12.4.2: weight zero means not acceptable
        return False
    return (
        media in JSON_TYPES
        and parameters.get("fhirversion", "4.0") in ("4.0", "4.0.1")
        and parameters.get("charset", "utf-8") == "utf-8"
    )


def _media_type(text: str) -> tuple[str, dict[str, str]]:
    media, *rest = (part.strip() for part in text.split(";"))
    parameters = {}
    for part in rest:
        name, _, value = part.partition("=")
        parameters[name.strip().lower()] = value.strip().strip('"').lower()
    # A plus sign in _format arrives as a blank when it was not escaped; FHIR R4 tells servers to expect that.
    return media.lower().replace("application/fhir json", "application/fhir+json"), parameters


def not_acceptable(where: str) -> FhirRefusal:
    """Return the refusal of a request for a format that is not given: 406."""
    return FhirRefusal(406, "not-supported", Refusal("header.format", f"{where} asks for something other than JSON"))
