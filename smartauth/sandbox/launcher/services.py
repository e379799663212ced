"""A backend service, shown and run: its assertion, the lines to paste, and a token and a read over HTTP.

Source: SMART 2.2 backend-services, "Obtain access token"; client-confidential-asymmetric, "Authentication JWT".
"""

import shlex
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

from smartauth import endpoints
from smartauth.sandbox.launcher import outgoing
from smartauth.sandbox.launcher.outgoing import ASSERTION_TYPE, Answer
from smartauth.sandbox.seed import TENANT
from smartauth.sandbox.welcome import COMMAND

DEFAULT_SCOPE = "system/Patient.rs"
READ = "Patient?_count=2"


def assertion_of(client_id: str, now: datetime) -> dict[str, Any]:
    """Return header and claims of an assertion as the client would sign it. The id is made up anew each time."""
    alg, kid = outgoing.key_id(client_id) if outgoing.has_key(client_id) else ("ES384", "the kid of your key")
    issued_at = int(now.timestamp())
    return {
        "header": {"alg": alg, "kid": kid, "typ": "JWT"},
        "claims": {
            "iss": client_id,
            "sub": client_id,
            "aud": endpoints.oauth(TENANT, "token"),
            "iat": issued_at,
            "exp": issued_at + 300,
            "jti": "a new random id each time",
        },
    }


def curl_of(client_id: str, scope: str, key_file: Path | str) -> str:
    """Return lines that get a token and read with it when they are pasted into a terminal in the checkout."""
    return f"""TOKEN=$(curl -sS {endpoints.oauth(TENANT, "token")} \\
  -d grant_type=client_credentials --data-urlencode {shlex.quote(f"scope={scope}")} \\
  -d client_assertion_type={ASSERTION_TYPE} \\
  -d client_assertion="$({COMMAND} sign_assertion --client {client_id} --key {key_file})" \\
  | sed -E 's/.*"access_token":"([^"]+)".*/\\1/')

curl -sS -H "Authorization: Bearer $TOKEN" '{endpoints.fhir_base(TENANT)}/{READ}'"""


def run(client_id: str, scope: str, now: datetime) -> dict[str, Any]:
    """Get a token and read with it. Returns what came of both, without the token and without a record.

    Raises NotReached.
    """
    got = outgoing.token(client_id, {"grant_type": "client_credentials", "scope": scope}, tenant=TENANT, now=now)
    if got.status != 200:
        return {"token": _refused(got)}
    token = {"status": 200, "says": f"granted {got.body['scope']}, good for {got.body['expires_in']} s"}
    return {"token": token, "read": read(READ, got.body["access_token"])}


def read(path: str, bearer: str) -> dict[str, Any]:
    """Read from the FHIR API and return what came of it in numbers. Raises NotReached."""
    answer = outgoing.get(f"{endpoints.fhir_base(TENANT)}/{quote(path, safe='/?&=')}", bearer=bearer)
    if answer.status != 200:
        return _refused(answer)
    entries = answer.body.get("entry")
    count = len(entries) if isinstance(entries, list) else 0
    says = f"{count} entries" if answer.body.get("resourceType") == "Bundle" else "one resource"
    return {"status": 200, "says": says}


def _refused(answer: Answer) -> dict[str, Any]:
    issues = answer.body.get("issue") or [{}]
    text = issues[0].get("details", {}).get("text") or answer.body.get("error") or "refused"
    description = answer.body.get("error_description", "")
    return {"status": answer.status, "says": f"{text} {description}".strip(), "trace_id": answer.trace_id}
