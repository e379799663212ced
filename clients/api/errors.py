"""Every error of the portal's JSON interface in one shape, with its receipt: what REST framework raises included.

Who asks is told the rule, the reason and the fix at once: it is their own registration they are working on.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.http import Http404, HttpRequest, HttpResponse, UnreadablePostError
from rest_framework import exceptions

from clients.drafts import Unfinished
from clients.findings import STEPS, Finding
from clients.metadata import InvalidClientMetadata
from smartauth.context import context_of
from smartauth.errors import (
    AccessDenied,
    InvalidRequest,
    InvalidToken,
    MethodNotAllowed,
    NotFound,
    OAuthError,
    Refusal,
)
from smartauth.responses import error_response
from smartauth.storable import storable

LONGEST = 200  # characters of what was sent that are shown again
LIKE_A_SECRET = re.compile(r"[A-Za-z0-9_-]{40}")  # one may have got into the wrong place
FIXES = {
    "required": "Send it.",
    "null": "Send a value, or leave it out.",
    "unknown": "Leave it out, or correct its name.",
    "invalid_choice": "Send one of the values the schema lists.",
}


class Forbidden(AccessDenied):
    """Who asks is known and may not do this."""

    status = 403


class NotAcceptable(OAuthError):
    """The answer cannot be given in any form the Accept header names (RFC 9110 §15.5.7)."""

    code, status = "not_acceptable", 406


class UnsupportedMediaType(OAuthError):
    """The body is not JSON (RFC 9110 §15.5.16)."""

    code, status = "unsupported_media_type", 415


class WithFindings(OAuthError):
    """What was sent, or a draft as it stands, has mistakes. `findings` say which."""

    def __init__(self, findings: Iterable[Finding], *, code: str, status: int) -> None:
        self.findings = tuple(findings)
        first = self.findings[0]
        reason = f"{first.member}: {first.message}" if first.member else first.message
        if len(self.findings) > 1:
            reason += f"; and {len(self.findings) - 1} more"
        super().__init__(Refusal(first.rule, reason, seen=first.seen, fix=first.fix))
        self.code, self.status = code, status


def no_such(what: str) -> NotFound:
    """Return the refusal for something that is not there or is somebody else's: the two are not told apart."""
    return NotFound(
        Refusal("api.not_yours", f"you have no such {what}", fix="Look at the list, with the same account or token.")
    )


def refused_input(member: str, code: str, message: str, *, seen: object = "", fix: str = "") -> WithFindings:
    """Return the refusal of one member or parameter."""
    return WithFindings([_input_finding(member, code, message, seen=seen, fix=fix)], code="invalid_request", status=400)


def answer(request: HttpRequest, error: OAuthError) -> HttpResponse:
    """Return the answer to an error and write its receipt."""
    response = error_response(request, error)
    body = {
        "error": error.code,
        "error_description": error.refusal.reason,
        "trace_id": str(context_of(request).trace_id),
        "findings": [_as_json(one) for one in _findings(error)],
    }
    response.content = msgspec.json.encode(body)
    return response


def as_error(problem: Exception, *, allow: Iterable[str]) -> OAuthError | None:
    """Return the refusal that an exception stands for, or None for a bug of ours.  allow: methods the resource has."""
    match problem:
        case OAuthError():
            return problem
        case Unfinished(findings=findings):
            return WithFindings(findings, code="unfinished", status=409)
        case exceptions.ValidationError(detail=detail):
            return WithFindings(_flat(detail, ()), code="invalid_request", status=400)
        case exceptions.MethodNotAllowed():
            allowed = ", ".join(allow)
            return MethodNotAllowed(
                Refusal("http.method", "this resource does not have this HTTP method", expected=allowed), allow=allowed
            )
        case exceptions.NotAcceptable():
            fix = "Send Accept: application/json, or no Accept header."
            return NotAcceptable(Refusal("http.accept", "the answer is JSON", expected="application/json", fix=fix))
        case exceptions.UnsupportedMediaType(detail=detail):
            fix = "Send the body as JSON with Content-Type: application/json."
            return UnsupportedMediaType(
                Refusal("http.content_type", "the body is not JSON", "application/json", str(detail)[:LONGEST], fix)
            )
        case exceptions.NotAuthenticated():
            return InvalidToken(
                Refusal(
                    "api.no_credentials",
                    "nobody is signed in, and the request shows no token",
                    fix="Send a token of the developer API as Authorization: Bearer, or sign in.",
                ),
                presented=False,
            )
        case exceptions.PermissionDenied() | PermissionDenied():
            return Forbidden(
                Refusal("portal.right", "you may not register apps", fix="Ask the operator for an account that may.")
            )
        case exceptions.NotFound() | Http404():
            return nothing_here()
        case exceptions.ParseError() | SuspiciousOperation() | UnreadablePostError():
            return InvalidRequest(Refusal("http.body", "the request cannot be read"))
        case RecursionError():
            return InvalidRequest(Refusal("http.json", "the body is nested too deeply", fix="Send it flat."))
    return None


def nothing_here() -> NotFound:
    """Return the refusal for a URL that no resource has."""
    return NotFound(
        Refusal(
            "http.path", "there is nothing at this URL", fix="Copy the URL from the schema, at /developers/api/schema."
        )
    )


def _findings(error: OAuthError) -> tuple[Finding, ...]:
    """Return what is to be mended: of a plain refusal the refusal itself, at no member."""
    match error:
        case WithFindings(findings=findings):
            return findings
        case InvalidClientMetadata(member=member, why=why, refusal=refusal):
            return (Finding(member, refusal.rule, why, refusal.fix, refusal.seen),)
    refusal = error.refusal
    return (Finding("", refusal.rule, refusal.reason, refusal.fix, refusal.seen),)


def _as_json(finding: Finding) -> dict[str, str]:
    known = any(finding.member in members for members in STEPS.values())
    shown = {name: storable(value, 2_000) for name, value in finding.as_json().items()}
    return shown if known else {**shown, "step": ""}


def _flat(detail: Any, path: tuple[str, ...]) -> Iterator[Finding]:
    """Yield a finding for each complaint of a serializer, under the name of the member it is about."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flat(inner, (*path, str(name)))
    elif isinstance(detail, list):
        for inner in detail:
            yield from _flat(inner, path)
    else:
        # What a draft answers is named as everywhere else, without where in the body it stood.
        member = ".".join(path[1:] if path[:1] == ("answers",) and len(path) > 1 else path)
        yield _input_finding(member.removesuffix(".non_field_errors"), str(detail.code), str(detail))


def _input_finding(member: str, code: str, message: str, *, seen: object = "", fix: str = "") -> Finding:
    fix = fix or FIXES.get(code, "Correct it.")
    text = str(seen)
    if LIKE_A_SECRET.search(text):
        text = f"{len(text)} characters, not repeated here"
    return Finding(storable(member, LONGEST), f"input.{code}"[:64], message.rstrip("."), fix, storable(text, LONGEST))
