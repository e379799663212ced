"""Whose pages may read an answer of the FHIR API, errors included.

Source: Fetch standard, CORS protocol; SMART 2.2 app-launch, "Considerations for Cross-Origin Resource Sharing (CORS)
support".
"""

from clients.origins import may_read
from fhirproxy.answers import HeaderLines
from fhirproxy.messages import RawRequest, RawResponse
from fhirproxy.policy.requests import is_public
from smartauth.cross_origin import EXPOSED_HEADERS
from smartauth.policy.access import Access


def readable(raw: RawRequest, response: RawResponse, access: Access | None = None) -> RawResponse:
    """Return `response` with the headers that let pages of the client behind the token read it, and no other's.

    access: what the token turned into. Without it the client is the one its token was issued to, as far as is known; a
    request that shows no token is told nothing but that, so an origin of any client may read it.
    """
    lines = (*response.headers, *_lines(raw, access))
    return RawResponse(response.status, lines, response.body, response.stream, response.value)


def preflight_origin(raw: RawRequest) -> str:
    """Return the origin a preflight may name, "*" for every one, "" for none: it shows no token, so any client's."""
    if is_public("GET", path_below_base(raw)):
        return "*"
    origin = _origin(raw)
    return origin if origin and may_read(origin, "") else ""


def path_below_base(raw: RawRequest) -> str:
    """Return the raw path below the FHIR base."""
    return raw.target.partition("?")[0].removeprefix(raw.prefix)


def _lines(raw: RawRequest, access: Access | None) -> HeaderLines:
    if raw.method == "OPTIONS":
        return ()  # What a preflight may be told it was told.
    if is_public("GET", path_below_base(raw)):
        allowed = "*"  # Also why there is no statement.
    else:
        allowed = _origin(raw)
        is_reader = allowed in access.origins if access else may_read(allowed, raw.context.client_id)
        if not allowed or not is_reader:
            return ()
    return (("Access-Control-Allow-Origin", allowed), ("Access-Control-Expose-Headers", EXPOSED_HEADERS))


def _origin(raw: RawRequest) -> str:
    """Return what the one Origin header says; repeated, it is nobody's."""
    found = [value for name, value in raw.headers if name.lower() == "origin"]
    return found[0] if len(found) == 1 else ""
