"""The bytes of a Binary as a download that no browser takes for a page.

Source: FHIR R4 binary, "Serving Binary Resources using the RESTful API"; RFC 9110 §12.5.1; RFC 6266.
"""

import base64
import binascii
import re
from dataclasses import dataclass, field

from fhirproxy.policy.compartments import Checked
from fhirproxy.policy.headers import accepts_json, media_ranges

# Types without scripts. Everything else leaves as bytes of which nothing is said.
SAFE = frozenset(
    {
        "application/pdf", "application/dicom", "application/rtf", "application/zip", "application/msword",
        "text/plain", "text/csv", "text/rtf",
        "image/png", "image/jpeg", "image/gif", "image/webp", "image/tiff", "image/bmp",
        "audio/mpeg", "audio/wav", "audio/ogg", "video/mp4", "video/mpeg", "video/webm",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
    }
)  # fmt: skip
MEDIA = re.compile(r"(?P<media>[A-Za-z0-9.+-]{1,64}/[A-Za-z0-9.+-]{1,96})(?:\s*;.*)?", re.DOTALL)
UTF8 = re.compile(r";\s*charset=\"?utf-8\"?\s*$", re.IGNORECASE)
UNSAID = "application/octet-stream"
_SEAL = object()


class MalformedContent(ValueError):
    """The data of a Binary cannot be decoded."""


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes that may leave: those of a checked Binary. `media_type` is one of the safe ones, or says nothing."""

    media_type: str
    data: bytes
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.seal is not _SEAL:
            raise TypeError("only a checked Binary has content")


def is_download(checked: Checked, accept: str) -> bool:
    """Return True when the client asks for the stored type of a Binary, by name or as `image/*`."""
    stored = _stored(checked)
    return bool(stored) and any(one in (stored, f"{stored.partition('/')[0]}/*") for one in _asked(accept))


def _asked(accept: str) -> list[str]:
    return [one for one in media_ranges(accept) if not accepts_json(one)]


def content(checked: Checked) -> Content:
    """Return the bytes of a checked Binary. Raises MalformedContent."""
    data = checked.resource.get("data", "")
    if not isinstance(data, str):
        raise MalformedContent("the data is no text")
    try:
        decoded = base64.b64decode("".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        raise MalformedContent("the data is not base64") from None
    return Content(_media_type(checked), decoded, _SEAL)


def _media_type(checked: Checked) -> str:
    stored = _stored(checked)
    if stored not in SAFE:
        return UNSAID
    full = checked.resource.get("contentType")
    is_utf8 = isinstance(full, str) and UTF8.search(full) is not None
    return f"{stored}; charset=utf-8" if stored.startswith("text/") and is_utf8 else stored


def _stored(checked: Checked) -> str:
    text = checked.resource.get("contentType")
    found = MEDIA.fullmatch(text.strip()) if isinstance(text, str) else None
    return found["media"].lower() if found else ""
