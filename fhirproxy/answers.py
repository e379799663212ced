"""Shaped values and refusals as answers: every header that leaves the proxy is written here.

Source: FHIR R4 http; RFC 6750 §3; RFC 9110 §13; Fetch standard, CORS.
"""

from dataclasses import replace
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime

from fhirproxy.messages import FHIR_JSON, RawResponse
from fhirproxy.policy.binaries import Content
from fhirproxy.policy.bodies import Resource
from fhirproxy.policy.dates import find_interval
from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import FhirRefusal, operation_outcome
from fhirproxy.policy.references import is_id
from fhirproxy.policy.shaping import Shaped, written_by_us
from smartauth import endpoints
from smartauth.cross_origin import PREFLIGHT_AGE, REQUEST_HEADERS
from smartauth.errors import BoundTokenRefused, InvalidToken, OAuthError, TemporarilyUnavailable
from smartauth.policy.access import Access

REALM = "fhir"
PRIVATE = (
    ("Cache-Control", "no-store"),
    ("Pragma", "no-cache"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Vary", "Authorization, Origin"),
)
METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"

HeaderLines = tuple[tuple[str, str], ...]


def answer(status: int, value: Shaped, *headers: tuple[str, str], pretty: bool = False) -> RawResponse:
    """Return an answer that only its token holder may keep."""
    lines = (("Content-Type", FHIR_JSON), *PRIVATE, *headers)
    return RawResponse(status, lines, value.encode(pretty=pretty), value=value)


def refusal_answer(refused: FhirRefusal | OAuthError, trace_id: str) -> RawResponse:
    """Return the public answer to a refusal: an OperationOutcome that names no more than the client may know."""
    if isinstance(refused, FhirRefusal):
        outcome = operation_outcome(refused.issue, refused.public, trace_id, refused.more)
        return answer(refused.status, written_by_us(outcome), *_challenge(refused))
    issue = "login" if isinstance(refused, InvalidToken) else "transient"
    outcome = operation_outcome(issue, f"{refused.description}.", trace_id)  # type: ignore[arg-type]
    return answer(refused.status, written_by_us(outcome), *_challenge(refused))


def _challenge(refused: FhirRefusal | OAuthError) -> HeaderLines:
    match refused:
        case BoundTokenRefused():
            return tuple(refused.headers(REALM).items())
        case InvalidToken(presented=presented):
            return (("WWW-Authenticate", f'Bearer realm="{REALM}"' + (', error="invalid_token"' if presented else "")),)
        case FhirRefusal(scope=scope) if scope:
            challenge = f'Bearer realm="{REALM}", error="insufficient_scope", scope="{scope}"'
            return (("WWW-Authenticate", challenge),)
        case FhirRefusal(retry_after=seconds) if seconds:
            return (("Retry-After", str(seconds)),)
        case FhirRefusal(allow=allow) if allow:
            return (("Allow", allow),)
        case FhirRefusal(status=411 | 413):
            return (("Connection", "close"),)  # The rest of the body is not read, so nothing can follow it.
        case FhirRefusal(status=429):
            return (("Retry-After", "60"),)
        case TemporarilyUnavailable() | FhirRefusal(status=502 | 503 | 504):
            return (("Retry-After", "5"),)
    return ()


def with_challenge(response: RawResponse, access: Access | None, tenant: str) -> RawResponse:
    """Return an answer whose challenge, if it has one, names the scheme of the token, and for want of a token where the
    FHIR base describes itself.

    tenant: slug.  Source: RFC 9449 §7.1; RFC 9728 §5.1.
    """
    is_bound = access is not None and access.key_binding is not None
    metadata = endpoints.protected_resource_metadata(tenant)
    where = f', resource_metadata="{metadata}"' if response.status == 401 else ""

    def completed(challenge: str) -> str:
        return (challenge.replace("Bearer ", "DPoP ", 1) if is_bound else challenge) + where

    lines = ((name, completed(value) if name == "WWW-Authenticate" else value) for name, value in response.headers)
    return replace(response, headers=tuple(lines))


def error_code(refused: FhirRefusal | OAuthError) -> str:
    """Return what a receipt calls the refusal."""
    if isinstance(refused, OAuthError):
        return refused.code
    return "insufficient_scope" if refused.scope else refused.issue


def bug_answer(trace_id: str) -> RawResponse:
    """Return the answer to our own mistake: one fixed sentence."""
    return answer(500, written_by_us(operation_outcome("exception", "The server made a mistake.", trace_id)))


def resource_answer(resource: Resource, value: Shaped, headers: Headers, *, pretty: bool) -> RawResponse:
    """Return a read resource, or 304 when the client has this version. Called after the check, never before.

    `resource` is the checked resource, for its version and date.
    """
    lines, etag, moment = version_lines(resource)
    if _is_known(headers, etag, moment):
        return RawResponse(304, (*PRIVATE, *lines))
    return answer(200, value, *lines, pretty=pretty)


def version_lines(resource: Resource) -> tuple[HeaderLines, str, datetime | None]:
    """Return ETag and Last-Modified of a checked resource, and what they say: (lines, entity tag, moment)."""
    meta = resource.get("meta")
    version = meta.get("versionId") if isinstance(meta, dict) else None
    updated = meta.get("lastUpdated") if isinstance(meta, dict) else None
    lines: list[tuple[str, str]] = []
    etag = f'W/"{version}"' if isinstance(version, str) and is_id(version) else ""
    if etag:
        lines.append(("ETag", etag))
    interval = find_interval(updated) if isinstance(updated, str) else None
    moment = interval.start.replace(microsecond=0) if interval else None
    if moment is not None:
        lines.append(("Last-Modified", format_datetime(moment.astimezone(UTC), usegmt=True)))
    return tuple(lines), etag, moment


def content_answer(found: Content) -> RawResponse:
    """Return bytes as a download: a browser neither guesses at them nor shows them, and if it did, without scripts."""
    lines = (
        ("Content-Type", found.media_type),
        *PRIVATE,
        ("Content-Disposition", "attachment"),
        ("Content-Security-Policy", "sandbox; default-src 'none'"),
    )
    return RawResponse(200, lines, found.data)


def _is_known(headers: Headers, etag: str, moment: datetime | None) -> bool:
    if headers.if_none_match:
        tags = [tag.strip().removeprefix("W/") for tag in headers.if_none_match.split(",")]
        return bool(etag) and (etag.removeprefix("W/") in tags or "*" in tags)
    if not headers.if_modified_since or moment is None:
        return False
    try:
        since = parsedate_to_datetime(headers.if_modified_since)
    except ValueError:
        return False
    return since.tzinfo is not None and moment <= since


def preflight_answer(*, allowed_origin: str) -> RawResponse:
    """Return the answer to OPTIONS: from what is configured, never forwarded.

    allowed_origin: whose pages may go on to ask, "*" for every page, "" for none.
    """
    allowed = (("Access-Control-Allow-Origin", allowed_origin),) if allowed_origin else ()
    return RawResponse(
        204,
        (
            *allowed,
            ("Allow", METHODS),
            ("Access-Control-Allow-Methods", METHODS),
            ("Access-Control-Allow-Headers", REQUEST_HEADERS),
            ("Access-Control-Max-Age", PREFLIGHT_AGE),
            ("Vary", "Origin"),
            ("X-Content-Type-Options", "nosniff"),
        ),
    )
