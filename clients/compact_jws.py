"""Reading a JWT in compact form, strictly, before anything in it is believed.

Source: RFC 7515 §3.1, §4 and §5.2; RFC 7519 §2, §4 and §7.2; RFC 8725 §2.9.
"""

import base64
import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

MAX_LENGTH = 16 * 1024
SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
LAST_SECOND = 253_402_300_799  # 9999-12-31T23:59:59Z


class MalformedJwt(ValueError):
    """The text is not a JWT we read. `rule` is the last part of a rule id, such as "not_jwt"."""

    def __init__(self, rule: str, reason: str) -> None:
        super().__init__(reason)
        self.rule, self.reason = rule, reason


@dataclass(frozen=True, slots=True)
class CompactJws:
    """Header and payload of a compact JWS. Nothing in it is verified."""

    text: str = field(repr=False)
    header: dict[str, Any]
    claims: dict[str, Any]


def parse_compact_jws(text: str) -> CompactJws:
    """Split and decode a compact JWS whose payload is a JSON object. Raises MalformedJwt."""
    if len(text) > MAX_LENGTH:
        raise MalformedJwt("too_large", f"it is longer than {MAX_LENGTH // 1024} KB")
    segments = text.split(".")
    if len(segments) == 5:
        raise MalformedJwt("not_jws", "it is encrypted (five segments), not signed")
    if len(segments) != 3 or not all(SEGMENT.fullmatch(segment) for segment in segments):
        raise MalformedJwt("not_jwt", "it is not three non-empty base64url segments without padding")
    header, claims = (_json_object(segment) for segment in segments[:2])
    return CompactJws(text, header, claims)


def numeric_date(value: object) -> datetime | None:
    """Return a NumericDate as an aware datetime, or None for anything else (RFC 7519 §2).

    Booleans are numbers in Python and are not here; neither are negative values and those past the year 9999.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= LAST_SECOND:
        return None  # The comparison also fails for infinity, which is how 1e999 is read.
    return datetime.fromtimestamp(value, UTC)


def _json_object(segment: str) -> dict[str, Any]:
    try:
        raw = base64.b64decode(segment + "=" * (-len(segment) % 4), b"-_", validate=True)
        value = json.loads(raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse_constant)
        json.dumps(value, ensure_ascii=False).encode()  # Half a surrogate pair is no text and cannot be stored.
    except MalformedJwt:
        raise
    except (ValueError, RecursionError):
        raise MalformedJwt("not_jwt", "header or payload is not base64url of a JSON object in UTF-8") from None
    if not isinstance(value, dict):
        raise MalformedJwt("not_jwt", "header or payload is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    # Two parsers may disagree about which of two members counts, so neither does (RFC 7515 §4).
    members = dict(pairs)
    if len(members) != len(pairs):
        raise MalformedJwt("duplicate_member", "a member name appears twice in its header or payload")
    return members


def _refuse_constant(name: str) -> Any:
    raise ValueError(name)
