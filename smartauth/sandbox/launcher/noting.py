"""What is told of a request once it is answered: in which words, and which facts of it are kept.

No value that a person or a program sent is kept: of parameters their names, of ids that there was one, of secrets how
long they are. What a refusal says comes from its receipt, in the view of the client's owner.
"""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
from django.http import HttpRequest
from django.http.response import HttpResponse, HttpResponseBase

from clients.registered import find_client
from smartauth import endpoints
from smartauth.policy import r4
from smartauth.policy.redirects import is_registered
from smartauth.sandbox.launcher.arriving import Arrived, waiting_at

NAME = re.compile(r"[A-Za-z_][\w.:-]{0,39}")
MOST_NAMES = 8
KEPT_SEGMENTS = re.compile(r"\$[a-z-]{1,30}|_history|_search|_page|metadata|\.well-known|smart-configuration")
DOCUMENT = re.compile(r"metadata|(?:\.well-known/)?[a-z-]+(?:\.json)?(?=/?$|/fhir/)")
LETTERS = {"GET": "r", "HEAD": "r", "PUT": "u", "PATCH": "u", "DELETE": "d", "POST": "c"}
WORDS = {
    200: "answered",
    201: "created",
    204: "done, without content",
    304: "not changed",
    401: "refused: unauthorized",
    403: "refused: forbidden",
    404: "not found, or outside",
    429: "refused: too many requests",
    503: "not available",
}
LONGEST_SCOPE = 2_000  # characters
CODE = "a code for the app"


def what(request: HttpRequest, arrived: Arrived) -> str:
    """Return the line of a request, without a value in it."""
    method = request.method or ""
    match arrived.part:
        case "fhir":
            return f"{method} {_fhir_path(request.path_info)}{_names(request)}"[:255]
        case "discovery":
            return f"{method} {DOCUMENT.search(request.path_info)[0]}"  # type: ignore[index]
        case "token" | "par":
            kind = arrived.params.get("grant_type", "")
            return f"{method} {arrived.part} {kind if NAME.fullmatch(kind) else ''}".rstrip()
    return f"{method} {arrived.part}"


def facts(request: HttpRequest, response: HttpResponseBase, arrived: Arrived) -> dict[str, Any]:
    """Return what the report is made of; see `seen.Seen`."""
    match arrived.part:
        case "authorize" | "par":
            return _of_authorization(arrived.params)
        case "token":
            return _of_token(response, arrived.params)
        case "fhir":
            return _of_fhir(request)
    return {}


def outcome(request: HttpRequest, response: HttpResponseBase, arrived: Arrived) -> tuple[str, bool]:
    """Return how a request ended, in a few words, and whether that is a refusal."""
    status, location = response.status_code, response.get("Location", "")
    if location:
        said, is_refusal = _redirected(location, arrived)
        is_unasked = said == CODE and request.method == "GET"  # Where somebody decides, there is a form.
        return f"{said}; nobody was asked" if is_unasked else said, is_refusal
    if arrived.part in ("token", "par", "introspect", "revoke") and status >= 400:
        return f"refused: {_member(response, 'error') or status}", True
    if arrived.is_by_browser and status < 400:
        again = arrived.part == "sign-in" and request.method == "POST"
        return ("not signed in: the password is wrong, or more is asked" if again else "page shown"), again
    return WORDS.get(status, f"status {status}"), status >= 400


def answers_of(response: HttpResponseBase, arrived: Arrived) -> tuple[str, ...]:
    """Return what later requests of the same launch will show."""
    location = response.get("Location", "")
    if location:
        code = _query(location).get("code", "")
        is_ours = urlsplit(location).path.startswith("/auth/")
        waits = (waiting_at(location), _query(location).get("request", "") if arrived.part == "logout" else "")
        return tuple(filter(None, (*waits, "" if is_ours else code)))
    if arrived.part == "token" and response.status_code == 200:
        return tuple(_member(response, name) for name in ("access_token", "refresh_token", "id_token"))
    if arrived.part == "par" and response.status_code == 201:
        return (_member(response, "request_uri"),)
    return ()


def leads_to_app(location: str, client_id: str) -> bool:
    """Return True when a redirect goes to the app: to a registered URI of its, with an answer or after a sign-out."""
    client = find_client(client_id)
    if client is None or not location:
        return False
    is_answer = bool({"code", "error"} & _query(location).keys())
    if not is_answer:
        return location.startswith(client.post_logout_redirect_uris)
    is_native, bare = client.application_type == "native", location.partition("?")[0]  # of which the port may vary
    return location.startswith(client.redirect_uris) or is_registered(bare, client.redirect_uris, native=is_native)


def is_code_for_app(response: HttpResponseBase, client_id: str) -> bool:
    """Return True for the redirect that brings an app its code."""
    location = response.get("Location", "")
    return "code" in _query(location) and leads_to_app(location, client_id)


def _query(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query))


def _redirected(location: str, arrived: Arrived) -> tuple[str, bool]:
    query = _query(location)
    path = urlsplit(location).path
    if arrived.part == "logout":
        return ("to be confirmed" if path.startswith("/auth/") else "signed out, and back to the app"), False
    if path.startswith("/account/"):
        return ("asked to prove it again" if "reauthenticate" in path else "asked to sign in"), False
    if path.endswith("/patient") and path.startswith("/auth/consent/"):
        return "asked to choose a patient", False
    if path.startswith("/auth/refused/"):
        return "refused, to be told once somebody is signed in", True
    if path.startswith("/auth/"):
        words = {"sign-in": "signed in", "authorize": "accepted", "picker": "chosen"}
        return words.get(arrived.part, "goes on"), False
    if "error" in query:
        error = query["error"]
        return f"refused: {error if NAME.fullmatch(error) else 'an error'}", True
    return (CODE if "code" in query else "goes on"), False


def _of_authorization(params: Mapping[str, str]) -> dict[str, Any]:
    if params.get("request_uri"):
        return {"pushed": True}
    method = params.get("code_challenge_method", "")
    audience = endpoints.tenant_of_fhir_base(params.get("aud", ""))
    return {
        "scopes": params.get("scope", "")[:LONGEST_SCOPE],
        "pkce": method if NAME.fullmatch(method) else "",
        "challenge_length": len(params.get("code_challenge", "")),
        "state_length": len(params.get("state", "")),
        "nonce": bool(params.get("nonce")),
        "aud_right": audience is not None,
        "launch": bool(params.get("launch")),
    }


def _of_token(response: HttpResponseBase, params: Mapping[str, str]) -> dict[str, Any]:
    kind = params.get("grant_type", "")
    known = {"grant_type": kind if NAME.fullmatch(kind) else ""}
    if response.status_code != 200:
        return known
    return known | {
        "scopes": _member(response, "scope")[:LONGEST_SCOPE],
        "refresh_token": bool(_member(response, "refresh_token")),
        "patient": bool(_member(response, "patient")),
    }


def _of_fhir(request: HttpRequest) -> dict[str, Any]:
    segments = _segments(request.path_info)
    kind = segments[0] if segments and r4.is_resource_type(segments[0]) else ""
    letter = LETTERS.get(request.method or "", "") if kind else ""
    rest = segments[1:]
    if rest[:1] == ["_search"] or (not rest and letter == "r"):
        letter = "s"
    elif any(segment.startswith("$") for segment in rest):
        letter = "r" if "$everything" in rest else ""
    return {"type": kind, "letter": letter}


def _fhir_path(path: str) -> str:
    shown = [one if KEPT_SEGMENTS.fullmatch(one) or r4.is_resource_type(one) else "…" for one in _segments(path)]
    return "/".join(shown) or "the base"


def _segments(path: str) -> list[str]:
    return [one for one in path.split("/")[4:] if one]  # after "", "fhir", the tenant and "r4"


def _names(request: HttpRequest) -> str:
    pairs = parse_qsl(request.META.get("QUERY_STRING", ""), keep_blank_values=True)
    names = list(dict.fromkeys(name for name, _ in pairs if NAME.fullmatch(name)))
    more = "&…" if len(names) > MOST_NAMES else ""
    return f"?{'&'.join(names[:MOST_NAMES])}{more}" if names else ""


def _member(response: HttpResponseBase, name: str) -> str:
    if not isinstance(response, HttpResponse):
        return ""
    try:
        members = msgspec.json.decode(response.content)
    except msgspec.DecodeError:
        return ""
    value = members.get(name) if isinstance(members, dict) else None
    return value if isinstance(value, str) else ""
