"""Cardio Clinic, a small app of the sandbox with a server behind it and a key: the launcher begins its requests itself.

It keeps nothing: what it has to remember of a request is sealed in the request's own state.
Source: SMART 2.2 app-launch, "Obtain authorization code" and "Obtain access token".
"""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from smartauth import endpoints
from smartauth.conf import config
from smartauth.digests import digest, new_secret
from smartauth.policy.redirects import with_parameters
from smartauth.sandbox.launcher import outgoing, services
from smartauth.sandbox.launcher.outgoing import Answer
from smartauth.sandbox.seed import TENANT
from smartauth.sealing import Unsealable, decrypt, encrypt

CLIENT_ID = "cardio"
PURPOSE = "launcher clinic"
GOOD_FOR = 20 * 60  # seconds; longer than people have to answer
DATA = "openid fhirUser offline_access patient/Patient.rs patient/Observation.rs"


@dataclass(frozen=True, slots=True)
class Remembered:
    """What the app knew when it sent somebody to authorize. `run`: the id of the launch, "" for one unknown here."""

    verifier: str
    browser: str
    run: str
    at: float


def redirect_uri() -> str:
    """Return where the app is answered."""
    return f"{config().base_url}/launcher/callback"


def authorize_url(*, launch: str, scope: str, run: UUID | None, browser: str, now: datetime) -> str:
    """Return the authorization request of the app. launch: what an EHR handed over, "" where the app begins itself."""
    verifier = new_secret()
    kept = {"verifier": verifier, "browser": digest(browser), "run": str(run or ""), "at": now.timestamp()}
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    parameters = {
        "response_type": "code",
        "client_id": CLIENT_ID,
        "redirect_uri": redirect_uri(),
        "scope": scope or f"{'launch' if launch else 'launch/patient'} {DATA}",
        "state": encrypt(json.dumps(kept).encode(), purpose=PURPOSE),
        "nonce": secrets.token_urlsafe(16),
        "aud": endpoints.fhir_base(TENANT),
        "code_challenge": challenge,
        "code_challenge_method": "S256",
        **({"launch": launch} if launch else {}),
    }
    return with_parameters(endpoints.oauth(TENANT, "authorize"), parameters)


def remembered(state: str, *, browser: str, now: datetime) -> Remembered | None:
    """Return what the app remembers of a request of this browser, None for an answer nobody here asked for."""
    try:
        kept = Remembered(**json.loads(decrypt(state, purpose=PURPOSE)))
    except Unsealable:
        return None
    is_new = 0 <= now.timestamp() - kept.at <= GOOD_FOR
    return kept if is_new and kept.browser == digest(browser) else None


def finish(code: str, kept: Remembered, now: datetime) -> list[dict[str, Any]]:
    """Exchange the code and read the patient. Returns what came of each request: title, status and words.

    An access token that is refused is refreshed once, where the app may. Raises NotReached.
    """
    form = {"code": code, "redirect_uri": redirect_uri(), "code_verifier": kept.verifier}
    got = _token("authorization_code", form, now)
    told = [_of_token("Access token", got)]
    if got.status != 200:
        return told
    patient = got.body.get("patient", "")
    path = f"Patient/{patient}" if patient else services.READ
    told.append({"title": "Patient", **services.read(path, got.body["access_token"])})
    if told[-1]["status"] == 401 and got.body.get("refresh_token"):
        again = _token("refresh_token", {"refresh_token": got.body["refresh_token"]}, now)
        told.append(_of_token("Refreshed token", again))
        if again.status == 200:
            told.append({"title": "Patient, once more", **services.read(path, again.body["access_token"])})
    return told


def _token(grant_type: str, form: dict[str, str], now: datetime) -> Answer:
    return outgoing.token(CLIENT_ID, {"grant_type": grant_type, **form}, tenant=TENANT, now=now)


def _of_token(title: str, answer: Answer) -> dict[str, Any]:
    body = answer.body
    if answer.status != 200:
        says = f"{body.get('error', 'refused')}: {body.get('error_description', '')}"
        return {"title": title, "status": answer.status, "says": says, "trace_id": answer.trace_id}
    patient = f"patient {body['patient']}" if body.get("patient") else "no patient in context"
    stays = "with a refresh token" if body.get("refresh_token") else "without a refresh token"
    says = f"Granted {body['scope']}, for {body['expires_in']} s, {stays}, {patient}."
    return {"title": title, "status": 200, "says": says}
