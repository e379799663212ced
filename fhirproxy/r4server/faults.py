"""Ways to misbehave on the wire, switched on by a test until it switches them off."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fhirproxy.r4server.encoding import encode
from fhirproxy.r4server.errors import FhirError, operation_outcome
from fhirproxy.r4server.messages import Response

_HTML = b"<!doctype html><html><head><title>Service</title></head><body><h1>It works</h1></body></html>"

# A member that a reader keeping the first and a reader keeping the last would take for different things.
_FIRST_MEMBER = b'"resourceType":"Basic",'


@dataclass(frozen=True, slots=True)
class Sending:
    """An answer and how much of it goes out. `declare_length` False sends it in chunks, its size unsaid."""

    response: Response
    cut_at: int | None = None
    declare_length: bool = True


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault as a test described it; `kind` "none" is health."""

    kind: str = "none"
    seconds: float = 0
    status: int = 500
    location: str = ""
    size: int = 0  # bytes
    declare_length: bool = True

    @property
    def replaces_answer(self) -> bool:
        """Return True when the request need not be looked at, since the answer is the same for all."""
        return self.kind in ("status", "html", "notfhir", "redirect", "large")

    def as_json(self) -> dict[str, Any]:
        """Return the fault as `parse_fault` reads it."""
        names = {"delay": ("seconds",), "status": ("status",), "redirect": ("location",)}.get(self.kind, ())
        described = {"kind": self.kind} | {name: getattr(self, name) for name in names}
        return described | ({"bytes": self.size, "length": self.declare_length} if self.kind == "large" else {})


HEALTHY = Fault()

KINDS = (
    "none",
    "delay",
    "truncate",
    "close",
    "status",
    "html",
    "notfhir",
    "redirect",
    "duplicate-keys",
    "large",
    "silent",
)


def parse_fault(document: object) -> Fault:
    """Read ``{"kind": ..., ...}``. Raises FhirError 400.

    delay: seconds.  status: status.  redirect: location.  large: bytes, and `"length": false` to leave the size unsaid.
    """
    if not isinstance(document, Mapping) or document.get("kind") not in KINDS:
        raise FhirError(400, "invalid", f"a fault has one of these kinds: {', '.join(KINDS)}")
    try:
        return Fault(
            kind=str(document["kind"]),
            seconds=float(document.get("seconds", 0)),
            status=int(document.get("status", 500)),
            location=str(document.get("location", "")),
            size=int(document.get("bytes", 0)),
            declare_length=bool(document.get("length", True)),
        )
    except (TypeError, ValueError) as error:
        raise FhirError(400, "invalid", "a member of the fault has the wrong type") from error


def wait(fault: Fault) -> None:
    """Let the time of a delay pass."""
    if fault.kind == "delay":
        time.sleep(fault.seconds)


def instead_of_answer(fault: Fault) -> Sending:
    """Return what a fault that `replaces_answer` sends."""
    match fault.kind:
        case "status":
            outcome = operation_outcome("exception", "a fault was asked for")
            return Sending(Response(fault.status, encode(outcome)))
        case "html":
            return Sending(Response(200, _HTML, "text/html; charset=utf-8"))
        case "notfhir":
            return Sending(Response(200, b'{"hello":"world"}', "application/json"))
        case "redirect":
            return Sending(Response(302, headers=[("Location", fault.location)]))
        case _:
            return Sending(Response(200, _large(fault.size)), declare_length=fault.declare_length)


def spoil(fault: Fault, response: Response) -> Sending:
    """Return how an honest answer leaves under a fault that keeps its content."""
    match fault.kind:
        case "truncate":
            return Sending(response, cut_at=len(response.body) // 2)
        case "duplicate-keys":
            return Sending(replace(response, body=_with_duplicates(response.body)))
        case "silent" if response.status == 201:  # As if the client had not asked for a representation.
            return Sending(replace(response, body=b""))
        case _:
            return Sending(response)


def _large(size: int) -> bytes:
    head, tail = b'{"resourceType":"Basic","id":"large","language":"', b'"}'
    return head + b"x" * max(size - len(head) - len(tail), 0) + tail


def _with_duplicates(body: bytes) -> bytes:
    """Repeat `resourceType` in every entry's resource, or in the resource itself."""
    inside = body.replace(b'"resource":{', b'"resource":{' + _FIRST_MEMBER)
    return inside if inside != body else body.replace(b"{", b"{" + _FIRST_MEMBER, 1)
