"""What a write brings beside its path: headers, criteria and a body that nobody has read yet.

The body is read only once the letters for the write are known to be there. Source: FHIR R4 http; RFC 7240; RFC 9110
§13.1.1.
"""

import re
from dataclasses import dataclass, field
from typing import Literal

from fhirproxy.policy.headers import Headers
from fhirproxy.policy.outcomes import bad_request
from fhirproxy.policy.references import is_id
from fhirproxy.policy.results import Shape, parse_read_parameters
from fhirproxy.policy.targets import Pairs, parse_query

SHAPING = frozenset({"_format", "_pretty"})
ENTITY_TAG = re.compile(r'(?:W/)?"(?P<version>[^"]*)"')
Return = Literal["representation", "minimal"]


@dataclass(frozen=True, slots=True)
class Sent:
    """The rest of a write. `criteria` None: the request is about no more than its path says."""

    content_type: str = ""
    body: bytes = b""
    if_match: str = ""
    if_none_match: str = ""
    criteria: Pairs | None = None
    returns: Return = "representation"
    shape: Shape = field(default_factory=Shape)

    @property
    def version(self) -> str:
        """Return the version the client says it has seen, or the empty text. Raises FhirRefusal (400)."""
        if self.if_none_match:
            raise bad_request("header.if_none_match", "If-None-Match is not taken on a write")
        if not self.if_match:
            return ""
        found = ENTITY_TAG.fullmatch(self.if_match.strip())
        if found is None or not is_id(found["version"]):
            raise bad_request("header.if_match", 'If-Match is one version: W/"1"')
        return found["version"]


def read_sent(resource_type: str, pairs: Pairs, headers: Headers, body: bytes, *, on_type: bool) -> Sent:
    """Return what came with a PUT, PATCH or DELETE. `on_type`: the path names no id, so the query has to find one.

    Raises FhirRefusal (400).
    """
    if headers.if_none_exist:
        raise bad_request("header.if_none_exist", "If-None-Exist is for creates only")
    shaping = tuple(pair for pair in pairs if pair[0] in SHAPING)
    others = tuple(pair for pair in pairs if pair[0] not in SHAPING)
    if others and not on_type:
        raise bad_request("write.parameter", "a write takes no such parameter", seen=others[0][0][:64])
    return _sent(resource_type, shaping, headers, body, others if on_type else None)


def read_created(resource_type: str, pairs: Pairs, headers: Headers, body: bytes) -> Sent:
    """Return what came with a POST: the criteria of a conditional create are in If-None-Exist. Raises FhirRefusal."""
    if not all(name in SHAPING for name, _ in pairs):
        raise bad_request("write.parameter", "a write takes no such parameter")
    if not headers.if_none_exist.isascii():
        raise bad_request("query.characters", "If-None-Exist holds characters that must be percent-encoded")
    criteria = parse_query(headers.if_none_exist.strip()) if headers.if_none_exist else None
    return _sent(resource_type, pairs, headers, body, criteria)


def _sent(resource_type: str, shaping: Pairs, headers: Headers, body: bytes, criteria: Pairs | None) -> Sent:
    return Sent(
        content_type=headers.content_type,
        body=body,
        if_match=headers.if_match,
        if_none_match=headers.if_none_match,
        criteria=criteria,
        returns=_returns(headers.prefer),
        shape=parse_read_parameters(resource_type, shaping),
    )


def _returns(prefer: str) -> Return:
    """An OperationOutcome would say nothing that the status does not, so asking for one is asking for less."""
    asked = {part.strip().lower().replace(" ", "") for part in re.split(r"[,;]", prefer)}
    return "minimal" if asked & {"return=minimal", "return=operationoutcome"} else "representation"
