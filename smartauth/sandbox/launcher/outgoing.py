"""Requests the launcher makes as the programs it stands for: over HTTP, to this server, with keys of their own."""

import json
from dataclasses import dataclass, field
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode, urlsplit

from django.conf import settings

from clients.key_pairs import PrivateKey, load_private_key, sign_assertion
from smartauth import endpoints
from smartauth.conf import config
from smartauth.forms import FORM

TIMEOUT = 20  # seconds; a server that is slow on purpose answers before
LARGEST = 2 * 1024 * 1024  # bytes
ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


class NotReached(Exception):
    """This server did not answer itself, or the launcher has no key for a client. The text is for the page."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back. `body` is empty where it was no JSON object."""

    status: int
    trace_id: str
    body: dict[str, Any] = field(repr=False)


def token(client_id: str, parameters: dict[str, str], *, tenant: str, now: datetime) -> Answer:
    """Ask for tokens as a client whose key the sandbox has made.  Source: RFC 7523 §2.2. Raises NotReached."""
    url = endpoints.oauth(tenant, "token")
    assertion = sign_assertion(_key(client_id), client_id, url, now=now)
    proof = {"client_assertion_type": ASSERTION_TYPE, "client_assertion": assertion}
    return _send("POST", url, {"Content-Type": FORM}, urlencode(parameters | proof))


def post_json(url: str, body: dict[str, Any], *, bearer: str) -> Answer:
    """Post an object with a token. Raises NotReached."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {bearer}"}
    return _send("POST", url, headers, json.dumps(body))


def get(url: str, *, bearer: str) -> Answer:
    """Read from the FHIR API with a token. Raises NotReached."""
    return _send("GET", url, {"Accept": "application/fhir+json", "Authorization": f"Bearer {bearer}"}, None)


def has_key(client_id: str) -> bool:
    """Return True for a client whose private key the sandbox keeps."""
    return client_id in ("ehr", "cardio", "bulk-loader") and key_file(client_id).is_file()


def key_id(client_id: str) -> tuple[str, str]:
    """Return `alg` and `kid` of the header of an assertion by the client. Raises NotReached."""
    key = _key(client_id)
    return ("RS384" if key.key_type == "RSA" else "ES384"), key.thumbprint()


def key_file(client_id: str) -> Path:
    """Return where the sandbox keeps the private key of a client."""
    return config().var / "secrets" / f"{client_id}.pem"


def _key(client_id: str) -> PrivateKey:
    try:
        return load_private_key(key_file(client_id).read_bytes())
    except (OSError, ValueError):
        raise NotReached(f"The sandbox has no key for {client_id}. Start it again, or run make reset.") from None


def _send(method: str, url: str, headers: dict[str, str], body: str | None) -> Answer:
    """Send to this process's own port: the public address may be that of a front that is not reached from here."""
    parts = urlsplit(url)
    connection = HTTPConnection("127.0.0.1", settings.PORT, timeout=TIMEOUT)
    try:
        connection.request(method, f"{parts.path}?{parts.query}".rstrip("?"), body, headers)
        response = connection.getresponse()
        raw = response.read(LARGEST)
        trace_id = response.headers.get("X-Trace-Id", "")
    except (OSError, HTTPException) as error:
        raise NotReached(f"This server did not answer at {parts.path} ({type(error).__name__}).") from None
    finally:
        connection.close()
    try:
        found = json.loads(raw)
    except ValueError:
        found = {}
    return Answer(response.status, trace_id, found if isinstance(found, dict) else {})
